import type { GraphNode, NodeId } from './node.ts';

/** Two features of a graph that write alike: the cosine of what they add to the residual stream. */
export type SimilarPair = readonly [a: NodeId, b: NodeId, cosine: number];

/** Pairs that a file may hold: those of some hundred features with each other. */
export const mostSimilarPairs = 5000;

/** Pairs from a file: those of features that are in the graph, with a cosine that is one; the rest is left out. */
export function readSimilarPairs(value: unknown, nodes: readonly GraphNode[]): SimilarPair[] {
  if (!Array.isArray(value)) return [];
  const features = new Map(nodes.filter(({ kind }) => kind === 'feature').map(({ id }) => [id as string, id]));
  return value.slice(0, mostSimilarPairs).flatMap((entry): SimilarPair[] => {
    if (!Array.isArray(entry)) return [];
    const [a, b] = [features.get(entry[0]), features.get(entry[1])];
    const cosine = entry[2];
    const isCosine = typeof cosine === 'number' && cosine >= -1 && cosine <= 1;
    return a !== undefined && b !== undefined && a !== b && isCosine ? [[a, b, cosine]] : [];
  });
}
