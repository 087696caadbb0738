import type { CircuitGraph } from '../src/graph/circuitGraph.ts';
import { flowThrough as flowOfGraph, flowToOutputs } from '../src/graph/flow.ts';
import { type WeightedGraph, weightedGraph } from '../src/graph/prune.ts';
import { atOnce, type Steps } from '../src/graph/steps.ts';

/**
 * For each node, the edges on one side of it: `edges[start[node] … start[node + 1])`. A node's are put in order of
 * |weight| when they are first asked for: of a large graph only few nodes' ever are.
 */
type Adjacency = {
  readonly start: Uint32Array;
  readonly edges: Uint32Array;
  /** [node] 1 where the order is made. */
  readonly isSorted: Uint8Array;
};

export type Side = 'inputs' | 'outputs';

/** A graph with what the panel asks of it over and over: neighbours, shares and influence. Built once per graph. */
export type GraphIndex = {
  readonly graph: CircuitGraph;
  /** The graph as pruning wants it. */
  readonly weighted: WeightedGraph;
  readonly indexOf: ReadonlyMap<string, number>;
  readonly inputs: Adjacency;
  readonly outputs: Adjacency;
  /** [edge] signed weight as a share of all |weight| that enters its target. */
  readonly share: Float32Array;
  /** [node] share of the explained outputs' paths that pass through the node: Σ over paths of products of shares. */
  readonly influence: Float32Array;
  /** [edge] |share| × influence of its target: how much of the outputs runs along the edge. */
  readonly flow: Float32Array;
  readonly nPositions: number;
  readonly nLayers: number;
};

/**
 * Builds the index of a graph.
 * Influence is that of `graph/influence.ts`, with the outputs' probabilities scaled to sum to 1 and counted in.
 */
export function indexGraph(graph: CircuitGraph): GraphIndex {
  return atOnce(indexSteps(graph));
}

/** The same in steps, each short enough for the page to stay awake between them. */
export function* indexSteps(graph: CircuitGraph): Steps<GraphIndex> {
  const { nodes, edges } = graph;
  const inputs = adjacency(edges.target, nodes.length);
  yield;
  const outputs = adjacency(edges.source, nodes.length);
  yield;
  const weighted = weightedGraph(graph);
  yield;
  const share = inputShares(graph);
  yield;
  const reach = flowToOutputs(graph, new Set(), weighted.incoming);
  yield;
  const flow = new Float32Array(share.length);
  for (let edge = 0; edge < flow.length; edge++) flow[edge] = Math.abs(share[edge]) * reach[edges.target[edge]];
  yield;
  const indexOf = new Map<string, number>();
  nodes.forEach((node, position) => {
    if (!indexOf.has(node.id)) indexOf.set(node.id, position);
  });
  let nPositions = graph.metadata.promptTokens.length;
  let nLayers = graph.metadata.nLayers;
  for (const node of nodes) {
    nPositions = Math.max(nPositions, node.pos + 1);
    if (node.kind !== 'logit') nLayers = Math.max(nLayers, node.layer + 1);
  }
  return { graph, weighted, indexOf, inputs, outputs, share, influence: reach, flow, nPositions, nLayers };
}

/** Share of the outputs' paths that pass through at least one of the members. */
export function flowThrough({ graph, weighted }: GraphIndex, members: readonly number[]): number {
  return flowOfGraph(graph, members, weighted.incoming);
}

/** The edges on one side of a node, strongest first. */
export function edgesOf(index: GraphIndex, side: Side, node: number): Uint32Array {
  const { start, edges, isSorted } = index[side];
  const own = edges.subarray(start[node], start[node + 1]);
  if (isSorted[node] === 0) {
    const { weight } = index.graph.edges;
    own.sort((a, b) => Math.abs(weight[b]) - Math.abs(weight[a]) || a - b);
    isSorted[node] = 1;
  }
  return own;
}

function adjacency(ends: Uint32Array, nNodes: number): Adjacency {
  const start = new Uint32Array(nNodes + 1);
  for (const end of ends) start[end + 1]++;
  for (let node = 0; node < nNodes; node++) start[node + 1] += start[node];
  const cursor = start.slice(0, nNodes);
  const edges = new Uint32Array(ends.length);
  for (let edge = 0; edge < ends.length; edge++) edges[cursor[ends[edge]]++] = edge;
  return { start, edges, isSorted: new Uint8Array(nNodes) };
}

function inputShares(graph: CircuitGraph): Float32Array {
  const { target, weight } = graph.edges;
  const total = new Float64Array(graph.nodes.length);
  for (let edge = 0; edge < weight.length; edge++) total[target[edge]] += Math.abs(weight[edge]);
  const share = new Float32Array(weight.length);
  for (let edge = 0; edge < weight.length; edge++) {
    const sum = total[target[edge]];
    share[edge] = sum > 0 ? weight[edge] / sum : 0;
  }
  return share;
}
