import type { Target } from './descent.ts';
import { type NodeColumns, type NodeRow, nodeRowOf } from './nodeRows.ts';
import { type ColumnPlan, type ColumnRange, type NewFloats, type RowEffects, rangesOf } from './rowColumns.ts';
import { Scratch } from './scratch.ts';
import { SizeClasses } from './sizeClasses.ts';

/** How much of each row is kept. */
export type RowLimits = {
  /** The largest effects that together hold this share of the row's weight; 1: everything. */
  readonly keptShare: number;
  /** At most so many effects, the largest. */
  readonly mostPerRow: number;
};

/** What is kept of the effects on a target. */
export type CutRow = RowEffects & {
  /** Σ |effect| of all sources, those that are not kept included. */
  readonly sum: number;
  /** The part of it that is not kept. */
  readonly dropped: number;
  /** The part of the row at nodes, where the cutter was told of some. */
  readonly atNodes: NodeRow | null;
};

/**
 * Takes of a swept row what is to be kept: the columns that can reach its target, and of these all, or the largest that
 * together hold the share that is wanted.
 */
export class RowCutter {
  readonly #plan: ColumnPlan;
  readonly #limits: RowLimits;
  readonly #nodes: NodeColumns | null;
  readonly #classes = new SizeClasses();
  readonly #newFloats: NewFloats;
  readonly #scratch = new Scratch();
  #columns = new Uint32Array(0);

  /**
   * @param nodes what rows are read at again and again; null: not known yet
   * @param newFloats gives the arrays of rows
   */
  constructor(
    plan: ColumnPlan,
    limits: RowLimits,
    nodes: NodeColumns | null = null,
    newFloats: NewFloats = (length) => new Float32Array(length),
  ) {
    this.#nodes = nodes;
    this.#plan = plan;
    this.#limits = limits;
    this.#newFloats = newFloats;
  }

  /** @param effects [source column] */
  cut(target: Target, effects: Float32Array): CutRow {
    const row = this.#cut(target, effects);
    return this.#nodes ? { ...row, atNodes: nodeRowOf(row, this.#plan, this.#nodes, this.#newFloats) } : row;
  }

  #cut(target: Target, effects: Float32Array): CutRow {
    const ranges = rangesOf(this.#plan, target);
    const count = ranges.reduce((all, { from, to }) => all + to - from, 0);
    const { keptShare, mostPerRow } = this.#limits;
    const isCut = keptShare < 1 || count > mostPerRow;
    const values = isCut ? this.#scratch.floats('row', count) : this.#newFloats(count);
    let next = 0;
    let sum = 0;
    for (const { from, to } of ranges) {
      for (let column = from; column < to; column++) {
        values[next++] = effects[column];
        sum += Math.abs(effects[column]);
      }
    }
    return isCut ? this.#largest(target, ranges, values, sum) : whole(target, values, sum);
  }

  /**
   * Only the largest values, up to the share and the number that are kept; all of them where that takes less memory.
   * @param values good until the next row
   */
  #largest(target: Target, ranges: readonly ColumnRange[], values: Float32Array, sum: number): CutRow {
    const { keptShare, mostPerRow } = this.#limits;
    const cut =
      keptShare < 1
        ? this.#classes.cutAtSum(values, (1 - keptShare) * sum)
        : { least: 0, count: values.reduce((count, value) => (value === 0 ? count : count + 1), 0) };
    // An effect that is kept alone takes its column's number beside it.
    if (values.length <= mostPerRow && cut.count > values.length / 2) {
      const all = this.#newFloats(values.length);
      all.set(values);
      return whole(target, all, sum);
    }
    const above = cut.count > mostPerRow ? this.#classes.cutAtCount(values, mostPerRow) : 0;
    const all = this.#columnsOf(ranges, values.length);
    const kept = this.#newFloats(Math.min(cut.count, mostPerRow));
    const columns = new Uint32Array(this.#newFloats(kept.length).buffer);
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
    const parts = { values: kept.subarray(0, next), columns: columns.subarray(0, next) };
    return { target, ...parts, sum, dropped, atNodes: null };
  }

  #columnsOf(ranges: readonly ColumnRange[], count: number): Uint32Array {
    if (this.#columns.length < count) this.#columns = new Uint32Array(count);
    let next = 0;
    for (const { from, to } of ranges) for (let column = from; column < to; column++) this.#columns[next++] = column;
    return this.#columns.subarray(0, count);
  }
}

function whole(target: Target, values: Float32Array, sum: number): CutRow {
  return { target, values, columns: null, sum, dropped: 0, atNodes: null };
}
