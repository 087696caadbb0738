import type { Target } from './descent.ts';
import type { SourceColumns } from './writtenBlock.ts';

/** Where the columns of which layer and position are. */
export type ColumnPlan = Pick<SourceColumns, 'nLayers' | 'nPos' | 'firstPos' | 'featureStart'> & {
  readonly nFeatures: number;
};

export function columnPlan({ nLayers, nPos, firstPos, featureStart, active }: SourceColumns): ColumnPlan {
  return { nLayers, nPos, firstPos, featureStart, nFeatures: active.count };
}

/** A half-open range of source columns. */
export type ColumnRange = { readonly from: number; readonly to: number };

/** Effects on a target. */
export type RowEffects = {
  readonly target: Target;
  /** Effects of the sources in `columns`. */
  readonly values: Float32Array;
  /** Null: the values of all columns that can reach the target, in order. */
  readonly columns: Uint32Array | null;
};

/** The columns of what can reach a target: features, then errors, of the layers below up to its position, then tokens. */
export function rangesOf(
  { nLayers, nPos, firstPos, featureStart, nFeatures }: ColumnPlan,
  { layer, pos }: Target,
): ColumnRange[] {
  const ranges: ColumnRange[] = [];
  if (pos >= firstPos) {
    for (let below = 0; below < layer; below++) {
      ranges.push({ from: featureStart[below * nPos + firstPos], to: featureStart[below * nPos + pos + 1] });
    }
    for (let below = 0; below < layer; below++) {
      const start = nFeatures + below * nPos;
      ranges.push({ from: start + firstPos, to: start + pos + 1 });
    }
  }
  const tokens = nFeatures + nLayers * nPos;
  ranges.push({ from: tokens, to: tokens + pos + 1 });
  return ranges.filter(({ from, to }) => to > from);
}

/** Gives an array of zeros. */
export type NewFloats = (length: number) => Float32Array;
