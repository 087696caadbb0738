import type { CircuitGraph, PruningSettings } from './circuitGraph.ts';
import { type IncomingEdges, incomingEdges, influence, rowSum, smallestRowSum } from './influence.ts';
import type { NodeKind } from './node.ts';

/** What pruning and scores need of a graph: edges by target, what each node is, and how much each output counts. */
export type WeightedGraph = {
  readonly incoming: IncomingEdges;
  /** [nNodes] */
  readonly kinds: readonly NodeKind[];
  /** [nNodes] probabilities at the logits, 0 elsewhere. */
  readonly outputWeight: Float64Array;
};

export type Pruned = {
  /** [nNodes] 1: kept. */
  readonly nodes: Uint8Array;
  /** One per edge of `incoming`, in its order. */
  readonly edges: Uint8Array;
};

/**
 * The part of the graph that carries the given shares of the influence on its outputs.
 * Nodes are kept from the most influential down to the one at which the running share reaches `nodeThreshold`; tokens
 * and logits always stay. Edges likewise, by their share of their target's input times the target's influence in the
 * graph of kept nodes. Then what leads nowhere goes: features and errors without an outgoing edge, features without
 * an incoming one.
 * @param nodeInfluence [nNodes] influence on the whole graph, when it is known already
 */
export function prune(
  graph: WeightedGraph,
  thresholds: PruningSettings,
  nodeInfluence: Float64Array = influence(graph.incoming, graph.outputWeight),
): Pruned {
  const cut = cutAtShare(nodeInfluence, thresholds.nodeThreshold);
  const nodes = Uint8Array.from(graph.kinds, (kind, node) => (staysAlways(kind) || nodeInfluence[node] >= cut ? 1 : 0));
  return pruneEdgesAndLooseEnds(graph, nodes, thresholds.edgeThreshold);
}

/**
 * Prunes a graph that was read or received, for a slider that needs no engine. The nodes' stored `influence` speaks of
 * the whole graph they came from and is used where all features have it; otherwise influence is computed from the edges.
 * `edges` answers in the order of `graph.edges`.
 */
export function pruneCircuit(graph: CircuitGraph, thresholds: PruningSettings): Pruned {
  const weighted = weightedGraph(graph);
  const { nodes, edges } = pruneWeighted(graph, weighted, thresholds);
  return { nodes, edges: inFileOrder(graph, weighted.incoming, edges) };
}

/** Which nodes such a pruning keeps, for a graph whose edges are grouped by target already. */
export function keptNodes(graph: CircuitGraph, weighted: WeightedGraph, thresholds: PruningSettings): Uint8Array {
  return pruneWeighted(graph, weighted, thresholds).nodes;
}

function pruneWeighted(graph: CircuitGraph, weighted: WeightedGraph, thresholds: PruningSettings): Pruned {
  const stored = nodesByStoredShare(graph, thresholds.nodeThreshold);
  return stored ? pruneEdgesAndLooseEnds(weighted, stored, thresholds.edgeThreshold) : prune(weighted, thresholds);
}

export function weightedGraph(graph: CircuitGraph): WeightedGraph {
  return {
    incoming: incomingEdges(graph.nodes.length, graph.edges),
    kinds: graph.nodes.map((node) => node.kind),
    outputWeight: Float64Array.from(graph.nodes, (node) => (node.kind === 'logit' ? (node.probability ?? 0) : 0)),
  };
}

/**
 * The value at which, going down from the largest, the running share of the total first reaches `share`; with a share
 * of 1 or more the smallest value above 0. Exact without sorting everything: values are counted by the first bits of
 * their float64 form, and only those of the one class where the cut falls are sorted.
 */
export function cutAtShare(values: Float64Array, share: number): number {
  const sums = new Float64Array(1 << 16);
  const counts = new Uint32Array(1 << 16);
  // The upper half of each number's bits: sign, exponent and first digits. Machines that this runs on store it last.
  const words = new Uint32Array(values.buffer, values.byteOffset, 2 * values.length);
  let total = 0;
  // Over millions of edges an iterator or a function called for each takes ten times as long as a loop.
  for (let index = 0; index < values.length; index++) {
    const value = values[index];
    if (!(value > 0)) continue;
    const size = words[2 * index + 1] >>> 16;
    sums[size] += value;
    counts[size]++;
    total += value;
  }
  if (total === 0) return 0;
  const wanted = share >= 1 ? Number.POSITIVE_INFINITY : share * total;
  let running = 0;
  let last = sums.length - 1;
  let smallest = last;
  for (; last >= 0; last--) {
    if (sums[last] === 0) continue;
    smallest = last;
    if (running + sums[last] >= wanted) break;
    running += sums[last];
  }
  const candidates = new Float64Array(counts[smallest]);
  let next = 0;
  for (let index = 0; index < values.length; index++) {
    if (words[2 * index + 1] >>> 16 === smallest && values[index] > 0) candidates[next++] = values[index];
  }
  candidates.sort();
  // Where rounding let the class end short of the share, all of it is needed.
  if (last < 0) return candidates[0];
  for (let index = candidates.length - 1; index > 0; index--) {
    running += candidates[index];
    if (running >= wanted) return candidates[index];
  }
  return candidates[0];
}

function staysAlways(kind: NodeKind): boolean {
  return kind === 'token' || kind === 'logit';
}

function pruneEdgesAndLooseEnds(graph: WeightedGraph, nodes: Uint8Array, edgeThreshold: number): Pruned {
  const inside = edgesBetween(graph.incoming, nodes);
  const kept = pruneEdges(inside.incoming, graph.outputWeight, edgeThreshold);
  dropLooseEnds(inside.incoming, graph.kinds, nodes, kept);
  const edges = new Uint8Array(graph.incoming.source.length);
  for (let edge = 0; edge < kept.length; edge++) if (kept[edge]) edges[inside.place[edge]] = 1;
  return { nodes, edges };
}

/**
 * The edges that begin and end at kept nodes, and the place of each among all edges: often few of many. Here and below
 * what is done for one target is a function of its own: compilers make those fast after a few of them, and a loop over
 * millions only when most of it has been done.
 */
function edgesBetween(
  { nNodes, start, source, weight }: IncomingEdges,
  nodes: Uint8Array,
): { readonly incoming: IncomingEdges; readonly place: Uint32Array } {
  const newStart = new Uint32Array(nNodes + 1);
  for (let target = 0; target < nNodes; target++) {
    const count = nodes[target] ? countKept(source, start[target], start[target + 1], nodes) : 0;
    newStart[target + 1] = newStart[target] + count;
  }
  const place = new Uint32Array(newStart[nNodes]);
  for (let target = 0; target < nNodes; target++) {
    if (nodes[target]) listKept(source, start[target], start[target + 1], nodes, place, newStart[target]);
  }
  const newSource = new Uint32Array(place.length);
  const newWeight = new Float32Array(place.length);
  for (let target = 0; target < nNodes; target++) {
    pick(source, place, newStart[target], newStart[target + 1], newSource);
    pick(weight, place, newStart[target], newStart[target + 1], newWeight);
  }
  return { incoming: { nNodes, start: newStart, source: newSource, weight: newWeight }, place };
}

function countKept(source: Uint32Array, from: number, to: number, nodes: Uint8Array): number {
  let count = 0;
  for (let edge = from; edge < to; edge++) count += nodes[source[edge]];
  return count;
}

/** Writes the edges whose sources are kept into `places`, from `next` on. */
function listKept(
  source: Uint32Array,
  from: number,
  to: number,
  nodes: Uint8Array,
  places: Uint32Array,
  next: number,
): void {
  let place = next;
  for (let edge = from; edge < to; edge++) if (nodes[source[edge]]) places[place++] = edge;
}

/** into[i] = values[places[i]] for i from … to − 1 */
function pick<Numbers extends Uint32Array | Float32Array>(
  values: Numbers,
  places: Uint32Array,
  from: number,
  to: number,
  into: Numbers,
): void {
  for (let i = from; i < to; i++) into[i] = values[places[i]];
}

/** One per edge, 1: kept. An edge counts as much as its share of its target's input times the target's influence. */
function pruneEdges(incoming: IncomingEdges, outputWeight: Float64Array, share: number): Uint8Array {
  const { nNodes, start, weight } = incoming;
  const nodeInfluence = influence(incoming, outputWeight);
  const scores = new Float64Array(weight.length);
  for (let target = 0; target < nNodes; target++) {
    const scale = (nodeInfluence[target] + outputWeight[target]) / Math.max(rowSum(incoming, target), smallestRowSum);
    if (scale !== 0) setSizes(weight, start[target], start[target + 1], scale, scores);
  }
  // All of the share is every edge that counts at all: there is no cut to look for.
  const cut = share >= 1 ? 0 : cutAtShare(scores, share);
  const kept = new Uint8Array(scores.length);
  for (let target = 0; target < nNodes; target++) markAbove(scores, start[target], start[target + 1], cut, kept);
  return kept;
}

/** into[i] = |values[i]| · scale */
function setSizes(values: Float32Array, from: number, to: number, scale: number, into: Float64Array): void {
  for (let i = from; i < to; i++) into[i] = Math.abs(values[i]) * scale;
}

function markAbove(values: Float64Array, from: number, to: number, cut: number, marks: Uint8Array): void {
  for (let i = from; i < to; i++) if (values[i] > 0 && values[i] >= cut) marks[i] = 1;
}

/** Removes, until nothing changes, features and errors that reach no kept node and features that nothing reaches. */
function dropLooseEnds(
  { nNodes, start, source }: IncomingEdges,
  kinds: readonly NodeKind[],
  nodes: Uint8Array,
  edges: Uint8Array,
): void {
  for (let changed = true; changed; ) {
    changed = false;
    const hasInput = new Uint8Array(nNodes);
    const hasOutput = new Uint8Array(nNodes);
    for (let target = 0; target < nNodes; target++) {
      hasInput[target] = markSources(source, start[target], start[target + 1], edges, hasOutput);
    }
    for (let node = 0; node < nNodes; node++) {
      if (!nodes[node] || staysAlways(kinds[node])) continue;
      if (hasOutput[node] && (hasInput[node] || !isFeature(kinds[node]))) continue;
      nodes[node] = 0;
      changed = true;
    }
    for (let target = 0; changed && target < nNodes; target++) {
      if (nodes[target]) dropEdgesOfDropped(source, start[target], start[target + 1], nodes, edges);
      else edges.fill(0, start[target], start[target + 1]);
    }
  }
}

/** Marks the sources of kept edges. @returns 1 where there is such an edge */
function markSources(source: Uint32Array, from: number, to: number, edges: Uint8Array, marks: Uint8Array): 0 | 1 {
  let has: 0 | 1 = 0;
  for (let edge = from; edge < to; edge++) {
    if (!edges[edge]) continue;
    has = 1;
    marks[source[edge]] = 1;
  }
  return has;
}

function dropEdgesOfDropped(source: Uint32Array, from: number, to: number, nodes: Uint8Array, edges: Uint8Array): void {
  for (let edge = from; edge < to; edge++) edges[edge] &= nodes[source[edge]];
}

function isFeature(kind: NodeKind): boolean {
  return kind === 'feature' || kind === 'attention';
}

/** The nodes up to the first whose stored share reaches the threshold; null when a feature has no stored share. */
function nodesByStoredShare(graph: CircuitGraph, nodeThreshold: number): Uint8Array | null {
  let cut = Number.POSITIVE_INFINITY;
  for (const { kind, influence: share } of graph.nodes) {
    if (isFeature(kind) && share === null) return null;
    if (share !== null && share >= nodeThreshold) cut = Math.min(cut, share);
  }
  return Uint8Array.from(graph.nodes, ({ kind, influence: share }) =>
    staysAlways(kind) || (share !== null && share <= cut) ? 1 : 0,
  );
}

function inFileOrder(graph: CircuitGraph, incoming: IncomingEdges, mask: Uint8Array): Uint8Array {
  const next = incoming.start.slice();
  return Uint8Array.from(graph.edges.target, (target) => mask[next[target]++]);
}
