import { smallestRowSum } from '../../graph/influence.ts';
import { SizeClasses } from './sizeClasses.ts';
import type { Target } from './sweepBatch.ts';
import type { SourceColumns } from './writtenBlock.ts';

/** A half-open range of source columns. */
type Range = { readonly from: number; readonly to: number };

type StoredRow = {
  readonly target: Target;
  /** Effects of the sources in `columns`. */
  readonly values: Float32Array;
  /** Null: the values of all columns that can reach the target, in order. */
  readonly columns: Uint32Array | null;
  /** Σ |effect| of all sources, those that are not kept included. */
  readonly sum: number;
};

/** Effects by the places of their sources. */
export type PickedEffects = { readonly source: Uint32Array; readonly weight: Float32Array };

/** Source columns that are nodes of a graph. */
export type NodeColumns = {
  /** [source column] 1 for nodes */
  readonly mask: Uint8Array;
  /** The nodes' columns, ascending. */
  readonly list: Uint32Array;
};

/** How much of each row is kept. */
export type RowLimits = {
  /** The largest effects that together hold this share of the row's weight; 1: everything. */
  readonly keptShare: number;
  /** At most so many effects, the largest. */
  readonly mostPerRow: number;
};

/**
 * Effects on the targets swept so far. A target can only be reached from layers below its own and positions up to its
 * own, so just those columns are kept: all of them for exact work, or the largest that together hold a share of each
 * row's weight, so that long prompts with hundreds of thousands of sources fit.
 */
export class RowStore {
  readonly limits: RowLimits;
  readonly #columns: SourceColumns;
  readonly #rows = new Map<number, StoredRow>();
  readonly #classes = new SizeClasses();
  #scratch = new Uint32Array(0);
  #bytes = 0;
  #whole = 0;
  #dropped = 0;

  constructor(columns: SourceColumns, limits: RowLimits) {
    this.#columns = columns;
    this.limits = limits;
  }

  /** Memory that the rows take. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Share of all rows' weight that was not kept. */
  get droppedShare(): number {
    return this.#whole === 0 ? 0 : this.#dropped / this.#whole;
  }

  /** @param effects [source column] */
  add(key: number, target: Target, effects: Float32Array): void {
    this.drop(key);
    const ranges = this.#ranges(target);
    const values = new Float32Array(columnsIn(ranges));
    let next = 0;
    let sum = 0;
    for (const { from, to } of ranges) {
      for (let column = from; column < to; column++) {
        values[next++] = effects[column];
        sum += Math.abs(effects[column]);
      }
    }
    const { keptShare, mostPerRow } = this.limits;
    const isCut = keptShare < 1 || values.length > mostPerRow;
    const row = isCut ? this.#largest(target, values, sum) : { target, values, columns: null, sum };
    this.#rows.set(key, row);
    this.#bytes += bytesOf(row);
  }

  has(key: number): boolean {
    return this.#rows.has(key);
  }

  /** Adds |effect| · scale of every kept effect to its source's place of `into` [source column]. */
  addSizes(key: number, scale: number, into: Float64Array): void {
    const { columns, values, target } = this.#row(key);
    if (columns) {
      for (let i = 0; i < values.length; i++) into[columns[i]] += Math.abs(values[i]) * scale;
      return;
    }
    let place = 0;
    for (const { from, to } of this.#ranges(target)) {
      for (let column = from; column < to; column++) into[column] += Math.abs(values[place++]) * scale;
    }
  }

  /**
   * Hands `amount` on to the sources of a target by their share of what is kept of its |effects|.
   * @param nodes what counts; null: everything
   * @param into [source column] gets the shares added
   */
  addShares(key: number, amount: number, nodes: NodeColumns | null, into: Float64Array): void {
    const { columns, values, target, sum } = this.#row(key);
    // Over millions of values: loops with nothing to choose in them.
    if (nodes === null) {
      let kept = sum;
      if (columns) {
        kept = 0;
        for (let i = 0; i < values.length; i++) kept += Math.abs(values[i]);
      }
      this.addSizes(key, amount / Math.max(kept, smallestRowSum), into);
    } else if (columns) {
      const { mask } = nodes;
      let kept = 0;
      for (let i = 0; i < values.length; i++) kept += Math.abs(values[i]) * mask[columns[i]];
      const scale = amount / Math.max(kept, smallestRowSum);
      for (let i = 0; i < values.length; i++) into[columns[i]] += Math.abs(values[i]) * mask[columns[i]] * scale;
    } else {
      const { list } = nodes;
      const parts: { first: number; last: number; shift: number }[] = [];
      let place = 0;
      let first = 0;
      let kept = 0;
      for (const { from, to } of this.#ranges(target)) {
        first = lowerBound(list, from, first);
        const last = lowerBound(list, to, first);
        const shift = place - from;
        for (let i = first; i < last; i++) kept += Math.abs(values[list[i] + shift]);
        parts.push({ first, last, shift });
        place += to - from;
        first = last;
      }
      const scale = amount / Math.max(kept, smallestRowSum);
      for (const { first, last, shift } of parts) {
        for (let i = first; i < last; i++) into[list[i]] += Math.abs(values[list[i] + shift]) * scale;
      }
    }
  }

  /** At most so many effects would `pick` give. */
  mostPicked(key: number, wanted: Uint32Array): number {
    const { columns, target } = this.#row(key);
    if (columns) return Math.min(columns.length, wanted.length);
    return this.#ranges(target).reduce(
      (count, { from, to }) => count + lowerBound(wanted, to, 0) - lowerBound(wanted, from, 0),
      0,
    );
  }

  /**
   * The effects of some sources only, in their order; those that are 0 or were not kept are left out.
   * @param wanted columns, ascending
   * @param into gets the place of each source among `wanted`, and its effect, from `next` on
   * @returns the place in `into` after the last
   */
  pick(key: number, wanted: Uint32Array, into: PickedEffects, next: number): number {
    const { columns, values, target } = this.#row(key);
    const { source, weight } = into;
    if (columns) {
      for (let place = 0, i = 0; place < wanted.length && i < columns.length; ) {
        if (wanted[place] < columns[i]) place++;
        else if (columns[i] < wanted[place]) i++;
        else {
          source[next] = place++;
          weight[next++] = values[i++];
        }
      }
      return next;
    }
    let place = 0;
    let first = 0;
    for (const { from, to } of this.#ranges(target)) {
      place = lowerBound(wanted, from, place);
      for (; place < wanted.length && wanted[place] < to; place++) {
        const value = values[first + wanted[place] - from];
        if (value === 0) continue;
        source[next] = place;
        weight[next++] = value;
      }
      first += to - from;
    }
    return next;
  }

  #row(key: number): StoredRow {
    const row = this.#rows.get(key);
    if (!row) throw new Error(`no effects on target ${key} yet`);
    return row;
  }

  /** Σ |effect| of all sources on the target, those that are not kept included. */
  sumOf(key: number): number {
    return this.#row(key).sum;
  }

  /** Forgets a row that is not needed any more. */
  drop(key: number): void {
    const row = this.#rows.get(key);
    if (!row) return;
    this.#bytes -= bytesOf(row);
    this.#rows.delete(key);
  }

  /** Only the largest values, up to the share and the number that are kept; all of them where that takes less memory. */
  #largest(target: Target, values: Float32Array, sum: number): StoredRow {
    const { keptShare, mostPerRow } = this.limits;
    this.#whole += sum;
    const cut =
      keptShare < 1
        ? this.#classes.cutAtSum(values, (1 - keptShare) * sum)
        : { least: 0, count: values.reduce((count, value) => (value === 0 ? count : count + 1), 0) };
    // An effect that is kept alone takes its column's number beside it.
    if (values.length <= mostPerRow && cut.count > values.length / 2) return { target, values, columns: null, sum };
    const above = cut.count > mostPerRow ? this.#classes.cutAtCount(values, mostPerRow) : 0;
    const all = this.#columnsOf(target);
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
    this.#dropped += Math.max(0, sum - keptSum);
    return { target, values: kept.subarray(0, next), columns: columns.subarray(0, next), sum };
  }

  #columnsOf(target: Target): Uint32Array {
    const ranges = this.#ranges(target);
    const count = columnsIn(ranges);
    if (this.#scratch.length < count) this.#scratch = new Uint32Array(count);
    let next = 0;
    for (const { from, to } of ranges) for (let column = from; column < to; column++) this.#scratch[next++] = column;
    return this.#scratch.subarray(0, count);
  }

  #ranges({ layer, pos }: Target): Range[] {
    const { active, featureStart, firstPos, nPos, nLayers } = this.#columns;
    const ranges: Range[] = [];
    if (pos >= firstPos) {
      for (let below = 0; below < layer; below++) {
        ranges.push({ from: featureStart[below * nPos + firstPos], to: featureStart[below * nPos + pos + 1] });
      }
      for (let below = 0; below < layer; below++) {
        const start = active.count + below * nPos;
        ranges.push({ from: start + firstPos, to: start + pos + 1 });
      }
    }
    const tokens = active.count + nLayers * nPos;
    ranges.push({ from: tokens, to: tokens + pos + 1 });
    return ranges.filter(({ from, to }) => to > from);
  }
}

function columnsIn(ranges: readonly Range[]): number {
  return ranges.reduce((sum, { from, to }) => sum + to - from, 0);
}

/** The first place from `start` on whose value is at least `least`. */
function lowerBound(ascending: Uint32Array, least: number, start: number): number {
  let low = start;
  let high = ascending.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (ascending[middle] < least) low = middle + 1;
    else high = middle;
  }
  return low;
}

function bytesOf({ values, columns }: StoredRow): number {
  return values.byteLength + (columns?.byteLength ?? 0);
}
