import type { ForwardResult, LanguageModel } from '../model/languageModel.ts';
import type { Encoder } from '../transcoders/encode.ts';
import { decoderRows, writtenAmounts } from '../transcoders/featureRows.ts';
import { featureInput, featureOutput } from '../transcoders/tapPoint.ts';
import { type InputHook, inputHooks, type TranscoderSet } from '../transcoders/transcoder.ts';

/** Below this median over layers the reading place is doubted and the others are tried. */
const doubtfulShare = 0.3;
/** Decoder rows read at a time. */
const rowsAtOnce = 2048;
/** Another place must explain this much more to be named. */
const clearlyBetter = 0.2;

/**
 * Share of the variance of each layer's MLP output over the prompt's positions that its transcoder explains:
 * 1 − Σ |output − reconstruction|² / Σ |output − mean|². Negative where it does harm; 1 where there is nothing to explain.
 * @param reconstruction by layer: [pos, dModel]
 * @param mask [nPos] 1 at the positions that count; null: all from `firstPos` on
 */
export function explainedVariance(
  set: TranscoderSet,
  run: ForwardResult,
  reconstruction: readonly Float32Array[],
  firstPos: number,
  mask: Uint8Array | null = null,
): number[] {
  const counted = Array.from({ length: run.nPos }, (_, pos) => pos).filter(
    (pos) => pos >= firstPos && mask?.[pos] !== 0,
  );
  return reconstruction.map((decoded, layer) => {
    const output = featureOutput(set.outputHook, run, layer);
    const { dModel } = set;
    const count = counted.length;
    let left = 0;
    let whole = 0;
    for (let i = 0; i < dModel; i++) {
      let mean = 0;
      // The mean of one position alone would leave no variance: there it is taken about 0.
      for (const pos of count > 1 ? counted : []) mean += output[pos * dModel + i] / count;
      for (const pos of counted) {
        left += (output[pos * dModel + i] - decoded[pos * dModel + i]) ** 2;
        whole += (output[pos * dModel + i] - mean) ** 2;
      }
    }
    return whole === 0 ? 1 : 1 - left / whole;
  });
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

/**
 * A warning when the transcoders explain little of this prompt, which is how a wrong reading place shows: numbers stay
 * plausible. Where another place explains clearly more of the first layers, it is named. Null when all is well.
 */
export async function checkTapPoint(
  model: LanguageModel,
  set: TranscoderSet,
  encoder: Encoder,
  run: ForwardResult,
  firstPos: number,
  explained: readonly number[],
  mask: Uint8Array | null = null,
): Promise<string | null> {
  const share = median(explained);
  if (share >= doubtfulShare || run.nPos <= firstPos) return null;
  const percent = (value: number) => `${Math.round(100 * value)} %`;
  const said = `The transcoders explain ${percent(share)} of the MLP outputs' variance on this prompt (median over layers), reading at ${set.inputHook}.`;
  // Only a layer that no other writes to can be judged alone: the first.
  const own = explained[0];
  for (const hook of inputHooks) {
    if (hook === set.inputHook) continue;
    const other = await explainedAt(hook, model, set, encoder, run, firstPos, mask);
    if (other > doubtfulShare && other > own + clearlyBetter) {
      return `${said} Reading at ${hook} would explain ${percent(other)} of layer 0 instead of ${percent(own)}: feature_input_hook in config.yaml is probably wrong.`;
    }
  }
  return `${said} They may be made for another model or another place in it; the graph then says little.`;
}

async function explainedAt(
  hook: InputHook,
  model: LanguageModel,
  set: TranscoderSet,
  encoder: Encoder,
  run: ForwardResult,
  firstPos: number,
  mask: Uint8Array | null,
): Promise<number> {
  const input = featureInput(hook, model, run, 0);
  const active = await encoder.activeAt(0, input, run.nPos, firstPos);
  const decoded = new Float32Array(run.nPos * set.dModel);
  for (let pos = 0; pos < run.nPos; pos++) decoded.set(set.decoderBias[0], pos * set.dModel);
  const slot = set.layers[0].slots[0];
  const amounts = writtenAmounts(slot, active.feature, active.activation);
  const order = Uint32Array.from(amounts, (_, index) => index);
  order.sort((a, b) => active.feature[a] - active.feature[b]);
  for (let from = 0; from < order.length; from += rowsAtOnce) {
    const part = order.subarray(from, from + rowsAtOnce);
    const features = part.map((index) => active.feature[index]);
    const rows = decoderRows(slot, features, set.dModel);
    part.forEach((index, row) => {
      const start = active.pos[index] * set.dModel;
      for (let i = 0; i < set.dModel; i++) decoded[start + i] += amounts[index] * rows[row * set.dModel + i];
    });
  }
  await encoder.addSkip(0, input, run.nPos, decoded);
  return explainedVariance(set, run, [decoded], firstPos, mask)[0];
}
