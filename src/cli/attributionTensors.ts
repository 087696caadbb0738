import type { Attribution } from '../engine/attribution/attribute.ts';
import type { LanguageModel } from '../engine/model/languageModel.ts';
import { featureInput, featureOutput } from '../engine/transcoders/tapPoint.ts';
import type { TranscoderSet } from '../engine/transcoders/transcoder.ts';
import { cumulativeShares } from '../graph/influence.ts';
import { prune } from '../graph/prune.ts';
import type { NamedTensor } from './tensorFile.ts';

/** Dense matrices of more nodes than this are not written. */
const mostDenseNodes = 20_000;

/**
 * Everything an attribution computed, as tensors with the names and shapes of the reference results
 * (adjacency: row = target, column = source; nodes: selected features, errors, tokens, targets).
 * @param thresholds one pair of masks is made for each
 */
export function attributionTensors(
  model: LanguageModel,
  set: TranscoderSet,
  result: Attribution,
  thresholds: readonly { readonly suffix: string; readonly nodeThreshold: number; readonly edgeThreshold: number }[],
): Map<string, NamedTensor> {
  const { run, active, errors, reconstruction, graph, outputs, selected } = result;
  const { dModel, dVocab, nLayers } = model.dimensions;
  const { nPos } = run;
  const layers = Array.from({ length: nLayers }, (_, layer) => layer);
  const perLayer = [nLayers, nPos, dModel];
  const tensors = new Map<string, NamedTensor>();
  const floats = (name: string, shape: readonly number[], data: Float32Array) => tensors.set(name, { shape, data });
  const integers = (name: string, shape: readonly number[], data: ArrayLike<number>) =>
    tensors.set(name, { shape, data: Int32Array.from(data) });

  floats('token_vectors', [nPos, dModel], run.tokenVectors);
  floats('feature_input', perLayer, joined(layers.map((layer) => featureInput(set.inputHook, model, run, layer))));
  floats('feature_output', perLayer, joined(layers.map((layer) => featureOutput(set.outputHook, run, layer))));
  floats('logits', [run.logits.length / dVocab, dVocab], run.logits);
  integers('active_features', [active.count, 3], activeRows(active));
  floats('activation_values', [active.count], active.activation);
  floats('reconstruction', perLayer, joined(reconstruction));
  floats('error_vectors', perLayer, joined(errors));
  floats('error_norms', [nLayers, nPos], norms(joined(errors), dModel));
  integers(
    'logit_target_ids',
    [outputs.length],
    outputs.map(({ id }) => id),
  );
  floats(
    'logit_probabilities',
    [outputs.length],
    Float32Array.from(outputs, ({ probability }) => probability),
  );
  outputs.forEach(({ id, vector }, index) => {
    if (id >= dVocab) floats(`target_vec_${index}`, [dModel], vector);
  });
  integers('selected_features', [selected.length], selected);
  if (result.order.length < active.count) {
    integers('attribution_order', [result.order.length], result.order);
    integers('attribution_round_sizes', [result.roundSizes.length], result.roundSizes);
  }

  const { incoming } = graph;
  const { nNodes } = incoming;
  const nodeInfluence = result.influence;
  floats('node_influence', [nNodes], Float32Array.from(nodeInfluence));
  floats('cumulative_scores', [nNodes], Float32Array.from(cumulativeShares(nodeInfluence)));
  const isDense = nNodes <= mostDenseNodes;
  if (isDense) {
    const adjacency = new Float32Array(nNodes * nNodes);
    eachEdge(result, (edge, source, target) => {
      adjacency[target * nNodes + source] = incoming.weight[edge];
    });
    floats('adjacency', [nNodes, nNodes], adjacency);
  }
  for (const { suffix, ...pair } of thresholds) {
    const kept = prune(graph, pair, nodeInfluence);
    tensors.set(`node_mask${suffix}`, { shape: [nNodes], data: kept.nodes });
    if (!isDense) continue;
    const mask = new Uint8Array(nNodes * nNodes);
    eachEdge(result, (edge, source, target) => {
      mask[target * nNodes + source] = kept.edges[edge];
    });
    tensors.set(`edge_mask${suffix}`, { shape: [nNodes, nNodes], data: mask });
  }
  return tensors;
}

function activeRows({ count, layer, pos, feature }: Attribution['active']): Int32Array {
  const rows = new Int32Array(count * 3);
  for (let index = 0; index < count; index++) rows.set([layer[index], pos[index], feature[index]], index * 3);
  return rows;
}

function eachEdge({ graph }: Attribution, each: (edge: number, source: number, target: number) => void): void {
  const { nNodes, start, source } = graph.incoming;
  for (let target = 0; target < nNodes; target++) {
    for (let edge = start[target]; edge < start[target + 1]; edge++) each(edge, source[edge], target);
  }
}

function joined(parts: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let next = 0;
  for (const part of parts) {
    all.set(part, next);
    next += part.length;
  }
  return all;
}

/** Euclidean lengths of rows. */
function norms(rows: Float32Array, length: number): Float32Array {
  const result = new Float32Array(rows.length / length);
  for (let row = 0; row < result.length; row++) {
    let sum = 0;
    for (let i = row * length; i < (row + 1) * length; i++) sum += rows[i] ** 2;
    result[row] = Math.sqrt(sum);
  }
  return result;
}
