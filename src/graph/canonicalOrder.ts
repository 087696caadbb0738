import type { Edges } from './circuitGraph.ts';
import type { GraphNode, NodeKind } from './node.ts';

const kindOrder: Readonly<Record<NodeKind, number>> = {
  feature: 0,
  attention: 1,
  error: 2,
  'attention error': 3,
  bias: 4,
  unknown: 5,
  token: 6,
  logit: 7,
};

/**
 * Nodes and edges in the order in which files are written, so that files compare well in version control:
 * features by layer, position and index; errors by layer and position; tokens; logits as given; edges by target, then
 * source. What is in order already is handed back as it is.
 */
export function inCanonicalOrder(
  nodes: readonly GraphNode[],
  edges: Edges,
): { nodes: readonly GraphNode[]; edges: Edges } {
  const order = Uint32Array.from(nodes.keys());
  const isSorted = nodes.every((node, index) => index === 0 || compareNodes(nodes[index - 1], node) <= 0);
  if (!isSorted) order.sort((a, b) => compareNodes(nodes[a], nodes[b]) || a - b);
  const placeOf = new Uint32Array(nodes.length);
  for (let place = 0; place < order.length; place++) placeOf[order[place]] = place;
  return {
    nodes: isSorted ? nodes : Array.from(order, (index) => nodes[index]),
    edges: orderedEdges(edges, placeOf, isSorted),
  };
}

function compareNodes(a: GraphNode, b: GraphNode): number {
  const byKind = kindOrder[a.kind] - kindOrder[b.kind];
  if (byKind !== 0 || a.kind === 'logit') return byKind;
  return a.layer - b.layer || a.pos - b.pos || (a.feature ?? -1) - (b.feature ?? -1);
}

function orderedEdges(edges: Edges, placeOf: Uint32Array, nodesWereSorted: boolean): Edges {
  const count = edges.source.length;
  const keys = new Float64Array(count);
  const nNodes = placeOf.length;
  let isSorted = nodesWereSorted;
  for (let edge = 0; edge < count; edge++) {
    keys[edge] = placeOf[edges.target[edge]] * nNodes + placeOf[edges.source[edge]];
    if (edge > 0 && keys[edge - 1] > keys[edge]) isSorted = false;
  }
  if (isSorted) return edges;
  const order = Uint32Array.from(keys.keys()).sort((a, b) => keys[a] - keys[b] || a - b);
  const ambiguous = edges.ambiguous;
  return {
    source: Uint32Array.from(order, (edge) => placeOf[edges.source[edge]]),
    target: Uint32Array.from(order, (edge) => placeOf[edges.target[edge]]),
    weight: Float32Array.from(order, (edge) => edges.weight[edge]),
    ...(ambiguous ? { ambiguous: Uint8Array.from(order, (edge) => ambiguous[edge]) } : {}),
  };
}
