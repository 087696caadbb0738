import { smallestRowSum } from '../../graph/influence.ts';
import { addNodeSizes, type NodeColumns, type NodeRow, nodeRowOf } from './nodeRows.ts';
import { type ColumnPlan, columnPlan, rangesOf } from './rowColumns.ts';
import type { CutRow, RowLimits } from './rowCut.ts';
import { addSizes } from './scaledRows.ts';
import type { SourceColumns } from './writtenBlock.ts';

/** Effects by the places of their sources. */
export type PickedEffects = { readonly source: Uint32Array; readonly weight: Float32Array };

/**
 * Effects on the targets swept so far. A target can only be reached from layers below its own and positions up to its
 * own, so just those columns are kept: all of them for exact work, or the largest that together hold a share of each
 * row's weight, so that long prompts with hundreds of thousands of sources fit.
 */
export class RowStore {
  readonly limits: RowLimits;
  readonly #plan: ColumnPlan;
  readonly #rows = new Map<number, CutRow>();
  /** What the estimates of a graph count as nodes, and the part of each row that is theirs. */
  #nodes: NodeColumns | null = null;
  readonly #nodeRows = new Map<number, NodeRow>();
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

  /** What was last asked for as nodes: rows that come with their part at these need not be read again for it. */
  get nodes(): NodeColumns | null {
    return this.#nodes;
  }

  /** @param row as cut by a `RowCutter` of the same limits and of no nodes or those of the store */
  add(key: number, { atNodes, ...row }: CutRow): void {
    this.drop(key);
    this.#rows.set(key, { ...row, atNodes: null });
    this.#bytes += bytesOf(row);
    if (atNodes) this.#keepAtNodes(key, atNodes);
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
      addSizes(values, place, scale, into, from, to - from);
      place += to - from;
    }
  }

  /**
   * Hands `amount` on to the sources of a target by their share of what is kept of its |effects|.
   * @param nodes what counts; null: everything
   * @param into [node], or [source column] where everything counts, gets the shares added
   */
  addShares(key: number, amount: number, nodes: NodeColumns | null, into: Float64Array): void {
    const row = this.#row(key);
    if (nodes === null) {
      this.addSizes(key, amount / Math.max(row.sum - row.dropped, smallestRowSum), into);
      return;
    }
    const atNodes = this.#atNodes(key, nodes);
    addNodeSizes(row, atNodes, this.#plan, nodes, amount / Math.max(atNodes.sum, smallestRowSum), into);
  }

  /** A row's part at nodes: made once, until others are asked for. */
  #atNodes(key: number, nodes: NodeColumns): NodeRow {
    if (this.#nodes !== nodes) {
      for (const { values } of this.#nodeRows.values()) this.#bytes -= values?.byteLength ?? 0;
      this.#nodeRows.clear();
      this.#nodes = nodes;
    }
    return this.#nodeRows.get(key) ?? this.#keepAtNodes(key, nodeRowOf(this.#row(key), this.#plan, nodes));
  }

  #keepAtNodes(key: number, atNodes: NodeRow): NodeRow {
    this.#nodeRows.set(key, atNodes);
    this.#bytes += atNodes.values?.byteLength ?? 0;
    return atNodes;
  }

  /** As `mostPicked`, where the wanted sources are nodes. */
  mostPickedOf(key: number, nodes: NodeColumns): number {
    return (this.#atNodes(key, nodes).values ?? this.#row(key).values).length;
  }

  /** As `pick`, where the wanted sources are nodes: by their places among them. */
  pickNodes(key: number, nodes: NodeColumns, { source, weight }: PickedEffects, next: number): number {
    const { target, values, columns } = this.#row(key);
    const { mask, before } = nodes;
    const atNodes = this.#atNodes(key, nodes).values;
    if (!atNodes) {
      for (let i = 0; columns && i < columns.length; i++) {
        if (!mask[columns[i]] || values[i] === 0) continue;
        source[next] = before[columns[i]];
        weight[next++] = values[i];
      }
      return next;
    }
    let place = 0;
    for (const { from, to } of rangesOf(this.#plan, target)) {
      for (let node = before[from]; node < before[to]; node++) {
        const value = atNodes[place++];
        if (value === 0) continue;
        source[next] = node;
        weight[next++] = value;
      }
    }
    return next;
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
    this.#bytes -= bytesOf(row) + (this.#nodeRows.get(key)?.values?.byteLength ?? 0);
    this.#rows.delete(key);
    this.#nodeRows.delete(key);
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

function bytesOf({ values, columns }: Pick<CutRow, 'values' | 'columns'>): number {
  return values.byteLength + (columns?.byteLength ?? 0);
}
