import type { ModelConfig } from '../../src/engine/model/config.ts';
import type { LayerRole } from '../../src/engine/model/families.ts';

/** The forward pass in plain loops over float64: what the graphs of the engine are compared with. */
export type PlainModel = {
  readonly config: ModelConfig;
  /** By full name, as in the weight files. */
  readonly tensors: ReadonlyMap<string, Float32Array>;
};
type Rows = number[][];

/** @returns logits [pos][dVocab] and the residual stream after each layer's attention [layer][pos][dModel] */
export function plainForward(model: PlainModel, ids: readonly number[]): { logits: Rows; residMid: Rows[] } {
  const { config, tensors } = model;
  const { dModel, family, normEpsilon } = config;
  const embedding = tensors.get('model.embed_tokens.weight')!;
  const factor = family.scalesEmbedding ? Math.sqrt(dModel) : 1;
  let resid: Rows = ids.map((id) => Array.from(embedding.subarray(id * dModel, (id + 1) * dModel), (x) => x * factor));
  const residMid: Rows[] = [];
  for (let layer = 0; layer < config.nLayers; layer++) {
    const own = (role: LayerRole) =>
      isUsed(config, role) ? (tensors.get(`model.layers.${layer}.${family.names[role]}`) ?? null) : null;
    const gainOf = (role: LayerRole) => own(role)?.map((value) => value + family.normGainOffset) ?? null;
    const norm = (rows: Rows, role: LayerRole): Rows => {
      const gain = gainOf(role);
      return gain && gain.length === dModel ? rows.map((row) => normed(row, gain, normEpsilon)) : rows;
    };
    const attended = attention(model, layer, norm(resid, 'attnNorm'), own, gainOf);
    const mid = plus(resid, family.hasPostNorms ? norm(attended, 'postAttnNorm') : attended);
    const input = norm(mid, 'mlpNorm');
    const output = config.experts ? experts(model, layer, input, own) : mlp(config, input, own);
    residMid.push(mid);
    resid = plus(mid, family.hasPostNorms ? norm(output, 'postMlpNorm') : output);
  }
  const finalGain = tensors.get('model.norm.weight')!.map((value) => value + family.normGainOffset);
  const unembedding = config.isTied ? embedding : tensors.get('lm_head.weight')!;
  const logits = resid.map((row) => {
    const values = times(unembedding, normed(row, finalGain, normEpsilon), null);
    return values.map((value) => capped(value, config.finalSoftCap));
  });
  return { logits, residMid };
}

/** Files may hold more than the configuration asks for. */
function isUsed({ attentionBias, hasMlpBias, family }: ModelConfig, role: LayerRole): boolean {
  if (role === 'attnOutputBias') return attentionBias === 'all';
  if (/^(query|key|value)Bias$/.test(role)) return attentionBias !== 'none';
  if (/^(gate|up|down)Bias$/.test(role)) return hasMlpBias;
  return !/^(query|key)Norm$/.test(role) || family.hasQueryKeyNorms;
}

type Own = (role: LayerRole) => Float32Array | null;

function attention({ config }: PlainModel, layer: number, input: Rows, own: Own, gainOf: Own): Rows {
  const { nHeads, nKeyValueHeads, dHead, normEpsilon, attentionScale, attentionSoftCap } = config;
  const sinks = own('sinks');
  const project = (role: LayerRole, bias: LayerRole, gain: Float32Array | null, isRotated: boolean): number[][][] =>
    input.map((row, pos) => {
      const all = times(own(role)!, row, own(bias));
      const heads = Array.from({ length: all.length / dHead }, (_, head) =>
        all.slice(head * dHead, (head + 1) * dHead),
      );
      return heads.map((head) => {
        const even = gain ? normed(head, gain, normEpsilon) : head;
        return isRotated ? rotated(even, pos, config, layer) : even;
      });
    });
  const queries = project('query', 'queryBias', gainOf('queryNorm'), true);
  const keys = project('key', 'keyBias', gainOf('keyNorm'), true);
  const values = project('value', 'valueBias', null, false);
  return input.map((_, pos) => {
    const window = config.windows[layer] ?? Number.POSITIVE_INFINITY;
    const reached = Array.from({ length: pos + 1 }, (_, key) => key).filter((key) => pos - key < window);
    const joined: number[] = [];
    for (let head = 0; head < nHeads; head++) {
      const shared = Math.floor(head / (nHeads / nKeyValueHeads));
      const scores = reached.map((key) =>
        capped(attentionScale * dot(queries[pos][head], keys[key][shared]), attentionSoftCap),
      );
      const shares = softmax(sinks ? [...scores, sinks[head]] : scores);
      for (let i = 0; i < dHead; i++) {
        joined.push(reached.reduce((sum, key, at) => sum + shares[at] * values[key][shared][i], 0));
      }
    }
    return times(own('attnOutput')!, joined, own('attnOutputBias'));
  });
}

/** Default rotation only: the scalings are compared with PyTorch. */
function rotated(head: number[], pos: number, { dHead, ropes }: ModelConfig, layer: number): number[] {
  const half = dHead / 2;
  return head.map((value, i) => {
    const angle = pos * ropes[layer].theta ** ((-2 * (i % half)) / dHead);
    const other = i < half ? -head[i + half] : head[i - half];
    return value * Math.cos(angle) + other * Math.sin(angle);
  });
}

function mlp({ activation }: ModelConfig, input: Rows, own: Own): Rows {
  return input.map((row) => {
    const gate = times(own('gate')!, row, own('gateBias')).map((x) =>
      activation === 'silu' ? x * sigmoid(x) : gelu(x),
    );
    const up = times(own('up')!, row, own('upBias'));
    return times(
      own('down')!,
      gate.map((value, i) => value * up[i]),
      own('downBias'),
    );
  });
}

function experts({ config, tensors }: PlainModel, layer: number, input: Rows, own: Own): Rows {
  const { dModel, dMlp } = config;
  const { count, perToken, limit } = config.experts!;
  const part = (name: string, expert: number, size: number) =>
    tensors.get(`model.layers.${layer}.mlp.experts.${name}`)!.subarray(expert * size, (expert + 1) * size);
  return input.map((row) => {
    const scores = times(own('router')!, row, own('routerBias'));
    const best = Array.from({ length: count }, (_, i) => i)
      .sort((a, b) => scores[b] - scores[a])
      .slice(0, perToken);
    const shares = softmax(best.map((expert) => scores[expert]));
    const sum = new Array<number>(dModel).fill(0);
    for (const [rank, expert] of best.entries()) {
      const both = timesIn(
        part('gate_up_proj', expert, dModel * 2 * dMlp),
        row,
        part('gate_up_proj_bias', expert, 2 * dMlp),
      );
      const inner = Array.from({ length: dMlp }, (_, i) => {
        const gate = Math.min(both[2 * i], limit);
        const up = Math.max(-limit, Math.min(both[2 * i + 1], limit));
        return (up + 1) * gate * sigmoid(1.702 * gate);
      });
      const out = timesIn(part('down_proj', expert, dMlp * dModel), inner, part('down_proj_bias', expert, dModel));
      for (let i = 0; i < dModel; i++) sum[i] += shares[rank] * out[i];
    }
    return sum;
  });
}

/** matrix [out, in] · x + bias */
function times(matrix: Float32Array, x: readonly number[], bias: Float32Array | null): number[] {
  return Array.from({ length: matrix.length / x.length }, (_, row) => {
    let sum = bias?.[row] ?? 0;
    for (let i = 0; i < x.length; i++) sum += matrix[row * x.length + i] * x[i];
    return sum;
  });
}

/** x · matrix [in, out] + bias */
function timesIn(matrix: Float32Array, x: readonly number[], bias: Float32Array): number[] {
  return Array.from(bias, (start, column) =>
    x.reduce((sum, value, i) => sum + value * matrix[i * bias.length + column], start),
  );
}

function normed(row: readonly number[], gain: Float32Array, epsilon: number): number[] {
  const scale = 1 / Math.sqrt(row.reduce((sum, value) => sum + value * value, 0) / row.length + epsilon);
  return row.map((value, i) => value * scale * gain[i]);
}

function softmax(scores: readonly number[]): number[] {
  const highest = Math.max(...scores);
  const values = scores.map((score) => Math.exp(score - highest));
  const sum = values.reduce((total, value) => total + value, 0);
  return values.map((value) => value / sum);
}

const dot = (a: readonly number[], b: readonly number[]) => a.reduce((sum, value, i) => sum + value * b[i], 0);
const plus = (a: Rows, b: Rows): Rows => a.map((row, pos) => row.map((value, i) => value + b[pos][i]));
const capped = (x: number, cap: number | null) => (cap === null ? x : cap * Math.tanh(x / cap));
const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));
const gelu = (x: number) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
