import type { Edges } from '../../src/graph/circuitGraph.ts';
import { incomingEdges } from '../../src/graph/influence.ts';
import type { NodeKind } from '../../src/graph/node.ts';
import type { WeightedGraph } from '../../src/graph/prune.ts';
import { floats, type GoldenTensor } from './goldens.ts';

/** The golden adjacency (row = target) as a sparse graph in the golden's node order. */
export function goldenGraph(tensors: Map<string, GoldenTensor>): WeightedGraph {
  const adjacency = floats(tensors, 'adjacency');
  const [nLayers, nPos] = tensors.get('error_norms')!.shape;
  const probabilities = floats(tensors, 'logit_probabilities');
  const nNodes = tensors.get('adjacency')!.shape[0];
  const nFeatures = nNodes - nLayers * nPos - nPos - probabilities.length;
  const kinds = Array.from({ length: nNodes }, (_, node): NodeKind => {
    if (node < nFeatures) return 'feature';
    if (node < nFeatures + nLayers * nPos) return 'error';
    return node < nNodes - probabilities.length ? 'token' : 'logit';
  });
  const outputWeight = new Float64Array(nNodes);
  outputWeight.set(probabilities, nNodes - probabilities.length);
  return { incoming: incomingEdges(nNodes, sparse(adjacency, nNodes)), kinds, outputWeight };
}

/** Every entry of a dense [target, source] matrix that is not 0. */
export function sparse(matrix: Float32Array, nNodes: number): Edges {
  const places = [...matrix.keys()].filter((place) => matrix[place] !== 0);
  return {
    source: Uint32Array.from(places, (place) => place % nNodes),
    target: Uint32Array.from(places, (place) => Math.floor(place / nNodes)),
    weight: Float32Array.from(places, (place) => matrix[place]),
  };
}

/** An edge mask of the sparse graph as the golden's dense [target, source] mask. */
export function denseEdgeMask(graph: WeightedGraph, edges: Uint8Array): Uint8Array {
  const { nNodes, start, source } = graph.incoming;
  const dense = new Uint8Array(nNodes * nNodes);
  for (let target = 0; target < nNodes; target++) {
    for (let edge = start[target]; edge < start[target + 1]; edge++)
      dense[target * nNodes + source[edge]] = edges[edge];
  }
  return dense;
}
