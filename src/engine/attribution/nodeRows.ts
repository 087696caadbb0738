import { type ColumnPlan, type NewFloats, type RowEffects, rangesOf } from './rowColumns.ts';
import { addSizes } from './scaledRows.ts';

/** Source columns that are nodes of a graph. Threads see these arrays too. */
export type NodeColumns = {
  /** [source column] 1 for nodes */
  readonly mask: Uint8Array;
  /** The nodes' columns, ascending. */
  readonly list: Uint32Array;
  /** [source column + 1] how many nodes are among the columns before */
  readonly before: Uint32Array;
};

/** @param mask [source column] 1 for nodes */
export function nodeColumns(mask: Uint8Array): NodeColumns {
  const before = new Uint32Array(new SharedArrayBuffer((mask.length + 1) * 4));
  for (let column = 0; column < mask.length; column++) before[column + 1] = before[column] + mask[column];
  const list = new Uint32Array(new SharedArrayBuffer(before[mask.length] * 4));
  for (let column = 0; column < mask.length; column++) if (mask[column]) list[before[column]] = column;
  return { mask, list, before };
}

/** The part of a row at nodes. */
export type NodeRow = {
  /**
   * Effects of all nodes that can reach the target, in their order: what estimates read again and again, without gaps.
   * Null: a cut row, which is short, is read itself.
   */
  readonly values: Float32Array | null;
  /** Σ |effect| of the nodes, of what is kept */
  readonly sum: number;
};

/** The part of a row at nodes. @param newFloats gives the array */
export function nodeRowOf(
  { target, values, columns }: RowEffects,
  plan: ColumnPlan,
  { mask, list, before }: NodeColumns,
  newFloats: NewFloats = (length) => new Float32Array(length),
): NodeRow {
  let sum = 0;
  if (columns) {
    for (let place = 0; place < columns.length; place++) sum += Math.abs(values[place]) * mask[columns[place]];
    return { values: null, sum };
  }
  const ranges = rangesOf(plan, target);
  const found = newFloats(ranges.reduce((count, { from, to }) => count + before[to] - before[from], 0));
  let next = 0;
  let start = 0;
  for (const { from, to } of ranges) {
    const shift = start - from;
    for (let node = before[from]; node < before[to]; node++) found[next++] = values[list[node] + shift];
    start += to - from;
  }
  for (let place = 0; place < found.length; place++) sum += Math.abs(found[place]);
  return { values: found, sum };
}

/** Adds |effect| · scale of a target's nodes to their places of `into` [node]. */
export function addNodeSizes(
  { target, values, columns }: RowEffects,
  { values: atNodes }: NodeRow,
  plan: ColumnPlan,
  { mask, before }: NodeColumns,
  scale: number,
  into: Float64Array,
): void {
  if (atNodes) {
    let place = 0;
    for (const { from, to } of rangesOf(plan, target)) {
      const count = before[to] - before[from];
      addSizes(atNodes, place, scale, into, before[from], count);
      place += count;
    }
    return;
  }
  if (!columns) throw new Error('a whole row without its part at nodes');
  for (let place = 0; place < columns.length; place++) {
    if (mask[columns[place]]) into[before[columns[place]]] += Math.abs(values[place]) * scale;
  }
}
