import type { CircuitGraph } from './circuitGraph.ts';
import { type IncomingEdges, incomingEdges, influence } from './influence.ts';

/**
 * Influence of every node on the outputs, outputs included; what reaches an absorbing node stops there.
 * @param absorbing nodes by index; none: paths go on to the tokens and errors
 * @param incoming the graph's edges by target, where they are known already
 * @returns [node] arriving share of the outputs' paths
 */
export function flowToOutputs(
  graph: CircuitGraph,
  absorbing: ReadonlySet<number>,
  incoming: IncomingEdges = incomingEdges(graph.nodes.length, graph.edges),
): Float32Array<ArrayBuffer> {
  const weights = outputWeights(graph);
  const total = influence(incoming, weights, absorbing);
  return Float32Array.from(total, (value, node) => value + weights[node]);
}

/**
 * Share of the outputs' paths that pass through at least one of the members: paths are stopped at members and what
 * arrives there is added up, so a chain within the group is counted once.
 */
export function flowThrough(graph: CircuitGraph, members: readonly number[], incoming?: IncomingEdges): number {
  const flow = flowToOutputs(graph, new Set(members), incoming);
  let sum = 0;
  for (const member of members) sum += flow[member];
  return Math.min(1, sum);
}

/** Probabilities of the outputs, scaled to sum to 1; equal when the file gives none. */
function outputWeights(graph: CircuitGraph): Float64Array {
  const isLogit = graph.nodes.map((node) => node.kind === 'logit');
  const weights = Float64Array.from(graph.nodes, (node, index) =>
    isLogit[index] ? Math.max(node.probability ?? 0, 0) : 0,
  );
  const sum = weights.reduce((running, value) => running + value, 0);
  if (sum > 0) return weights.map((value) => value / sum);
  const nLogits = isLogit.filter(Boolean).length;
  return weights.map((_, index) => (isLogit[index] ? 1 / nLogits : 0));
}
