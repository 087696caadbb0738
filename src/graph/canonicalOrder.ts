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
  const target = edges.target.map((node) => placeOf[node]);
  const source = edges.source.map((node) => placeOf[node]);
  let isSorted = nodesWereSorted;
  for (let edge = 1; edge < target.length && isSorted; edge++) {
    const step = target[edge] - target[edge - 1];
    isSorted = step > 0 || (step === 0 && source[edge] >= source[edge - 1]);
  }
  if (isSorted) return edges;
  // Both passes keep the order of equals, so the second leaves each target's edges by source.
  const bySource = countingSort(Uint32Array.from(source.keys()), source, placeOf.length);
  const order = countingSort(bySource, target, placeOf.length);
  const ambiguous = edges.ambiguous;
  return {
    source: order.map((edge) => source[edge]),
    target: order.map((edge) => target[edge]),
    weight: Float32Array.from(order, (edge) => edges.weight[edge]),
    ...(ambiguous ? { ambiguous: Uint8Array.from(order, (edge) => ambiguous[edge]) } : {}),
  };
}

/** The items in the order of their keys, which are below `nKeys`; items of one key stay as they are. In linear time. */
function countingSort(items: Uint32Array, keyOf: Uint32Array, nKeys: number): Uint32Array {
  const next = new Uint32Array(nKeys + 1);
  for (const item of items) next[keyOf[item] + 1]++;
  for (let key = 0; key < nKeys; key++) next[key + 1] += next[key];
  const sorted = new Uint32Array(items.length);
  for (const item of items) sorted[next[keyOf[item]]++] = item;
  return sorted;
}
