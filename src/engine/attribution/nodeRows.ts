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

/** Effects of the nodes that can reach a target, in their order: what estimates read again and again, without gaps. */
export type NodeRow = {
  readonly values: Float32Array;
  /** Σ |effect| */
  readonly sum: number;
};

/** The part of a row at nodes; 0 for effects that are not kept. @param newFloats gives the array */
export function nodeRowOf(
  { target, values, columns }: RowEffects,
  plan: ColumnPlan,
  { list, before }: NodeColumns,
  newFloats: NewFloats = (length) => new Float32Array(length),
): NodeRow {
  const ranges = rangesOf(plan, target);
  const found = newFloats(ranges.reduce((count, { from, to }) => count + before[to] - before[from], 0));
  let next = 0;
  let start = 0;
  for (const { from, to } of ranges) {
    if (columns) {
      for (let node = before[from]; node < before[to]; node++, next++) {
        while (start < columns.length && columns[start] < list[node]) start++;
        if (columns[start] === list[node]) found[next] = values[start];
      }
      continue;
    }
    const shift = start - from;
    for (let node = before[from]; node < before[to]; node++) found[next++] = values[list[node] + shift];
    start += to - from;
  }
  let sum = 0;
  for (let place = 0; place < found.length; place++) sum += Math.abs(found[place]);
  return { values: found, sum };
}

/** Adds |effect| · scale of a target's nodes to their places of `into` [node]. */
export function addNodeSizes(
  { target }: Pick<RowEffects, 'target'>,
  { values }: NodeRow,
  plan: ColumnPlan,
  { before }: NodeColumns,
  scale: number,
  into: Float64Array,
): void {
  let place = 0;
  for (const { from, to } of rangesOf(plan, target)) {
    const count = before[to] - before[from];
    addSizes(values, place, scale, into, before[from], count);
    place += count;
  }
}
