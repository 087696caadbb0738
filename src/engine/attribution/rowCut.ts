import type { Target } from './descent.ts';
import { SizeClasses } from './sizeClasses.ts';
import type { SourceColumns } from './writtenBlock.ts';

/** How much of each row is kept. */
export type RowLimits = {
  /** The largest effects that together hold this share of the row's weight; 1: everything. */
  readonly keptShare: number;
  /** At most so many effects, the largest. */
  readonly mostPerRow: number;
};

/** Where the columns of which layer and position are. */
export type ColumnPlan = Pick<SourceColumns, 'nLayers' | 'nPos' | 'firstPos' | 'featureStart'> & {
  readonly nFeatures: number;
};

export function columnPlan({ nLayers, nPos, firstPos, featureStart, active }: SourceColumns): ColumnPlan {
  return { nLayers, nPos, firstPos, featureStart, nFeatures: active.count };
}

/** A half-open range of source columns. */
export type ColumnRange = { readonly from: number; readonly to: number };

/** What is kept of the effects on a target. */
export type CutRow = {
  readonly target: Target;
  /** Effects of the sources in `columns`. */
  readonly values: Float32Array;
  /** Null: the values of all columns that can reach the target, in order. */
  readonly columns: Uint32Array | null;
  /** Σ |effect| of all sources, those that are not kept included. */
  readonly sum: number;
  /** The part of it that is not kept. */
  readonly dropped: number;
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

/**
 * Takes of a swept row what is to be kept: the columns that can reach its target, and of these all, or the largest that
 * together hold the share that is wanted.
 */
export class RowCutter {
  readonly #plan: ColumnPlan;
  readonly #limits: RowLimits;
  readonly #classes = new SizeClasses();
  #scratch = new Uint32Array(0);

  constructor(plan: ColumnPlan, limits: RowLimits) {
    this.#plan = plan;
    this.#limits = limits;
  }

  /** @param effects [source column] */
  cut(target: Target, effects: Float32Array): CutRow {
    const ranges = rangesOf(this.#plan, target);
    const values = new Float32Array(ranges.reduce((count, { from, to }) => count + to - from, 0));
    let next = 0;
    let sum = 0;
    for (const { from, to } of ranges) {
      for (let column = from; column < to; column++) {
        values[next++] = effects[column];
        sum += Math.abs(effects[column]);
      }
    }
    const { keptShare, mostPerRow } = this.#limits;
    const isCut = keptShare < 1 || values.length > mostPerRow;
    return isCut ? this.#largest(target, ranges, values, sum) : { target, values, columns: null, sum, dropped: 0 };
  }

  /** Only the largest values, up to the share and the number that are kept; all of them where that takes less memory. */
  #largest(target: Target, ranges: readonly ColumnRange[], values: Float32Array, sum: number): CutRow {
    const { keptShare, mostPerRow } = this.#limits;
    const cut =
      keptShare < 1
        ? this.#classes.cutAtSum(values, (1 - keptShare) * sum)
        : { least: 0, count: values.reduce((count, value) => (value === 0 ? count : count + 1), 0) };
    // An effect that is kept alone takes its column's number beside it.
    if (values.length <= mostPerRow && cut.count > values.length / 2) {
      return { target, values, columns: null, sum, dropped: 0 };
    }
    const above = cut.count > mostPerRow ? this.#classes.cutAtCount(values, mostPerRow) : 0;
    const all = this.#columnsOf(ranges, values.length);
    const columns = new Uint32Array(Math.min(cut.count, mostPerRow));
    const kept = new Float32Array(columns.length);
    let next = 0;
    let keptSum = 0;
    for (let place = 0; place < values.length; place++) {
      const size = Math.abs(values[place]);
      if (size <= above || size < cut.least) continue;
      columns[next] = all[place];
      kept[next++] = values[place];
      keptSum += size;
    }
    const dropped = Math.max(0, sum - keptSum);
    return { target, values: kept.subarray(0, next), columns: columns.subarray(0, next), sum, dropped };
  }

  #columnsOf(ranges: readonly ColumnRange[], count: number): Uint32Array {
    if (this.#scratch.length < count) this.#scratch = new Uint32Array(count);
    let next = 0;
    for (const { from, to } of ranges) for (let column = from; column < to; column++) this.#scratch[next++] = column;
    return this.#scratch.subarray(0, count);
  }
}
