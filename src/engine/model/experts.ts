import { floatsOf, floatTensor } from '../runtime/session.ts';
import type { ModelConfig } from './config.ts';
import { expertGraph, routerGraph } from './layerGraphs.ts';
import type { StoredExperts, StoredMatrices } from './layout.ts';
import { widenMicroscaled } from './mxfp4.ts';
import { readFloats } from './safetensors.ts';
import type { SessionPool } from './sessions.ts';
import type { WeightStore } from './weights.ts';

/**
 * A mixture of experts: each position's output is that of its best few experts, weighted by the softmax of their
 * scores. Only the experts that some position chose are read.
 * @param residMid [pos, dModel], with its norm's scale [pos]
 * @returns mlpOut [pos, dModel]
 */
export async function runExperts(
  config: ModelConfig,
  weights: WeightStore,
  sessions: SessionPool,
  layer: number,
  residMid: Float32Array,
  mlpNormScale: Float32Array,
): Promise<Float32Array> {
  const { dModel, dMlp } = config;
  const nPos = mlpNormScale.length;
  const { count, perToken } = config.experts!;
  const stored = weights.layout.layers[layer]!.experts!;
  const routerMatrix = await weights.matrix(layer, 'router');
  const router = await sessions.get(`router ${routerMatrix.type}`, () => routerGraph(config, routerMatrix.type));
  const outputs = await router.run({
    residMid: floatTensor(residMid, [nPos, dModel]),
    mlpNormScale: floatTensor(mlpNormScale, [nPos]),
    mlpNorm: floatTensor(weights.gain(layer, 'mlpNorm')!, [dModel]),
    router: routerMatrix.tensor,
    routerBias: floatTensor(weights.gain(layer, 'routerBias')!, [count]),
  });
  const mlpIn = floatsOf(outputs.mlpIn!);
  const choices = chooseExperts(floatsOf(outputs.scores!), count, perToken);

  const areTransposed = { gateUp: stored.gateUp.type === 'mxfp4', down: stored.down.type === 'mxfp4' };
  const session = await sessions.get(`expert ${JSON.stringify(areTransposed)}`, () =>
    expertGraph(config, areTransposed),
  );
  const mlpOut = new Float32Array(nPos * dModel);
  for (const [expert, chosen] of choices) {
    const x = new Float32Array(chosen.length * dModel);
    for (const [row, { pos }] of chosen.entries())
      x.set(mlpIn.subarray(pos * dModel, (pos + 1) * dModel), row * dModel);
    const gateUp = readExpert(stored.gateUp, expert, weights.scratch('gateUp', 2 * dMlp * dModel));
    const down = readExpert(stored.down, expert, weights.scratch('down', dMlp * dModel));
    const { out } = await session.run({
      x: floatTensor(x, [chosen.length, dModel]),
      gateUp: floatTensor(gateUp, areTransposed.gateUp ? [2 * dMlp, dModel] : [dModel, 2 * dMlp]),
      gateUpBias: floatTensor(readBias(stored, 'gateUpBias', expert), [2 * dMlp]),
      down: floatTensor(down, areTransposed.down ? [dModel, dMlp] : [dMlp, dModel]),
      downBias: floatTensor(readBias(stored, 'downBias', expert), [dModel]),
    });
    const rows = floatsOf(out!);
    for (const [row, { pos, share }] of chosen.entries()) {
      for (let i = 0; i < dModel; i++) mlpOut[pos * dModel + i]! += share * rows[row * dModel + i]!;
    }
  }
  return mlpOut;
}

type Choice = { readonly pos: number; readonly share: number };

/** Which positions each expert serves, from scores [pos, expert]: the `perToken` best, shares by softmax over those. */
function chooseExperts(scores: Float32Array, count: number, perToken: number): Map<number, Choice[]> {
  const choices = new Map<number, Choice[]>();
  for (let pos = 0; pos < scores.length / count; pos++) {
    const own = scores.subarray(pos * count, (pos + 1) * count);
    const best = Array.from(own.keys())
      .sort((a, b) => own[b]! - own[a]! || a - b)
      .slice(0, perToken);
    const weights = best.map((expert) => Math.exp(own[expert]! - own[best[0]!]!));
    const sum = weights.reduce((total, weight) => total + weight, 0);
    for (const [rank, expert] of best.entries()) {
      const served = choices.get(expert) ?? [];
      served.push({ pos, share: weights[rank]! / sum });
      choices.set(expert, served);
    }
  }
  return choices;
}

function readExpert(stored: StoredMatrices, expert: number, target: Float32Array): Float32Array {
  if (stored.type === 'float') return readFloats(stored.values, expert * target.length, target.length, target);
  const blocks = new Uint8Array(target.length / 2);
  const scales = new Uint8Array(target.length / 32);
  stored.blocks.file.read(stored.blocks, blocks, expert * blocks.length);
  stored.scales.file.read(stored.scales, scales, expert * scales.length);
  widenMicroscaled(blocks, scales, target);
  return target;
}

function readBias(stored: StoredExperts, role: 'gateUpBias' | 'downBias', expert: number): Float32Array {
  const bias = stored[role];
  const size = bias.shape[1]!;
  return readFloats(bias, expert * size, size);
}
