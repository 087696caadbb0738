import type { Intervention } from '../../protocol/engine.ts';
import { wholePattern } from '../model/attentionBlocks.ts';
import type { ForwardOptions, ForwardResult, KeyValueCache, LanguageModel } from '../model/languageModel.ts';
import type { ActiveFeatures, Encoder } from '../transcoders/encode.ts';
import { featureInput, featureOutput, scaled } from '../transcoders/tapPoint.ts';
import type { TranscoderSet } from '../transcoders/transcoder.ts';
import { DecoderWriter } from './decoderWriter.ts';
import { type ErrorChange, errorsAt } from './errorNodes.ts';
import { constrainedSet, type Edit, edited, editsOf, type Span } from './intervention.ts';

/** What every pass is made with. */
export type Parts = { readonly model: LanguageModel; readonly set: TranscoderSet; readonly encoder: Encoder };

export type InterventionSettings = {
  readonly interventions: readonly Intervention[];
  /** Places of the prompt where every feature that no intervention names is turned off: those patched as a whole. */
  readonly emptied?: readonly { readonly layer: number; readonly pos: number }[];
  /** Of the prompt. Each place once. */
  readonly errors?: readonly ErrorChange[];
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
 * Runs ids with edits. At an edited feature's layers the output hook gains what it writes with its new activation less what
 * it writes with the current one; the model's own MLP output stays underneath.
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
  const editor = new Editor(parts, settings, isFrozen ? original : null, constrained, options);
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

type ReplaceMlp = NonNullable<ForwardOptions['replaceMlp']>;

/** Stands at every layer's MLP during one pass: records features, and writes what edits change. */
class Editor {
  readonly active: ActiveFeatures[] = [];
  readonly preActivations: Float32Array[] = [];
  readonly #parts: Parts;
  readonly #interventions: readonly Intervention[];
  readonly #emptied: NonNullable<InterventionSettings['emptied']>;
  readonly #errors: readonly ErrorChange[];
  /** By layer, as far as error nodes are changed: features of this run. Positions count within the span. */
  readonly #seen: ActiveFeatures[] = [];
  readonly #original: ForwardResult | null;
  readonly #constrained: ReadonlySet<number>;
  readonly #options: PassOptions;
  readonly #writer: DecoderWriter;

  constructor(
    parts: Parts,
    { interventions, emptied, errors }: InterventionSettings,
    original: ForwardResult | null,
    constrained: ReadonlySet<number>,
    options: PassOptions,
  ) {
    this.#parts = parts;
    this.#interventions = interventions;
    // Places are the prompt's: generated tokens have none of them.
    const isPrompt = options.span.from === 0;
    this.#emptied = isPrompt ? (emptied ?? []) : [];
    this.#errors = isPrompt ? (errors ?? []) : [];
    this.#original = original;
    this.#constrained = constrained;
    this.#options = options;
    this.#writer = new DecoderWriter(parts.set, options.span.nPos);
  }

  readonly replaceMlp: ReplaceMlp = async (layer, residMid, mlpNormScale, added, addedFrom) => {
    const { set } = this.#parts;
    const input = this.#input(layer, residMid, mlpNormScale);
    const named = editsOf(this.#interventions, layer, this.#options.span, this.#options.nPrompt);
    const edits = [...named, ...(await this.#emptying(layer, input, named))];
    await this.#record(layer, input);
    if (edits.length > 0) {
      const current = await this.#current(layer, input, edits);
      const changed = edits.map((edit, i) => edited(edit, current[i]));
      this.#writer.add(layer, edits, current, changed);
    }

    await this.#changeErrors(layer, input, added);
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

  /** Edits that turn off what is on in emptied places and not named. */
  async #emptying(layer: number, input: Float32Array, named: readonly Edit[]): Promise<Edit[]> {
    const positions = new Set(this.#emptied.filter((place) => place.layer === layer).map(({ pos }) => pos));
    if (positions.size === 0) return [];
    const { encoder } = this.#parts;
    const { span, firstPos } = this.#options;
    const active = await encoder.activeAt(layer, this.#currentInput(layer, input), span.nPos, firstPos);
    const isNamed = new Set(named.map(({ pos, feature }) => `${pos} ${feature}`));
    return Array.from(
      active.pos,
      (pos, index): Edit => ({ pos, feature: active.feature[index], kind: 'set', value: 0 }),
    ).filter(({ pos, feature }) => positions.has(pos) && !isNamed.has(`${pos} ${feature}`));
  }

  /** What the encoders read where "current" is: in the original run where layers are constrained, else in this one. */
  #currentInput(layer: number, input: Float32Array): Float32Array {
    const { set, model } = this.#parts;
    if (this.#constrained.size === 0 || this.#original === null) return input;
    return featureInput(set.inputHook, model, this.#original, layer);
  }

  /** Activations that the edits start from: the original run's where layers are constrained, else this run's. */
  async #current(layer: number, input: Float32Array, edits: readonly Edit[]): Promise<number[]> {
    const { set, encoder } = this.#parts;
    const { span, firstPos } = this.#options;
    // What is added does not depend on what is there, where writing is linear: nothing needs to be encoded.
    const isLinear = set.layers[layer].slots.every((slot) => slot.onBias === null);
    if (isLinear && edits.every((edit) => edit.kind === 'add')) return edits.map(() => 0);
    const values = await encoder.activationsOf(layer, this.#currentInput(layer, input), edits);
    return values.map((value, i) => (span.from + edits[i].pos < firstPos ? 0 : value));
  }

  /**
   * Makes a layer's error nodes what they are to be: the output hook gains (new − current error). As with features, the
   * current one is this run's, or the original run's where layers are constrained.
   */
  async #changeErrors(layer: number, input: Float32Array, added: Parameters<ReplaceMlp>[3]): Promise<void> {
    if (!this.#errors.some((change) => change.layer >= layer)) return;
    const { set, encoder } = this.#parts;
    const { firstPos, span } = this.#options;
    const frozen = this.#constrained.size > 0 ? this.#original : null;
    const read = this.#currentInput(layer, input);
    this.#seen.push(await encoder.activeAt(layer, read, span.nPos, firstPos));
    const changes = this.#errors.filter((change) => change.layer === layer);
    if (changes.length === 0) return;
    const own = frozen ? null : await added();
    const output = frozen
      ? featureOutput(set.outputHook, frozen, layer)
      : set.outputHook === 'mlp.hook_out'
        ? own!.mlpOut
        : own!.mlpAdded;
    const positions = changes.map(({ pos }) => pos);
    const current = await errorsAt(
      this.#parts,
      layer,
      { input: read, output, active: this.#seen },
      positions,
      firstPos,
    );
    for (const [row, change] of changes.entries()) {
      if (change.pos < firstPos) continue;
      const own = current.subarray(row * set.dModel, (row + 1) * set.dModel);
      const wanted = 'vector' in change ? change.vector : own.map((value) => value * change.factor);
      this.#writer.addVector(
        layer,
        change.pos,
        own.map((value, i) => wanted[i] - value),
      );
    }
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
