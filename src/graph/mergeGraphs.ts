import { type CircuitGraph, emptyView } from './circuitGraph.ts';
import { compareGraphs, type GraphComparison, isChanged } from './compare.ts';
import type { GraphNode, NodeId } from './node.ts';

/** Groups of the picture name at most this many features: those that matter most. */
const mostInGroup = 40;

/** Two graphs as one, and where its nodes are in each: −1 where a side lacks the node. */
export type MergedGraph = {
  readonly graph: CircuitGraph;
  readonly comparison: GraphComparison;
  /** [merged node] */
  readonly leftOf: Int32Array;
  readonly rightOf: Int32Array;
};

/**
 * Two graphs as one picture: tokens aligned, what both have drawn once, and groups of what only one has and of what
 * both have with another activation. Edges that both have carry the mean of their weights.
 * @param names of the left and the right graph, for the groups
 */
export function mergeGraphs(left: CircuitGraph, right: CircuitGraph, names: readonly [string, string]): MergedGraph {
  const comparison = compareGraphs(left, right);
  const { positions, nodes: shared, edges } = comparison;
  const placeOf = (side: 'left' | 'right'): Map<number, number> =>
    new Map(positions.flatMap((pair, place) => (pair[side] === null ? [] : [[pair[side], place] as const])));
  const [leftPlace, rightPlace] = [placeOf('left'), placeOf('right')];
  const nLayers = Math.max(left.metadata.nLayers, right.metadata.nLayers);
  const layerOf = (node: GraphNode): number => (node.kind === 'logit' ? nLayers : node.layer);

  // Left nodes keep their ids and places; those of the right that the left lacks come behind.
  const merged: GraphNode[] = left.nodes.map((node) => ({
    ...node,
    pos: leftPlace.get(node.pos) ?? node.pos,
    layer: layerOf(node),
  }));
  const rightIndex = new Map(shared.both.map((pair) => [pair.right, pair.left]));
  for (const index of shared.onlyRight) {
    const node = right.nodes[index];
    rightIndex.set(index, merged.length);
    const pos = rightPlace.get(node.pos) ?? node.pos;
    merged.push({ ...node, id: `right ${node.id}` as NodeId, pos, layer: layerOf(node), isTarget: false });
  }

  const columns: { source: number; target: number; weight: number }[] = [
    ...edges.onlyLeft.map((edge) => edgeAt(left, edge)),
    ...edges.both.map(({ left: edge, change }) => {
      const { source, target, weight } = edgeAt(left, edge);
      return { source, target, weight: weight + change / 2 };
    }),
    ...edges.onlyRight.map((edge) => {
      const { source, target, weight } = edgeAt(right, edge);
      return { source: rightIndex.get(source) ?? 0, target: rightIndex.get(target) ?? 0, weight };
    }),
  ];
  const tokenAt = (graph: CircuitGraph, pos: number | null): string | null =>
    pos === null ? null : graph.metadata.promptTokens[pos];
  const tokens = positions.map((pair) => {
    const [a, b] = [tokenAt(left, pair.left), tokenAt(right, pair.right)];
    return a === b || b === null ? (a ?? '') : a === null ? b : `${a} |${b}`;
  });

  const group = (label: string, indices: readonly number[]) => ({
    label,
    members: indices
      .filter((index) => merged[index].kind === 'feature')
      .sort((a, b) => (merged[a].influence ?? 2) - (merged[b].influence ?? 2))
      .slice(0, mostInGroup)
      .map((index) => merged[index].id as string),
  });
  const supernodes = [
    group(`Only ${names[0]}`, shared.onlyLeft),
    group(
      `Only ${names[1]}`,
      shared.onlyRight.map((index) => rightIndex.get(index) ?? 0),
    ),
    group(
      'Both, with another activation',
      shared.both.filter((pair) => isChanged(left, pair)).map((pair) => pair.left),
    ),
  ].filter((entry) => entry.members.length > 0);

  const leftOf = Int32Array.from(merged, (_, index) => (index < left.nodes.length ? index : -1));
  const rightOf = new Int32Array(merged.length).fill(-1);
  for (const [index, place] of rightIndex) rightOf[place] = index;
  const graph: CircuitGraph = {
    metadata: {
      ...left.metadata,
      slug: 'comparison',
      prompt: `${left.metadata.prompt} | ${right.metadata.prompt}`,
      promptTokens: tokens,
      promptTokenIds: null,
      nLayers,
      scores: null,
      activeFeatures: null,
    },
    nodes: merged,
    edges: {
      source: Uint32Array.from(columns, (edge) => edge.source),
      target: Uint32Array.from(columns, (edge) => edge.target),
      weight: Float32Array.from(columns, (edge) => edge.weight),
    },
    view: { ...emptyView, supernodes, pinned: supernodes.flatMap((entry) => entry.members) },
    foreign: {},
  };
  return { graph, comparison, leftOf, rightOf };
}

/**
 * A graph with its tokens at the places of an alignment, so that it can be drawn beside the other one: places where it
 * has no token stay empty. Nodes and edges keep their order.
 */
export function alignGraph(
  graph: CircuitGraph,
  positions: GraphComparison['positions'],
  side: 'left' | 'right',
  nLayers: number,
): CircuitGraph {
  const placeOf = new Map(
    positions.flatMap((pair, place) => (pair[side] === null ? [] : [[pair[side], place] as const])),
  );
  return {
    ...graph,
    metadata: {
      ...graph.metadata,
      promptTokens: positions.map((pair) => (pair[side] === null ? '' : graph.metadata.promptTokens[pair[side]])),
      promptTokenIds: null,
      nLayers,
    },
    nodes: graph.nodes.map((node) => ({
      ...node,
      pos: placeOf.get(node.pos) ?? node.pos,
      layer: node.kind === 'logit' ? nLayers : node.layer,
    })),
  };
}

function edgeAt({ edges }: CircuitGraph, edge: number): { source: number; target: number; weight: number } {
  return { source: edges.source[edge], target: edges.target[edge], weight: edges.weight[edge] };
}
