import type { GraphScores } from './circuitGraph.ts';
import { influence, smallestRowSum } from './influence.ts';
import type { WeightedGraph } from './prune.ts';

/**
 * How much of the model the whole, unpruned graph explains.
 *   replacement  = I(tokens) / (I(tokens) + I(errors))
 *   completeness = Σ_node (1 − error share of its inputs) · (I + w) / Σ_node (I + w)
 * Both 0 when nothing reaches the outputs.
 * @param nodeInfluence [nNodes] I, when it is known already
 * @param handedOn [nNodes] I + w, or where some nodes' inputs are not known what each node hands on in their stead
 */
export function scores(
  graph: WeightedGraph,
  nodeInfluence: Float64Array = influence(graph.incoming, graph.outputWeight),
  handedOn: Float64Array = nodeInfluence.map((value, node) => value + graph.outputWeight[node]),
): GraphScores {
  const isError = Uint8Array.from(graph.kinds, (kind) => (kind === 'error' || kind === 'attention error' ? 1 : 0));
  let tokens = 0;
  let errors = 0;
  let explained = 0;
  let whole = 0;
  for (let node = 0; node < graph.kinds.length; node++) {
    if (graph.kinds[node] === 'token') tokens += nodeInfluence[node];
    if (isError[node]) errors += nodeInfluence[node];
    const weight = handedOn[node];
    if (weight === 0) continue;
    whole += weight;
    explained += weight * (1 - errorShare(graph, isError, node));
  }
  return {
    replacement: tokens + errors === 0 ? 0 : tokens / (tokens + errors),
    completeness: whole === 0 ? 0 : explained / whole,
  };
}

function errorShare(graph: WeightedGraph, isError: Uint8Array, target: number): number {
  const { start, source, weight } = graph.incoming;
  let errors = 0;
  let whole = 0;
  for (let edge = start[target]; edge < start[target + 1]; edge++) {
    const size = Math.abs(weight[edge]);
    whole += size;
    if (isError[source[edge]]) errors += size;
  }
  return errors / Math.max(whole, smallestRowSum);
}
