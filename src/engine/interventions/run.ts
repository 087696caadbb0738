import type { Intervention } from '../../protocol/engine.ts';
import { wholePattern } from '../model/attentionBlocks.ts';
import type { ForwardOptions, ForwardResult, KeyValueCache, LanguageModel } from '../model/languageModel.ts';
import type { ActiveFeatures, Encoder } from '../transcoders/encode.ts';
import { featureInput, featureOutput, scaled } from '../transcoders/tapPoint.ts';
import type { TranscoderSet } from '../transcoders/transcoder.ts';
import { DecoderWriter } from './decoderWriter.ts';
import { constrainedSet, type Edit, edited, editsOf, type Span } from './intervention.ts';

/** What every pass is made with. */
export type Parts = { readonly model: LanguageModel; readonly set: TranscoderSet; readonly encoder: Encoder };

export type InterventionSettings = {
  readonly interventions: readonly Intervention[];
  /** Attention patterns of the original run. Norms are not frozen by it. */
  readonly freezeAttention: boolean;
  /**
   * Layers whose outputs stay as in the original run but for the edits; patterns are frozen too, and if these are all
   * layers all norms' scales as well: what is left is the graph's linear model.
   */
  readonly constrainedLayers: readonly number[] | null;
};

/** What the encoders see during the run: at their inputs, not the values that edits impose. */
export type Recording = 'active' | 'pre-activations' | 'none';

export type Pass = {
  readonly run: ForwardResult;
  /** By layer, for 'active'. Positions count from the prompt's start. */
  readonly active: readonly ActiveFeatures[];
  /** By layer [pos, feature], for 'pre-activations'; special positions are 0. */
  readonly preActivations: readonly Float32Array[];
};

export type PassOptions = {
  readonly span: Span;
  /** Positions of the prompt; later ones are generated. */
  readonly nPrompt: number;
  /** Positions before it are special tokens, whose features count as 0. */
  readonly firstPos: number;
  readonly record: Recording;
  readonly logits: ForwardOptions['logits'];
  readonly cache?: KeyValueCache;
  readonly signal?: AbortSignal;
  readonly onProgress?: ForwardOptions['onProgress'];
};

/**
 * Runs ids with edits. At an edited feature's layers the output hook gains (new − current activation) · decoder row; the
 * model's own MLP output stays underneath.
 * @param original the same ids without edits; needed where something is frozen, and null for generated tokens
 */
export async function runEdited(
  parts: Parts,
  ids: readonly number[],
  settings: InterventionSettings,
  original: ForwardResult | null,
  options: PassOptions,
): Promise<Pass> {
  const { nLayers } = parts.model.dimensions;
  const constrained = original ? constrainedSet(settings.constrainedLayers, nLayers) : new Set<number>();
  const isFrozen = original !== null && (settings.freezeAttention || constrained.size > 0);
  const editor = new Editor(parts, settings.interventions, isFrozen ? original : null, constrained, options);
  const run = await parts.model.forward(ids, {
    logits: options.logits,
    signal: options.signal,
    onProgress: options.onProgress,
    cache: options.cache,
    frozenPatterns: isFrozen ? (layer) => wholePattern(original.layers[layer], original.nPos) : null,
    frozenNorms: constrained.size === nLayers ? original : null,
    keepsPatterns: false,
    replaceMlp: editor.replaceMlp,
  });
  return { run, active: editor.active, preActivations: editor.preActivations };
}

/** Stands at every layer's MLP during one pass: records features, and writes what edits change. */
class Editor {
  readonly active: ActiveFeatures[] = [];
  readonly preActivations: Float32Array[] = [];
  readonly #parts: Parts;
  readonly #interventions: readonly Intervention[];
  readonly #original: ForwardResult | null;
  readonly #constrained: ReadonlySet<number>;
  readonly #options: PassOptions;
  readonly #writer: DecoderWriter;

  constructor(
    parts: Parts,
    interventions: readonly Intervention[],
    original: ForwardResult | null,
    constrained: ReadonlySet<number>,
    options: PassOptions,
  ) {
    this.#parts = parts;
    this.#interventions = interventions;
    this.#original = original;
    this.#constrained = constrained;
    this.#options = options;
    this.#writer = new DecoderWriter(parts.set, options.span.nPos);
  }

  readonly replaceMlp: NonNullable<ForwardOptions['replaceMlp']> = async (
    layer,
    residMid,
    mlpNormScale,
    added,
    addedFrom,
  ) => {
    const { set } = this.#parts;
    const input = this.#input(layer, residMid, mlpNormScale);
    const edits = editsOf(this.#interventions, layer, this.#options.span, this.#options.nPrompt);
    await this.#record(layer, input);
    if (edits.length > 0) {
      const current = await this.#current(layer, input, edits);
      const changes = edits.map((edit, i) => edited(edit, current[i]) - current[i]);
      this.#writer.add(layer, edits, changes);
    }

    const delta = this.#writer.take(layer);
    if (this.#constrained.has(layer)) {
      const output = await this.#frozenOutput(layer, input);
      addTo(output, delta);
      return set.outputHook === 'mlp.hook_out' ? addedFrom(output) : output;
    }
    // Where some layers are constrained, edits write to those alone.
    if (!delta || this.#constrained.size > 0) return null;
    const own = await added();
    const output = (set.outputHook === 'mlp.hook_out' ? own.mlpOut : own.mlpAdded).slice();
    addTo(output, delta);
    return set.outputHook === 'mlp.hook_out' ? addedFrom(output) : output;
  };

  /** [pos, dModel] what this layer's encoder reads. */
  #input(layer: number, residMid: Float32Array, mlpNormScale: Float32Array): Float32Array {
    const { set, model } = this.#parts;
    if (set.inputHook === 'hook_resid_mid') return residMid;
    const gain = set.inputHook === 'mlp.hook_in' ? model.weights.layer(layer, 'mlpNorm') : null;
    return scaled(residMid, model.dimensions.dModel, { scale: mlpNormScale, gain });
  }

  async #record(layer: number, input: Float32Array): Promise<void> {
    const { record, span, firstPos } = this.#options;
    const { encoder, set } = this.#parts;
    const first = Math.max(0, firstPos - span.from);
    if (record === 'active') {
      const found = await encoder.activeAt(layer, input, span.nPos, first);
      this.active.push({ ...found, pos: found.pos.map((pos) => pos + span.from) });
    } else if (record === 'pre-activations') {
      const values = await encoder.preActivations(layer, input, span.nPos);
      this.preActivations.push(values.fill(0, 0, first * set.nFeatures));
    }
  }

  /** Activations that the edits start from: the original run's where layers are constrained, else this run's. */
  async #current(layer: number, input: Float32Array, edits: readonly Edit[]): Promise<number[]> {
    const { set, encoder, model } = this.#parts;
    const { span, firstPos } = this.#options;
    // What is added does not depend on what is there: nothing needs to be encoded.
    if (edits.every((edit) => edit.kind === 'add')) return edits.map(() => 0);
    const isOriginal = this.#constrained.size > 0 && this.#original !== null;
    const read = isOriginal ? featureInput(set.inputHook, model, this.#original!, layer) : input;
    const values = await encoder.activationsOf(layer, read, edits);
    return values.map((value, i) => (span.from + edits[i].pos < firstPos ? 0 : value));
  }

  /** [pos, dModel] at the output hook as in the original run, plus what a skip matrix makes of the changed input. */
  async #frozenOutput(layer: number, input: Float32Array): Promise<Float32Array> {
    const { set, encoder, model } = this.#parts;
    const original = this.#original!;
    const output = featureOutput(set.outputHook, original, layer).slice();
    if (set.layers[layer].skip) {
      const before = featureInput(set.inputHook, model, original, layer);
      const change = input.map((value, i) => value - before[i]);
      await encoder.addSkip(layer, change, this.#options.span.nPos, output);
    }
    return output;
  }
}

function addTo(output: Float32Array, delta: Float32Array | null): void {
  if (delta) for (let i = 0; i < output.length; i++) output[i] += delta[i];
}
