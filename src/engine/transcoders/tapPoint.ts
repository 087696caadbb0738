import type { ForwardResult, LanguageModel } from '../model/languageModel.ts';
import type { InputHook, OutputHook } from './transcoder.ts';

/**
 * A tap point as a frozen linear map of the residual stream: value[pos, i] = stream[pos, i] · scale[pos] · gain[i].
 * Null: 1.
 */
export type FrozenScale = { readonly scale: Float32Array | null; readonly gain: Float32Array | null };

/** How what encoders read comes from the residual stream after attention. */
export function readingScale(hook: InputHook, model: LanguageModel, run: ForwardResult, layer: number): FrozenScale {
  if (hook === 'hook_resid_mid') return { scale: null, gain: null };
  const scale = run.layers[layer].mlpNormScale;
  return { scale, gain: hook === 'mlp.hook_in' ? model.weights.layer(layer, 'mlpNorm') : null };
}

/** How what decoders write reaches the residual stream. */
export function writingScale(hook: OutputHook, model: LanguageModel, run: ForwardResult, layer: number): FrozenScale {
  if (hook === 'hook_mlp_out') return { scale: null, gain: null };
  return { scale: run.layers[layer].postMlpNormScale, gain: model.weights.layer(layer, 'postMlpNorm') };
}

/** [pos, dModel] what the encoders of a layer read. */
export function featureInput(hook: InputHook, model: LanguageModel, run: ForwardResult, layer: number): Float32Array {
  return scaled(run.layers[layer].residMid, model.dimensions.dModel, readingScale(hook, model, run, layer));
}

/** [pos, dModel] what the decoders of a layer are to reproduce. */
export function featureOutput(hook: OutputHook, run: ForwardResult, layer: number): Float32Array {
  return hook === 'hook_mlp_out' ? run.layers[layer].mlpAdded : run.layers[layer].mlpOut;
}

/** A scaled copy of [pos, dModel]; the same array where nothing scales. */
export function scaled(values: Float32Array, dModel: number, { scale, gain }: FrozenScale): Float32Array {
  if (!scale && !gain) return values;
  const result = new Float32Array(values.length);
  for (let place = 0; place < values.length; place++) {
    const pos = Math.floor(place / dModel);
    result[place] = values[place] * (scale ? scale[pos] : 1) * (gain ? gain[place - pos * dModel] : 1);
  }
  return result;
}
