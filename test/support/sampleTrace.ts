import type { CircuitGraph, GraphView } from '../../src/graph/circuitGraph.ts';
import { emptyView } from '../../src/graph/circuitGraph.ts';
import type { GraphNode, NodeId, NodeKind } from '../../src/graph/node.ts';
import type { FeatureCard, Inspection, LayerInspection } from '../../src/protocol/engine.ts';
import type { PanelTrace } from '../../src/protocol/panel.ts';

/** A small seeded generator (mulberry32), so that pictures are the same on every machine. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const tokens = ['<|begin|>', 'Fact', ':', ' the', ' capital', ' of', ' the', ' state', ' containing', ' Dallas', ' is'];

type Draft = { layer: number; pos: number; kind: NodeKind; label: string; feature: number; activation: number | null };

/** Labels of the made-up circuit: [label, position, layers]. */
const concepts: readonly (readonly [string, number, readonly number[]])[] = [
  ['capital cities', 4, [0, 1, 1]],
  ['asks for a capital', 10, [3, 4]],
  ['US states', 7, [0, 1]],
  ['state that contains', 8, [2]],
  ['Dallas', 9, [0, 0]],
  ['Texas', 9, [1, 2, 2, 3]],
  ['Texas', 10, [3, 4]],
  ['say a capital', 10, [4, 5, 5]],
  ['say Austin', 10, [5]],
  ['cities of the southern US', 9, [1]],
  ['of + noun', 5, [0]],
  ['end of a question', 10, [2]],
  ['', 10, [1, 2, 3]],
  ['', 9, [3]],
  ['', 6, [1]],
  ['beginning of a fact', 2, [0, 1]],
];

/** A made-up trace with labels, groups to find and an answer: "Austin". Six layers, eleven tokens. */
export function dallasTrace(view: Partial<GraphView> = {}): PanelTrace {
  const random = seededRandom(7);
  const drafts: Draft[] = [];
  let feature = 100;
  for (const [label, pos, layers] of concepts) {
    for (const layer of layers) {
      drafts.push({ layer, pos, kind: 'feature', label, feature: feature++, activation: 0.5 + 3 * random() });
    }
  }
  // The same feature fires at two tokens.
  drafts.push({
    layer: 1,
    pos: 10,
    kind: 'feature',
    label: 'Texas',
    feature: drafts.find(({ label, layer }) => label === 'Texas' && layer === 1)!.feature,
    activation: 1.2,
  });
  for (let layer = 0; layer < 6; layer++) {
    for (const pos of [9, 10]) drafts.push({ layer, pos, kind: 'error', label: '', feature: -1, activation: null });
  }
  for (let pos = 0; pos < tokens.length; pos++) {
    drafts.push({ layer: -1, pos, kind: 'token', label: '', feature: 300 + pos, activation: null });
  }
  const outputs = [
    [' Austin', 0.812],
    [' Texas', 0.061],
    [' Houston', 0.034],
    [' Dallas', 0.021],
    [' the', 0.012],
  ] as const;
  const nodes = drafts.map(
    (draft): GraphNode => ({
      ...draft,
      id: nodeId(draft),
      feature: draft.kind === 'error' ? null : draft.feature,
      influence: null,
      probability: null,
      isTarget: false,
    }),
  );
  outputs.forEach(([text, probability], order) => {
    nodes.push({
      id: `7_${400 + order}_10` as NodeId,
      kind: 'logit',
      layer: 6,
      pos: 10,
      feature: 400 + order,
      label: `Output "${text}" (p=${probability.toFixed(3)})`,
      activation: null,
      influence: null,
      probability,
      isTarget: order === 0,
    });
  });
  return traceOf(nodes, 6, tokens, random, view);
}

/** Wires every node to earlier ones with weights that favour likely paths, and wraps the graph up as a trace. */
function traceOf(
  nodes: readonly GraphNode[],
  nLayers: number,
  promptTokens: readonly string[],
  random: () => number,
  view: Partial<GraphView>,
): PanelTrace {
  const source: number[] = [];
  const target: number[] = [];
  const weight: number[] = [];
  nodes.forEach((to, targetIndex) => {
    if (to.kind !== 'feature' && to.kind !== 'logit') return;
    nodes.forEach((from, sourceIndex) => {
      if (from.layer >= to.layer || from.pos > to.pos || from.kind === 'logit') return;
      const isNear = from.pos === to.pos ? 1 : 0.35;
      const isAlike = from.label !== '' && to.label.includes(from.label.split(' ')[0]) ? 4 : 1;
      const size = { token: 0.8, error: 0.25, feature: 1 }[from.kind as 'token' | 'error' | 'feature'] ?? 1;
      if (random() > 0.55 * isNear * isAlike) return;
      source.push(sourceIndex);
      target.push(targetIndex);
      weight.push((random() < 0.2 ? -0.6 : 1) * isNear * isAlike * size * (0.1 + random() ** 2));
    });
  });
  const graph: CircuitGraph = {
    metadata: {
      slug: 'sample',
      scan: 'sample/set',
      modelName: 'sample model',
      prompt: promptTokens.join(''),
      promptTokens,
      promptTokenIds: null,
      nLayers,
      scores: { replacement: 0.91, completeness: 0.96 },
      generation: null,
      pruning: null,
      nodeThreshold: 0.8,
      activeFeatures: nodes.length,
      generator: null,
      createdAt: null,
    },
    nodes,
    edges: { source: Uint32Array.from(source), target: Uint32Array.from(target), weight: Float32Array.from(weight) },
    view: { ...emptyView, ...view },
    foreign: {},
  };
  return asTrace(graph);
}

/** A graph as the panel receives it. */
export function asTrace(graph: CircuitGraph, id = 'trace 1'): PanelTrace {
  return {
    id,
    graph,
    predictions: [],
    warnings: [],
    unexpandedInfluence: 0,
    droppedEdgeWeight: 0,
    device: 'cpu',
    milliseconds: 412,
    hasModel: true,
  };
}

/** What a made-up model's layers do at the tokens of a made-up trace: from repeating the token to the answer. */
export function sampleInspection({ graph }: PanelTrace): Inspection {
  const random = seededRandom(5);
  const { promptTokens, nLayers } = graph.metadata;
  const last = promptTokens.length - 1;
  const columns = promptTokens.map((token, pos) => {
    const answer = pos === last ? ' Austin' : (promptTokens[pos + 1] ?? '');
    return Array.from({ length: nLayers }, (_, layer): LayerInspection => {
      const sure = pos === 0 ? 0.2 : (layer + 1) / (nLayers + 1) - 0.15 * random();
      const isLate = layer > 2 || (pos === last && layer === 2);
      const features = graph.nodes.filter(
        (node) => node.kind === 'feature' && node.layer === layer && node.pos === pos,
      );
      return {
        layer,
        residNorm: (pos === 0 ? 90 : 3) + layer * 1.7 + random(),
        attentionNorm: 1 + 2 * random(),
        mlpNorm: 1.2 + 2.4 * random(),
        errorNorm: pos === 0 ? null : 0.3 + 0.6 * random(),
        activeFeatures: features.length + 3,
        features: [
          ...features.map(({ feature, activation, label }) => ({
            feature: feature ?? 0,
            activation: activation ?? 0,
            label,
          })),
          { feature: 4000 + layer, activation: 0.3, label: 'words after a comma' },
        ],
        lens: [
          { id: isLate ? 1000 + pos : pos, text: isLate ? answer : token, probability: Math.max(0.03, sure) },
          { id: 2, text: ' the', probability: 0.02 },
          { id: 3, text: '\n', probability: 0.01 },
          { id: 4, text: ' Texas', probability: 0.008 },
          { id: 5, text: ' and', probability: 0.001 },
        ],
      };
    });
  });
  return { tokens: promptTokens.map((text, id) => ({ id, text, range: null })), first: 0, columns };
}

/** A graph as large as asked for: random features, edges to higher layers and the same or later tokens. */
export function largeTrace(nNodes: number, nEdges: number, nTokens = 64, nLayers = 26): PanelTrace {
  const random = seededRandom(11);
  const nodes: GraphNode[] = [];
  for (let index = 0; index < nNodes - nTokens - 10; index++) {
    const isError = random() < 0.12;
    const layer = Math.floor(random() * nLayers);
    const pos = Math.floor(nTokens * Math.sqrt(random()));
    const draft: Draft = {
      layer,
      pos,
      kind: isError ? 'error' : 'feature',
      label: '',
      feature: index,
      activation: isError ? null : random() * 8,
    };
    nodes.push(plain(draft, `${index}`));
  }
  for (let pos = 0; pos < nTokens; pos++) {
    nodes.push(plain({ layer: -1, pos, kind: 'token', label: '', feature: pos, activation: null }, `t${pos}`));
  }
  for (let order = 0; order < 10; order++) {
    const draft: Draft = {
      layer: nLayers,
      pos: nTokens - 1,
      kind: 'logit',
      label: `Output " w${order}" (p=0.1)`,
      feature: order,
      activation: null,
    };
    nodes.push({ ...plain(draft, `o${order}`), probability: 0.5 / 2 ** order, isTarget: order === 0 });
  }
  const inner = nNodes - nTokens - 10;
  const source = new Uint32Array(nEdges);
  const target = new Uint32Array(nEdges);
  const weight = new Float32Array(nEdges);
  for (let edge = 0; edge < nEdges; ) {
    const from = Math.floor(random() * (inner + nTokens));
    const to = random() < 0.03 ? inner + nTokens + Math.floor(random() * 10) : Math.floor(random() * inner);
    const [a, b] = [nodes[from], nodes[to]];
    if (b.kind === 'error' || a.layer >= b.layer || a.pos > b.pos) continue;
    source[edge] = from;
    target[edge] = to;
    weight[edge] = random() ** 3 * (random() < 0.25 ? -1 : 1);
    edge++;
  }
  const base = dallasTrace().graph;
  const promptTokens = Array.from({ length: nTokens }, (_, pos) => ` word${pos}`);
  const metadata = {
    ...base.metadata,
    slug: 'large',
    nLayers,
    nodeThreshold: 1,
    promptTokens,
    prompt: promptTokens.join(''),
  };
  return asTrace({ metadata, nodes, edges: { source, target, weight }, view: emptyView, foreign: {} }, 'large');
}

/** A made-up card for a feature. */
export function sampleCard(layer: number, feature: number, label = 'Texas'): FeatureCard {
  const random = seededRandom(layer * 1000 + feature);
  const sentence = [
    'The',
    ' capital',
    ' of',
    ' the',
    ' state',
    ' with',
    ' Houston',
    ' and',
    ' Dallas',
    ' is',
    ' Austin',
    ',',
    ' in',
    ' Texas',
    '.',
  ];
  const example = (strength: number) => ({
    tokens: sentence,
    activations: sentence.map((token) => (/Houston|Dallas|Texas/.test(token) ? strength * (0.5 + random() / 2) : 0)),
    peak: 8,
  });
  return {
    layer,
    feature,
    label,
    labelSource: 'made from its top examples',
    quantiles: [
      { name: 'Top activations', examples: [example(4), example(3.6), example(3.3)] },
      { name: 'Interval 5', examples: [example(2), example(1.8)] },
      { name: 'Interval 1', examples: [example(0.6)] },
    ],
    topLogits: [' Texas', ' Austin', ' Houston', ' Dallas', ' TX', ' southern'],
    bottomLogits: [' Ohio', ' Paris', ' Alaska', ' river'],
    logitsFrom: 'file',
    activationFrequency: 0.0123,
    histogram: Array.from({ length: 30 }, (_, bar) => Math.exp(-bar / 6) * (0.8 + 0.4 * random())),
    quantileValues: Array.from({ length: 100 }, (_, percent) => (percent / 25) ** 1.2),
    activationMin: 0,
    activationMax: 4.2,
    examplesFrom: 'the transcoder set’s files',
  };
}

function nodeId({ layer, pos, kind, feature }: Draft): NodeId {
  if (kind === 'token') return `E_${feature}_${pos}` as NodeId;
  return (kind === 'error' ? `${layer}_error_mlp_${pos}` : `${layer}_${feature}_${pos}`) as NodeId;
}

function plain(draft: Draft, id: string): GraphNode {
  return {
    ...draft,
    id: id as NodeId,
    feature: draft.kind === 'error' ? null : draft.feature,
    influence: null,
    probability: null,
    isTarget: false,
  };
}
