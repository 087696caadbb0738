import type { LanguageModel } from '../model/languageModel.ts';
import { decoderRows } from './featureRows.ts';
import type { TranscoderSet } from './transcoder.ts';

/** Rows of the unembedding that are in memory at a time. */
const rowsAtOnce = 4096;

export type LogitEffect = { readonly id: number; readonly effect: number };

/**
 * The tokens a feature raises and lowers most when its output reaches the logits unchanged:
 *   effect[token] = Σ_dModel unembedding[token, i] · finalGain[i] · Σ_writeLayer decoder[i]
 * per unit of activation, up to the last norm's scale. Cross-layer features count with all they write.
 * @param onPart called before each part of the vocabulary; may throw to cancel
 */
export async function featureLogits(
  model: LanguageModel,
  set: TranscoderSet,
  layer: number,
  feature: number,
  count: number,
  onPart: () => Promise<void> = async () => {},
): Promise<{ readonly top: readonly LogitEffect[]; readonly bottom: readonly LogitEffect[] }> {
  const { dModel, dVocab } = model.dimensions;
  const direction = outputDirection(model, set, layer, feature);
  const effects = new Float32Array(dVocab);
  const buffer = new Float32Array(Math.min(rowsAtOnce, dVocab) * dModel);
  for (let from = 0; from < dVocab; from += rowsAtOnce) {
    await onPart();
    const to = Math.min(from + rowsAtOnce, dVocab);
    const rows = model.weights.model('unembedding', from, to, buffer);
    for (let id = from; id < to; id++) {
      const start = (id - from) * dModel;
      let sum = 0;
      for (let i = 0; i < dModel; i++) sum += rows[start + i] * direction[i];
      effects[id] = sum;
    }
  }
  const order = Uint32Array.from(effects, (_, id) => id).sort((a, b) => effects[b] - effects[a] || a - b);
  const list = (ids: Uint32Array) => Array.from(ids, (id): LogitEffect => ({ id, effect: effects[id] }));
  const n = Math.min(count, dVocab);
  return { top: list(order.subarray(0, n)), bottom: list(order.subarray(dVocab - n).reverse()) };
}

/** [dModel] what the feature adds to the residual stream per unit of activation, times the final norm's gain. */
function outputDirection(model: LanguageModel, set: TranscoderSet, layer: number, feature: number): Float64Array {
  const gain = model.weights.model('finalNorm');
  return writtenDirections(model, set, layer, [feature])[0].map((value, i) => value * gain[i]);
}

/**
 * What features of a layer add to the residual stream per unit of activation, over all layers that they write to
 * together; norms that lie between count with their gains only. [feature][dModel]
 * @param features ascending
 */
export function writtenDirections(
  model: LanguageModel,
  set: TranscoderSet,
  layer: number,
  features: readonly number[],
): Float64Array[] {
  const sums = features.map(() => new Float64Array(set.dModel));
  for (const slot of set.layers[layer].slots) {
    const rows = decoderRows(slot, features, set.dModel);
    const postGain = set.outputHook === 'mlp.hook_out' ? model.weights.layer(slot.writeLayer, 'postMlpNorm') : null;
    for (const [index, sum] of sums.entries()) {
      const row = rows.subarray(index * set.dModel, (index + 1) * set.dModel);
      for (let i = 0; i < sum.length; i++) sum[i] += row[i] * (postGain ? postGain[i] : 1);
    }
  }
  return sums;
}
