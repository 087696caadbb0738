import { type CircuitGraph, emptyView, type GraphView } from '../../src/graph/circuitGraph.ts';
import type { GraphNode } from '../../src/graph/node.ts';
import { errorId, featureId, logitId, tokenId } from '../../src/graph/nodeIds.ts';

const plain = { feature: null, label: '', activation: null, influence: null, probability: null, isTarget: false };

export function feature(layer: number, index: number, pos: number, more: Partial<GraphNode> = {}): GraphNode {
  const site = { layer, feature: index, pos };
  return { ...plain, ...site, id: featureId(site), kind: 'feature', activation: 1, ...more };
}

export function error(layer: number, pos: number): GraphNode {
  return { ...plain, layer, pos, id: errorId(layer, pos), kind: 'error' };
}

export function token(id: number, pos: number, label: string): GraphNode {
  return { ...plain, layer: -1, pos, feature: id, id: tokenId(id, pos), kind: 'token', label };
}

export function logit(id: number, pos: number, label: string, probability: number, isTarget = false): GraphNode {
  return { ...plain, layer: 4, pos, feature: id, id: logitId(4, id, pos), kind: 'logit', label, probability, isTarget };
}

/** A graph of four layers out of nodes in order and edges as [source id, target id, weight]. */
export function smallGraph(
  promptTokens: readonly string[],
  nodes: readonly GraphNode[],
  edges: readonly (readonly [string, string, number])[],
  view: Partial<GraphView> = {},
): CircuitGraph {
  const indexOf = new Map(nodes.map((node, index) => [String(node.id), index]));
  const place = (id: string) => indexOf.get(id) ?? Number.NaN;
  if (edges.some(([source, target]) => Number.isNaN(place(source) + place(target)))) throw new Error('edge to nowhere');
  return {
    metadata: {
      slug: 'small',
      scan: 'example/set',
      modelName: 'example/model',
      prompt: promptTokens.join(''),
      promptTokens,
      promptTokenIds: null,
      nLayers: 4,
      scores: { replacement: 0.5, completeness: 0.75 },
      generation: null,
      pruning: null,
      nodeThreshold: 0.8,
      activeFeatures: null,
      generator: { name: 'Prompt Circuits', version: '0.1.0' },
      createdAt: null,
    },
    nodes,
    edges: {
      source: Uint32Array.from(edges, ([source]) => place(source)),
      target: Uint32Array.from(edges, ([, target]) => place(target)),
      weight: Float32Array.from(edges, ([, , weight]) => weight),
    },
    view: { ...emptyView, ...view },
    foreign: {},
  };
}

/**
 * The capital of the state containing Dallas is → Austin, as a picture of it: 75 % of what reaches Austin comes through
 * feature 20 of layer 2 (half of it by the two features of layer 1), 25 % straight from an error.
 */
export function dallasGraph(view: Partial<GraphView> = {}): CircuitGraph {
  return smallGraph(
    ['capital', ' Dallas', ' is'],
    [
      feature(1, 10, 1, { label: 'Texas', influence: 0.6 }),
      feature(1, 11, 1, { influence: 0.7 }),
      feature(2, 20, 2, { label: 'say Austin', influence: 0.4 }),
      error(3, 2),
      token(5, 0, 'capital'),
      token(6, 1, ' Dallas'),
      logit(9, 2, ' Austin', 0.9, true),
      logit(8, 2, ' Boston', 0.05),
    ],
    [
      ['E_6_1', '1_10_1', 4],
      ['E_6_1', '1_11_1', 2],
      ['1_10_1', '2_20_2', 1],
      ['1_11_1', '2_20_2', -1],
      ['E_5_0', '2_20_2', 2],
      ['2_20_2', '5_9_2', 3],
      ['3_error_mlp_2', '5_9_2', -1],
      ['2_20_2', '5_8_2', -0.5],
    ],
    view,
  );
}
