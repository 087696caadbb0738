import type { Edges } from './circuitGraph.ts';

/**
 * Edges grouped by their target: those into node t are `start[t]` … `start[t + 1]` of `source` and `weight`.
 * Sparse, so that a trace with tens of thousands of features fits; edges of weight 0 need not be there.
 */
export type IncomingEdges = {
  readonly nNodes: number;
  /** [nNodes + 1] */
  readonly start: Uint32Array;
  readonly source: Uint32Array;
  readonly weight: Float32Array;
};

/** Row sums below this count as this when shares are taken (the reference implementation's clamp). */
export const smallestRowSum = 1e-10;

const nothing: ReadonlySet<number> = new Set();

/**
 * How much each node matters to the explained outputs: the sum over all paths of the product of their edges' shares,
 *   influence = w·M + w·M² + …,  M[t, s] = |weight(s → t)| / Σ_source |weight(source → t)|.
 * Paths end because the graph has no cycle (an edge always leads to a higher layer), so each edge is passed once and
 * the sum is exact: a node's own total is complete before it is handed on to its sources.
 * @param outputWeight [nNodes] w: the outputs' probabilities at their nodes, 0 elsewhere
 * @param absorbing nodes at which paths end: what reaches them is not handed on
 * @returns [nNodes] influence in float64; an output's own weight is not part of its influence
 */
export function influence(
  incoming: IncomingEdges,
  outputWeight: Float64Array,
  absorbing: ReadonlySet<number> = nothing,
): Float64Array {
  const { nNodes, start, source } = incoming;
  const unread = outgoingCounts(incoming);
  const total = new Float64Array(nNodes);
  const ready: number[] = [];
  for (let node = 0; node < nNodes; node++) if (unread[node] === 0) ready.push(node);
  let visited = 0;
  const visit = (target: number) => {
    visited++;
    if (!absorbing.has(target)) passOn(incoming, target, total[target] + outputWeight[target], total);
    for (let edge = start[target]; edge < start[target + 1]; edge++) {
      if (--unread[source[edge]] === 0) ready.push(source[edge]);
    }
  };
  for (let next = ready.pop(); next !== undefined; next = ready.pop()) visit(next);
  // Only a damaged or foreign file has a cycle: its nodes hand on what has reached them, in file order, once.
  for (let node = 0; visited < nNodes && node < nNodes; node++) {
    if (unread[node] === 0) continue;
    unread[node] = 0;
    visit(node);
    for (let next = ready.pop(); next !== undefined; next = ready.pop()) visit(next);
  }
  return total;
}

/** Adds to every source of `target` its share of `amount`. */
function passOn(incoming: IncomingEdges, target: number, amount: number, total: Float64Array): void {
  if (amount === 0) return;
  const { start, source, weight } = incoming;
  const scale = amount / Math.max(rowSum(incoming, target), smallestRowSum);
  for (let edge = start[target]; edge < start[target + 1]; edge++) {
    total[source[edge]] += Math.abs(weight[edge]) * scale;
  }
}

/** Σ |weight| of the edges into `target`. */
export function rowSum(incoming: IncomingEdges, target: number): number {
  const { start, weight } = incoming;
  let sum = 0;
  for (let edge = start[target]; edge < start[target + 1]; edge++) sum += Math.abs(weight[edge]);
  return sum;
}

/**
 * Share of the whole that each value and all larger ones hold together: small = important; 1 for the smallest.
 * All 0 when there is nothing to share.
 */
export function cumulativeShares(values: Float64Array): Float64Array {
  const shares = new Float64Array(values.length);
  let total = 0;
  for (const value of values) total += value;
  if (total === 0) return shares;
  const order = Uint32Array.from(values, (_, index) => index).sort((a, b) => values[b] - values[a] || a - b);
  let running = 0;
  for (const index of order) {
    running += values[index];
    shares[index] = running / total;
  }
  return shares;
}

/** Groups edges by target; within a target they keep their order. */
export function incomingEdges(nNodes: number, edges: Edges): IncomingEdges {
  const start = new Uint32Array(nNodes + 1);
  for (const target of edges.target) start[target + 1]++;
  for (let node = 0; node < nNodes; node++) start[node + 1] += start[node];
  const next = start.slice();
  const source = new Uint32Array(edges.source.length);
  const weight = new Float32Array(edges.source.length);
  for (let edge = 0; edge < edges.target.length; edge++) {
    const place = next[edges.target[edge]]++;
    source[place] = edges.source[edge];
    weight[place] = edges.weight[edge];
  }
  return { nNodes, start, source, weight };
}

function outgoingCounts({ nNodes, source }: IncomingEdges): Uint32Array {
  const counts = new Uint32Array(nNodes);
  // Over millions of edges an iterator takes ten times as long as a number.
  for (let edge = 0; edge < source.length; edge++) counts[source[edge]]++;
  return counts;
}
