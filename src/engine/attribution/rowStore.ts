import { smallestRowSum } from '../../graph/influence.ts';
import type { Target } from './descent.ts';
import { type ColumnPlan, type CutRow, columnPlan, type RowLimits, rangesOf } from './rowCut.ts';
import type { SourceColumns } from './writtenBlock.ts';

/** Effects by the places of their sources. */
export type PickedEffects = { readonly source: Uint32Array; readonly weight: Float32Array };

/** Source columns that are nodes of a graph. */
export type NodeColumns = {
  /** [source column] 1 for nodes */
  readonly mask: Uint8Array;
  /** The nodes' columns, ascending. */
  readonly list: Uint32Array;
};

/**
 * Effects on the targets swept so far. A target can only be reached from layers below its own and positions up to its
 * own, so just those columns are kept: all of them for exact work, or the largest that together hold a share of each
 * row's weight, so that long prompts with hundreds of thousands of sources fit.
 */
export class RowStore {
  readonly limits: RowLimits;
  readonly #plan: ColumnPlan;
  readonly #rows = new Map<number, CutRow>();
  /** By target: what `#sumOver` found for some nodes. */
  #sums: { readonly nodes: NodeColumns | null; readonly byKey: Map<number, number> } = {
    nodes: null,
    byKey: new Map(),
  };
  #bytes = 0;
  #whole = 0;
  #dropped = 0;

  constructor(columns: SourceColumns, limits: RowLimits) {
    this.#plan = columnPlan(columns);
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

  /** @param row as cut by a `RowCutter` of the same limits */
  add(key: number, row: CutRow): void {
    this.drop(key);
    this.#rows.set(key, row);
    this.#bytes += bytesOf(row);
    this.#whole += row.sum;
    this.#dropped += row.dropped;
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
    for (const { from, to } of rangesOf(this.#plan, target)) {
      for (let column = from; column < to; column++) into[column] += Math.abs(values[place++]) * scale;
    }
  }

  /**
   * Hands `amount` on to the sources of a target by their share of what is kept of its |effects|.
   * @param nodes what counts; null: everything
   * @param into [source column] gets the shares added
   */
  addShares(key: number, amount: number, nodes: NodeColumns | null, into: Float64Array): void {
    const { columns, values, target, sum, dropped } = this.#row(key);
    if (nodes === null) {
      this.addSizes(key, amount / Math.max(sum - dropped, smallestRowSum), into);
      return;
    }
    const scale = amount / Math.max(this.#sumOver(key, nodes), smallestRowSum);
    // Over millions of values: loops with nothing to choose in them.
    if (columns) {
      const { mask } = nodes;
      for (let i = 0; i < values.length; i++) into[columns[i]] += Math.abs(values[i]) * mask[columns[i]] * scale;
      return;
    }
    const { list } = nodes;
    for (const { first, last, shift } of this.#partsOf(target, list)) {
      for (let i = first; i < last; i++) into[list[i]] += Math.abs(values[list[i] + shift]) * scale;
    }
  }

  /** Σ |effect| of the nodes on a target, of what is kept: summed once, until others are asked for. */
  #sumOver(key: number, nodes: NodeColumns): number {
    if (this.#sums.nodes !== nodes) this.#sums = { nodes, byKey: new Map() };
    const known = this.#sums.byKey.get(key);
    if (known !== undefined) return known;
    const { columns, values, target } = this.#row(key);
    let sum = 0;
    if (columns) {
      const { mask } = nodes;
      for (let i = 0; i < values.length; i++) sum += Math.abs(values[i]) * mask[columns[i]];
    } else {
      const { list } = nodes;
      for (const { first, last, shift } of this.#partsOf(target, list)) {
        for (let i = first; i < last; i++) sum += Math.abs(values[list[i] + shift]);
      }
    }
    this.#sums.byKey.set(key, sum);
    return sum;
  }

  /** Where the nodes among a row's columns stand in their list; column − start + place of the start is `column + shift`. */
  #partsOf(target: Target, list: Uint32Array): { first: number; last: number; shift: number }[] {
    const parts: { first: number; last: number; shift: number }[] = [];
    let place = 0;
    let last = 0;
    for (const { from, to } of rangesOf(this.#plan, target)) {
      const first = lowerBound(list, from, last);
      last = lowerBound(list, to, first);
      parts.push({ first, last, shift: place - from });
      place += to - from;
    }
    return parts;
  }

  /** At most so many effects would `pick` give. */
  mostPicked(key: number, wanted: Uint32Array): number {
    const { columns, target } = this.#row(key);
    if (columns) return Math.min(columns.length, wanted.length);
    return rangesOf(this.#plan, target).reduce(
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
    for (const { from, to } of rangesOf(this.#plan, target)) {
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

  #row(key: number): CutRow {
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
    this.#sums.byKey.delete(key);
  }
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

function bytesOf({ values, columns }: CutRow): number {
  return values.byteLength + (columns?.byteLength ?? 0);
}
