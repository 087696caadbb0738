import type { NodeColumns } from './nodeRows.ts';
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

/** Influence as it would be if every feature's effects were known. */
export type Estimate = {
  /** [source column] */
  readonly influence: Float64Array;
  /** By place in `known`: what the target hands on to its sources, that of the features it stands in for included. */
  readonly handedOn: Float64Array;
};

/**
 * Influence of every source, estimated: what reaches a feature that is not known goes on as through the known features
 * of the same layer and position, in equal parts; where there are none, of the nearest earlier position of the layer.
 * Exact once all are known. What finds nobody to stand in passes nothing on.
 * @param known outputs and features, in any order
 * @param nodes the sources that count; effects of others are as if they were not there. Null: all count.
 */
export function estimateInfluence(
  columns: SourceColumns,
  store: RowStore,
  known: readonly KnownTarget[],
  nodes: NodeColumns | null,
): Estimate {
  const { nLayers, nPos, active, count, featureStart } = columns;
  // By node where only nodes count: theirs are few enough to stay in the processor's cache.
  const influence = new Float64Array(nodes ? nodes.list.length : count);
  const placeOf = (column: number) => (nodes ? nodes.before[column] : column);
  const handedOn = new Float64Array(known.length);
  const isKnown = new Uint8Array(placeOf(active.count));
  // By layer and position: the features' places in `known`.
  const places: number[][][] = Array.from({ length: nLayers }, () => Array.from({ length: nPos }, () => []));
  known.forEach(({ layer, feature }, index) => {
    if (feature === null) return;
    if (nodes && !nodes.mask[feature]) throw new Error(`feature ${feature} is known and no node`);
    isKnown[placeOf(feature)] = 1;
    places[layer][active.pos[feature]].push(index);
  });
  const handOn = (index: number, amount: number) => {
    handedOn[index] = amount;
    if (amount > 0) store.addShares(known[index].key, amount, nodes, influence);
  };
  known.forEach(({ feature, weight }, index) => {
    if (feature === null) handOn(index, weight);
  });
  for (let layer = nLayers - 1; layer >= 0; layer--) {
    const stoodIn = new Float64Array(nPos);
    let nearest = -1;
    for (let pos = 0; pos < nPos; pos++) {
      if (places[layer][pos].length > 0) nearest = pos;
      if (nearest < 0) continue;
      const first = placeOf(featureStart[layer * nPos + pos]);
      const last = placeOf(featureStart[layer * nPos + pos + 1]);
      stoodIn[nearest] += unknownBetween(first, last, influence, isKnown);
    }
    places[layer].forEach((targets, pos) => {
      for (const index of targets) {
        handOn(index, influence[placeOf(known[index].feature!)] + stoodIn[pos] / targets.length);
      }
    });
  }
  return { influence: nodes ? byColumn(influence, nodes, count) : influence, handedOn };
}

/** Influence that has reached features that are not known, of those first … last − 1. */
function unknownBetween(first: number, last: number, influence: Float64Array, isKnown: Uint8Array): number {
  let sum = 0;
  for (let place = first; place < last; place++) if (!isKnown[place]) sum += influence[place];
  return sum;
}

/** [source column] from [node]; 0 for what is no node */
function byColumn(values: Float64Array, { list }: NodeColumns, count: number): Float64Array {
  const result = new Float64Array(count);
  for (let node = 0; node < list.length; node++) result[list[node]] = values[node];
  return result;
}
