import type { RowStore } from './rowStore.ts';
import type { SourceColumns } from './writtenBlock.ts';

/** Row sums below this count as this while features are ranked (the reference implementation's clamp). */
const smallestRowSum = 1e-8;

/** A target with known effects: its place in the row store, and the column of the feature it is (null: an output). */
export type KnownTarget = {
  readonly key: number;
  readonly layer: number;
  readonly feature: number | null;
  /** The output's probability; 0 for features. */
  readonly weight: number;
};

/**
 * Influence of every source on the outputs through the targets whose effects are known; targets that are not known yet
 * pass nothing on. One pass from the highest layer down is exact, because effects only lead upwards.
 * @param known outputs and features, in any order
 * @returns [source column] float64
 */
export function rankSources(columns: SourceColumns, store: RowStore, known: readonly KnownTarget[]): Float64Array {
  const influence = new Float64Array(columns.count);
  const downwards = [...known].sort((a, b) => b.layer - a.layer);
  for (const { key, feature, weight } of downwards) {
    const amount = weight + (feature === null ? 0 : influence[feature]);
    if (amount === 0) continue;
    store.addSizes(key, amount / Math.max(store.sumOf(key), smallestRowSum), influence);
  }
  return influence;
}
