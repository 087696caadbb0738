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
  const asFloat = new Float64Array(1);
  const asBits = new Uint16Array(asFloat.buffer);
  const classOf = (value: number) => {
    asFloat[0] = value;
    return asBits[3];
  };
  let total = 0;
  // Over millions of edges an iterator takes ten times as long as a number.
  for (let index = 0; index < values.length; index++) {
    const value = values[index];
    if (value > 0) {
      sums[classOf(value)] += value;
      total += value;
    }
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
  const candidates = values.filter((value) => value > 0 && classOf(value) === smallest).sort();
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
  const edges = pruneEdges(graph, nodes, edgeThreshold);
  dropLooseEnds(graph, nodes, edges);
  return { nodes, edges };
}

function pruneEdges(graph: WeightedGraph, nodes: Uint8Array, share: number): Uint8Array {
  const { incoming, outputWeight } = graph;
  const keptInfluence = influence(incoming, outputWeight, nodes);
  const scores = new Float64Array(incoming.source.length);
  for (let target = 0; target < incoming.nNodes; target++) {
    if (!nodes[target]) continue;
    const scale =
      (keptInfluence[target] + outputWeight[target]) / Math.max(rowSum(incoming, target, nodes), smallestRowSum);
    if (scale === 0) continue;
    for (let edge = incoming.start[target]; edge < incoming.start[target + 1]; edge++) {
      if (nodes[incoming.source[edge]]) scores[edge] = Math.abs(incoming.weight[edge]) * scale;
    }
  }
  // All of the share is every edge that counts at all: there is no cut to look for.
  const cut = share >= 1 ? 0 : cutAtShare(scores, share);
  const kept = new Uint8Array(scores.length);
  for (let edge = 0; edge < scores.length; edge++) if (scores[edge] > 0 && scores[edge] >= cut) kept[edge] = 1;
  return kept;
}

/** Removes, until nothing changes, features and errors that reach no kept node and features that nothing reaches. */
function dropLooseEnds(graph: WeightedGraph, nodes: Uint8Array, edges: Uint8Array): void {
  const { incoming, kinds } = graph;
  const { source } = incoming;
  const kept = keptEdges(incoming, edges);
  for (let changed = true; changed; ) {
    changed = false;
    const hasInput = new Uint8Array(nodes.length);
    const hasOutput = new Uint8Array(nodes.length);
    for (let index = 0; index < kept.edge.length; index++) {
      const edge = kept.edge[index];
      if (!edges[edge]) continue;
      hasInput[kept.target[index]] = 1;
      hasOutput[source[edge]] = 1;
    }
    for (let node = 0; node < nodes.length; node++) {
      if (!nodes[node] || staysAlways(kinds[node])) continue;
      if (hasOutput[node] && (hasInput[node] || !isFeature(kinds[node]))) continue;
      nodes[node] = 0;
      changed = true;
    }
    for (let index = 0; index < kept.edge.length; index++) {
      const edge = kept.edge[index];
      if (!nodes[source[edge]] || !nodes[kept.target[index]]) edges[edge] = 0;
    }
  }
}

function isFeature(kind: NodeKind): boolean {
  return kind === 'feature' || kind === 'attention';
}

function keptEdges(incoming: IncomingEdges, edges: Uint8Array): { edge: Uint32Array; target: Uint32Array } {
  let count = 0;
  for (let edge = 0; edge < edges.length; edge++) count += edges[edge];
  const edge = new Uint32Array(count);
  const target = new Uint32Array(count);
  let next = 0;
  for (let node = 0; node < incoming.nNodes; node++) {
    for (let place = incoming.start[node]; place < incoming.start[node + 1]; place++) {
      if (!edges[place]) continue;
      edge[next] = place;
      target[next++] = node;
    }
  }
  return { edge, target };
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
