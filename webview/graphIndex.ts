import type { CircuitGraph } from '../src/graph/circuitGraph.ts';
import { flowThrough as flowOfGraph, flowToOutputs } from '../src/graph/flow.ts';

/** For each node, the edges on one side of it: `edges[start[node] … start[node + 1])`, strongest |weight| first. */
type Adjacency = { readonly start: Uint32Array; readonly edges: Uint32Array };

/** A graph with what the panel asks of it over and over: neighbours, shares and influence. Built once per graph. */
export type GraphIndex = {
  readonly graph: CircuitGraph;
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
  const { nodes, edges } = graph;
  const inputs = adjacency(edges.target, edges.weight, nodes.length);
  const outputs = adjacency(edges.source, edges.weight, nodes.length);
  const share = inputShares(graph);
  const reach = flowToOutputs(graph, new Set());
  const flow = new Float32Array(share.length);
  for (let edge = 0; edge < flow.length; edge++) flow[edge] = Math.abs(share[edge]) * reach[edges.target[edge]];
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
  return {
    graph,
    indexOf,
    inputs,
    outputs,
    share,
    influence: reach,
    flow,
    nPositions,
    nLayers,
  };
}

/** Share of the outputs' paths that pass through at least one of the members. */
export function flowThrough({ graph }: GraphIndex, members: readonly number[]): number {
  return flowOfGraph(graph, members);
}

/** The edges on one side of a node, strongest first. */
export function edgesOf(side: Adjacency, node: number): Uint32Array {
  return side.edges.subarray(side.start[node], side.start[node + 1]);
}

function adjacency(ends: Uint32Array, weight: Float32Array, nNodes: number): Adjacency {
  const start = new Uint32Array(nNodes + 1);
  for (const end of ends) start[end + 1]++;
  for (let node = 0; node < nNodes; node++) start[node + 1] += start[node];
  const cursor = start.slice(0, nNodes);
  const edges = new Uint32Array(ends.length);
  for (let edge = 0; edge < ends.length; edge++) edges[cursor[ends[edge]]++] = edge;
  for (let node = 0; node < nNodes; node++) {
    edges.subarray(start[node], start[node + 1]).sort((a, b) => Math.abs(weight[b]) - Math.abs(weight[a]) || a - b);
  }
  return { start, edges };
}

function inputShares(graph: CircuitGraph): Float32Array {
  const { target, weight } = graph.edges;
  const total = new Float64Array(graph.nodes.length);
  for (let edge = 0; edge < weight.length; edge++) total[target[edge]] += Math.abs(weight[edge]);
  return Float32Array.from(weight, (value, edge) => (total[target[edge]] > 0 ? value / total[target[edge]] : 0));
}
