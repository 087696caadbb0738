import { elementTypes, GraphBuilder } from '../runtime/onnxModel.ts';
import type { ModelConfig } from './config.ts';
import type { LayerRole } from './families.ts';
import type { MatrixType } from './weights.ts';

/**
 * The graphs that every layer of a model shares: weights are inputs, so one compiled session serves all layers. Shapes
 * in comments; `keys` counts the positions that can be attended to, those of a cache included.
 */

export type AttentionVariant = {
  /** Which of the optional vectors the layer has. */
  readonly vectors: readonly LayerRole[];
  readonly types: Readonly<Record<'query' | 'key' | 'value' | 'attnOutput', MatrixType>>;
  /** The pattern is an input instead of being computed. */
  readonly isPatternGiven: boolean;
  /** Instead of the pattern, what it can be made from again is put out. */
  readonly givesBlocks: boolean;
  /** The norms' scales are inputs instead of being computed. */
  readonly areScalesGiven: boolean;
};

/** residual stream [pos, dModel] → residMid [pos, dModel], pattern, norm scales, and keys and values for the cache. */
export function attentionGraph(config: ModelConfig, variant: AttentionVariant): Uint8Array {
  const { dModel, nHeads, nKeyValueHeads, dHead, normEpsilon } = config;
  const graph = new GraphBuilder();
  const has = (role: LayerRole): boolean => variant.vectors.includes(role);
  const optional = (role: LayerRole): string | null => (has(role) ? graph.input(role, 'float32', ['size']) : null);

  graph.input('resid', 'float32', ['pos', dModel]);
  const normed = norm(graph, 'resid', optional('attnNorm')!, normEpsilon, 'attnNormScale', variant.areScalesGiven);

  // key, value: [pos, kvHead·dHead] → [kvHead, pos, dHead], after those of the cache
  const headShape = graph.integers([0, -1, dHead]);
  const heads = (x: string): string => graph.node('Transpose', [x], { perm: [1, 0, 2] });
  const perHead = (x: string): string => graph.node('Reshape', [x, headShape]);
  const rotate = rotation(graph, dHead);
  const headNorm = (x: string, gain: string | null): string =>
    gain ? graph.node('Mul', [graph.node('Mul', [x, inverseRoot(graph, x, normEpsilon)]), gain]) : x;

  const key = linear(graph, normed, 'key', variant.types.key, optional('keyBias'));
  const rotatedKey = rotate(heads(headNorm(perHead(key), optional('keyNorm'))));
  const value = heads(perHead(linear(graph, normed, 'value', variant.types.value, optional('valueBias'))));
  graph.input('pastKey', 'float32', [nKeyValueHeads, 'past', dHead]);
  graph.input('pastValue', 'float32', [nKeyValueHeads, 'past', dHead]);
  graph.node('Concat', ['pastKey', rotatedKey], { axis: 1 }, 'allKeys');
  graph.node('Concat', ['pastValue', value], { axis: 1 }, 'allValues');
  graph.output('allKeys');
  graph.output('allValues');

  let pattern: string;
  if (variant.isPatternGiven) pattern = graph.input('attnPattern', 'float32', [nHeads, 'pos', 'keys']);
  else {
    const query = linear(graph, normed, 'query', variant.types.query, optional('queryBias'));
    const rotated = rotate(heads(headNorm(perHead(query), optional('queryNorm'))));
    pattern = attentionPattern(graph, config, rotated, optional('sinks'), variant.givesBlocks);
  }

  // Heads that share a key/value head are stacked along positions, so that each group is one product.
  const grouped = graph.node('Reshape', [pattern, graph.integers([nKeyValueHeads, -1, 0])]);
  const mixed = graph.node('MatMul', [grouped, 'allValues']); // [kvHead, group·pos, dHead]
  const byHead = graph.node('Reshape', [mixed, graph.integers([nHeads, -1, dHead])]);
  const joined = graph.node('Reshape', [heads(byHead), graph.integers([0, nHeads * dHead])]);
  const output = linear(graph, joined, 'attnOutput', variant.types.attnOutput, optional('attnOutputBias'));
  const added = has('postAttnNorm')
    ? norm(graph, output, optional('postAttnNorm')!, normEpsilon, 'postAttnNormScale', variant.areScalesGiven)
    : output;
  graph.node('Add', ['resid', added], {}, 'residMid');
  graph.output('residMid');
  if (!variant.areScalesGiven) {
    graph.node('Squeeze', [inverseRoot(graph, 'residMid', normEpsilon), graph.integers([1])], {}, 'mlpNormScale');
    graph.output('mlpNormScale');
  }
  return graph.encode();
}

/** softmax(scale · query · keyᵀ, capped, masked; with sinks where the family has them) → [head, pos, keys] */
function attentionPattern(
  graph: GraphBuilder,
  config: ModelConfig,
  query: string,
  sinks: string | null,
  givesBlocks: boolean,
): string {
  const { nHeads, nKeyValueHeads, dHead, attentionScale, attentionSoftCap } = config;
  graph.input('mask', 'float32', ['pos', 'keys']);
  const scaled = graph.node('Mul', [query, graph.floats(attentionScale)], {}, 'scaledQuery');
  const grouped = graph.node('Reshape', [scaled, graph.integers([nKeyValueHeads, -1, dHead])]);
  const keys = graph.node('Transpose', ['allKeys'], { perm: [0, 2, 1] });
  const products = graph.node('MatMul', [grouped, keys]); // [kvHead, group·pos, keys]
  const scores = softCap(graph, graph.node('Reshape', [products, graph.integers([nHeads, -1, 0])]), attentionSoftCap);
  const masked = graph.node('Add', [scores, 'mask']);
  const scored = sinks ? withSinks(graph, masked, sinks, nHeads) : masked;
  if (givesBlocks) {
    graph.node('ReduceLogSumExp', [scored, graph.integers([-1])], { keepdims: 0 }, 'logSums');
    graph.output('scaledQuery');
    graph.output('logSums');
  } else graph.output('attnPattern');
  if (!sinks) return graph.node('Softmax', [scored], { axis: -1 }, 'attnPattern');
  const shares = graph.node('Softmax', [scored], { axis: -1 });
  const bounds = [graph.integers([0]), graph.integers([-1]), graph.integers([-1])] as const;
  return graph.node('Slice', [shares, ...bounds], {}, 'attnPattern');
}

/** [head, pos, keys + 1]: each head's sink as one more score, which carries nothing. */
function withSinks(graph: GraphBuilder, scores: string, sinks: string, nHeads: number): string {
  const column = graph.node('Reshape', [sinks, graph.integers([nHeads, 1, 1])]);
  const rows = graph.node('Shape', [scores], { start: 0, end: 2 });
  const shape = graph.node('Concat', [rows, graph.integers([1])], { axis: 0 });
  return graph.node('Concat', [scores, graph.node('Expand', [column, shape])], { axis: -1 });
}

export type MlpVariant = {
  readonly vectors: readonly LayerRole[];
  readonly types: Readonly<Record<'gate' | 'up' | 'down', MatrixType>>;
};

/** residMid [pos, dModel] and its norm's scale [pos] → mlpOut [pos, dModel]: down(act(gate(x)) · up(x)) */
export function mlpGraph(config: ModelConfig, variant: MlpVariant): Uint8Array {
  const graph = new GraphBuilder();
  const optional = (role: LayerRole): string | null =>
    variant.vectors.includes(role) ? graph.input(role, 'float32', ['size']) : null;
  graph.input('residMid', 'float32', ['pos', config.dModel]);
  const normed = norm(graph, 'residMid', optional('mlpNorm')!, config.normEpsilon, 'mlpNormScale', true);
  const gate = activate(
    graph,
    linear(graph, normed, 'gate', variant.types.gate, optional('gateBias')),
    config.activation,
  );
  const up = linear(graph, normed, 'up', variant.types.up, optional('upBias'));
  const inner = graph.node('Mul', [gate, up]);
  const out = linear(graph, inner, 'down', variant.types.down, optional('downBias'));
  graph.node('Identity', [out], {}, 'mlpOut');
  graph.output('mlpOut');
  return graph.encode();
}

/** residMid and its norm's scale → the MLP's input mlpIn [pos, dModel] and scores [pos, expert] of the router */
export function routerGraph(config: ModelConfig, type: MatrixType): Uint8Array {
  const graph = new GraphBuilder();
  graph.input('residMid', 'float32', ['pos', config.dModel]);
  const gain = graph.input('mlpNorm', 'float32', [config.dModel]);
  graph.node('Identity', [norm(graph, 'residMid', gain, config.normEpsilon, 'mlpNormScale', true)], {}, 'mlpIn');
  const bias = graph.input('routerBias', 'float32', ['experts']);
  graph.node('Identity', [linear(graph, 'mlpIn', 'router', type, bias)], {}, 'scores');
  graph.output('mlpIn');
  graph.output('scores');
  return graph.encode();
}

/**
 * One expert on the positions that chose it: gate and up are interleaved, both clamped, and
 * out = down((up + 1) · gate · sigmoid(1.702 · gate)).
 * @param areTransposed whether matrices are [out, in] (as MXFP4 stores them) or [in, out] (as float files do)
 */
export function expertGraph(
  config: ModelConfig,
  areTransposed: { readonly gateUp: boolean; readonly down: boolean },
): Uint8Array {
  const { dModel, dMlp } = config;
  const limit = config.experts?.limit ?? 0;
  const graph = new GraphBuilder();
  graph.input('x', 'float32', ['chosen', dModel]);
  graph.input('gateUp', 'float32', areTransposed.gateUp ? [2 * dMlp, dModel] : [dModel, 2 * dMlp]);
  graph.input('gateUpBias', 'float32', [2 * dMlp]);
  graph.input('down', 'float32', areTransposed.down ? [dModel, dMlp] : [dMlp, dModel]);
  graph.input('downBias', 'float32', [dModel]);
  const both = graph.node('Gemm', ['x', 'gateUp', 'gateUpBias'], { transB: areTransposed.gateUp ? 1 : 0 });
  const every = (start: number): string =>
    graph.node('Slice', [
      both,
      graph.integers([start]),
      graph.integers([2 * dMlp]),
      graph.integers([1]),
      graph.integers([2]),
    ]);
  const gate = graph.node('Min', [every(0), graph.floats(limit)]);
  const up = graph.node('Clip', [every(1), graph.floats(-limit), graph.floats(limit)]);
  const sigmoid = graph.node('Sigmoid', [graph.node('Mul', [gate, graph.floats(1.702)])]);
  const inner = graph.node('Mul', [graph.node('Add', [up, graph.floats(1)]), graph.node('Mul', [gate, sigmoid])]);
  graph.node('Gemm', [inner, 'down', 'downBias'], { transB: areTransposed.down ? 1 : 0 }, 'out');
  graph.output('out');
  return graph.encode();
}

/** normed [pos, dModel] · rows of the unembedding → logits [pos, rows], capped */
export function logitsGraph(config: ModelConfig, type: MatrixType): Uint8Array {
  const graph = new GraphBuilder();
  graph.input('normed', 'float32', ['pos', config.dModel]);
  const logits = softCap(graph, linear(graph, 'normed', 'unembedding', type, null), config.finalSoftCap);
  graph.node('Identity', [logits], {}, 'logits');
  graph.output('logits');
  return graph.encode();
}

/** x · weightᵀ + bias, the weight an input of the name and type given, [out, in]. */
function linear(graph: GraphBuilder, x: string, weight: string, type: MatrixType, bias: string | null): string {
  let matrix = graph.input(weight, type === 'float32' ? 'float32' : 'uint16', [`${weight}Out`, `${weight}In`]);
  if (type !== 'float32') {
    const half = graph.node('BitCast', [matrix], { to: elementTypes[type] });
    matrix = graph.node('Cast', [half], { to: elementTypes.float32 });
  }
  return graph.node('Gemm', bias ? [x, matrix, bias] : [x, matrix], { transB: 1 });
}

/** x · scale · gain, with scale [pos] = 1/√(mean square + ε) computed and put out, or given as an input. */
function norm(
  graph: GraphBuilder,
  x: string,
  gain: string,
  epsilon: number,
  scaleName: string,
  isScaleGiven: boolean,
): string {
  let column: string;
  if (isScaleGiven) {
    column = graph.node('Unsqueeze', [graph.input(scaleName, 'float32', ['pos']), graph.integers([1])]);
  } else {
    column = inverseRoot(graph, x, epsilon);
    graph.node('Squeeze', [column, graph.integers([1])], {}, scaleName);
    graph.output(scaleName);
  }
  return graph.node('Mul', [graph.node('Mul', [x, column]), gain]);
}

/** 1/√(mean over the last axis of x² + ε), that axis kept with size 1 */
function inverseRoot(graph: GraphBuilder, x: string, epsilon: number): string {
  const meanSquare = graph.node('ReduceMean', [graph.node('Mul', [x, x]), graph.integers([-1])], { keepdims: 1 });
  return graph.node('Reciprocal', [graph.node('Sqrt', [graph.node('Add', [meanSquare, graph.floats(epsilon)])])]);
}

/** Rotates the two halves a, b of each head [head, pos, dHead]: (a·cos − b·sin, b·cos + a·sin). */
function rotation(graph: GraphBuilder, dHead: number): (x: string) => string {
  graph.input('cos', 'float32', ['pos', dHead / 2]);
  graph.input('sin', 'float32', ['pos', dHead / 2]);
  return (x) => {
    const [a, b] = graph.nodeWithResults('Split', [x], { axis: -1, num_outputs: 2 }, 2) as [string, string];
    const left = graph.node('Sub', [graph.node('Mul', [a, 'cos']), graph.node('Mul', [b, 'sin'])]);
    const right = graph.node('Add', [graph.node('Mul', [b, 'cos']), graph.node('Mul', [a, 'sin'])]);
    return graph.node('Concat', [left, right], { axis: -1 });
  };
}

function softCap(graph: GraphBuilder, x: string, cap: number | null): string {
  if (cap === null) return x;
  return graph.node('Mul', [graph.node('Tanh', [graph.node('Div', [x, graph.floats(cap)])]), graph.floats(cap)]);
}

function activate(graph: GraphBuilder, x: string, activation: ModelConfig['activation']): string {
  if (activation === 'silu') return graph.node('Mul', [x, graph.node('Sigmoid', [x])]);
  return graph.node('Gelu', [x], { approximate: activation === 'gelu tanh' ? 'tanh' : 'none' });
}
