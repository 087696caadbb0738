import type {
  InterveneRequest,
  InterveneResult,
  Prediction,
  Progress,
  Prompt,
  VerifyRequest,
  VerifyResult,
} from '../../protocol/engine.ts';
import { UserError } from '../../protocol/errors.ts';
import type { ForwardResult } from '../model/languageModel.ts';
import { largest, softmax } from '../model/sample.ts';
import type { Tokenizer } from '../model/tokenizer.ts';
import type { ActiveFeatures } from '../transcoders/encode.ts';
import { featureInput } from '../transcoders/tapPoint.ts';
import { errorChanges } from './errorNodes.ts';
import { generate } from './generate.ts';
import { checkInterventions, constrainedSet } from './intervention.ts';
import { emptiedPlaces, patchInterventions } from './patch.ts';
import { type InterventionSettings, type Parts, runEdited } from './run.ts';
import { verifyClaims } from './verify.ts';

/** Features whose change is told. */
const mostChanged = 200;
const mostNewTokens = 4096;
/** Prompts whose runs are remembered: one, and those that it is patched from. */
const mostRuns = 4;
/** Attention patterns of remembered runs: longer prompts are run again instead. */
const mostRemembered = 256 * 2 ** 20;
/** Activations that differ by less than this share of the larger are the same: float32 sums differ that much. */
const sameActivation = 1e-4;

export type InterveneContext = {
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: Progress) => void;
};

/** A prompt as it runs without edits: kept, so that an edit that is changed costs one pass. */
type Original = {
  readonly key: string;
  readonly ids: readonly number[];
  readonly firstPos: number;
  readonly run: ForwardResult;
  /** By layer. */
  readonly active: readonly ActiveFeatures[];
  /** Generated texts by their settings. */
  readonly generated: Map<string, readonly Prediction[]>;
};

/** Answers what a model says when features of a prompt are changed. Remembers the last prompts' runs without changes. */
export class Intervener {
  readonly #parts: Parts;
  readonly #tokenizer: Tokenizer;
  /** Runs without edits, most recent last: of the prompt, and of prompts that it is patched from. */
  #kept: readonly Original[] = [];

  constructor(parts: Parts, tokenizer: Tokenizer) {
    this.#parts = parts;
    this.#tokenizer = tokenizer;
  }

  /** UserError for features, positions, layers and values that don't exist; AbortError when cancelled. */
  async intervene(request: InterveneRequest, context: InterveneContext = {}): Promise<InterveneResult> {
    const started = performance.now();
    checkCounts(request);
    const { nLayers } = this.#parts.model.dimensions;
    constrainedSet(request.constrainedLayers, nLayers);
    const original = await this.#original(request.prompt, context);
    const settings = await this.#settings(request, original, context);
    const nPos = original.ids.length;
    checkInterventions(settings.interventions, nLayers, this.#parts.set.nFeatures, nPos);

    // Both texts are generated with the weights as they were widened for the first.
    using _held = request.newTokens > 0 ? this.#parts.model.holdWeights() : null;
    const generatedBefore = await this.#generatedBefore(request, original, context);
    const edited = await this.#edited(request, settings, original, context);
    const probabilities = { before: softmax(original.run.logits), after: softmax(edited.logits) };
    const { topTokens } = request;
    const ids = new Set([...largest(probabilities.before, topTokens), ...largest(probabilities.after, topTokens)]);
    return {
      before: this.#predictions(ids, probabilities.before),
      after: this.#predictions(ids, probabilities.after),
      generatedBefore,
      generatedAfter: edited.generated,
      changed: changedFeatures(original.active, edited.active),
      milliseconds: performance.now() - started,
    };
  }

  /** Measures what claims of a graph predict. UserError for claims about what does not exist. */
  async verify(request: VerifyRequest, context: InterveneContext = {}): Promise<VerifyResult> {
    const started = performance.now();
    const original = await this.#original(request.prompt, context);
    const { signal, onProgress } = context;
    const onDone = (done: number, total: number) => onProgress?.({ phase: 'forward', done, total });
    const text = (id: number) => this.#tokenizer.text(id);
    const verified = await verifyClaims(this.#parts, original, request, text, { signal, onDone });
    return { ...verified, milliseconds: performance.now() - started };
  }

  async #original(prompt: Prompt, { signal, onProgress }: InterveneContext): Promise<Original> {
    const ids = this.#tokenizer.tokenize(prompt).tokens.map((token) => token.id);
    const key = ids.join();
    const known = this.#kept.find((candidate) => candidate.key === key);
    if (known) return this.#keep(known);
    const firstPos = this.#tokenizer.zeroPositions(ids);
    const { model, set, encoder } = this.#parts;
    const run = await model.forward(ids, {
      logits: 'last',
      signal,
      onProgress: (done, total) => onProgress?.({ phase: 'forward', done, total }),
    });
    const active: ActiveFeatures[] = [];
    for (let layer = 0; layer < set.layers.length; layer++) {
      signal?.throwIfAborted();
      active.push(await encoder.activeAt(layer, featureInput(set.inputHook, model, run, layer), ids.length, firstPos));
    }
    return this.#keep({ key, ids, firstPos, run, active, generated: new Map() });
  }

  /** Remembers a run, and forgets the oldest ones that are too many or too large together. */
  #keep(original: Original): Original {
    let bytes = 0;
    const newest = [original, ...this.#kept.filter(({ key }) => key !== original.key).toReversed()];
    this.#kept = newest
      .slice(0, mostRuns)
      .filter(({ run }) => {
        bytes += run.layers.reduce((sum, layer) => sum + layer.attnPattern.byteLength, 0);
        return bytes <= mostRemembered;
      })
      .toReversed();
    return original;
  }

  /** The request's interventions after those that its patches stand for, and what becomes of error nodes. */
  async #settings(
    request: InterveneRequest,
    original: Original,
    context: InterveneContext,
  ): Promise<InterventionSettings> {
    const nPos = original.ids.length;
    const patches = request.patches ?? [];
    const others: Original[] = [];
    for (const { prompt } of patches) others.push(await this.#original(prompt, context));
    const patched = patches.flatMap((patch, index) =>
      patchInterventions(patch, original.active, others[index].active, nPos, others[index].ids.length),
    );
    const errors = await errorChanges(this.#parts, patches, others, request.errors ?? [], nPos);
    const emptied = patches.flatMap((patch, index) =>
      emptiedPlaces(patch, this.#parts.set.layers.length, nPos, others[index].ids.length),
    );
    return { ...request, errors, emptied, interventions: [...patched, ...request.interventions] };
  }

  async #generatedBefore(
    request: InterveneRequest,
    original: Original,
    { signal, onProgress }: InterveneContext,
  ): Promise<readonly Prediction[]> {
    const { newTokens, sampling } = request;
    if (newTokens === 0) return [];
    const key = JSON.stringify([newTokens, sampling]);
    const known = original.generated.get(key);
    if (known) return known;
    const settings = { interventions: [], freezeAttention: false, constrainedLayers: null };
    const tokens = this.#collector('before', newTokens, onProgress);
    await generate(this.#parts, original.ids, settings, null, {
      newTokens,
      sampling,
      firstPos: original.firstPos,
      endIds: this.#tokenizer.endIds,
      record: 'none',
      signal,
      onToken: tokens.add,
    });
    original.generated.set(key, tokens.all);
    return tokens.all;
  }

  async #edited(
    request: InterveneRequest,
    settings: InterventionSettings,
    original: Original,
    { signal, onProgress }: InterveneContext,
  ): Promise<{ logits: Float32Array; active: readonly ActiveFeatures[]; generated: readonly Prediction[] }> {
    const { ids, firstPos } = original;
    const { newTokens, sampling } = request;
    if (newTokens > 0) {
      const tokens = this.#collector('after', newTokens, onProgress);
      const { passes } = await generate(this.#parts, ids, settings, original.run, {
        newTokens,
        sampling,
        firstPos,
        endIds: this.#tokenizer.endIds,
        record: 'active',
        recordsPromptOnly: true,
        signal,
        onToken: tokens.add,
      });
      return { logits: passes[0].run.logits, active: passes[0].active, generated: tokens.all };
    }
    // Without edits nothing changes, not even the last digits that another order of sums would.
    if (settings.interventions.length === 0 && !settings.errors?.length) {
      return { logits: original.run.logits, active: original.active, generated: [] };
    }
    const { run, active } = await runEdited(this.#parts, ids, settings, original.run, {
      span: { from: 0, nPos: ids.length },
      nPrompt: ids.length,
      firstPos,
      record: 'active',
      logits: 'last',
      signal,
      onProgress: (done, total) => onProgress?.({ phase: 'forward', done, total }),
    });
    return { logits: run.logits, active, generated: [] };
  }

  /** Takes generated tokens and streams them. */
  #collector(
    run: 'before' | 'after',
    total: number,
    onProgress: InterveneContext['onProgress'],
  ): { readonly all: Prediction[]; readonly add: (id: number, logits: Float32Array) => void } {
    const all: Prediction[] = [];
    const add = (id: number, logits: Float32Array): void => {
      const token = { id, text: this.#tokenizer.text(id), probability: softmax(logits)[id] };
      all.push(token);
      onProgress?.({ phase: 'generate', done: all.length, total, token: { ...token, run } });
    };
    return { all, add };
  }

  #predictions(ids: ReadonlySet<number>, probabilities: Float64Array): Prediction[] {
    return [...ids]
      .map((id) => ({ id, text: this.#tokenizer.text(id), probability: probabilities[id] }))
      .sort((a, b) => b.probability - a.probability || a.id - b.id);
  }
}

/** Features whose activation differs, largest change first. */
function changedFeatures(
  before: readonly ActiveFeatures[],
  after: readonly ActiveFeatures[],
): InterveneResult['changed'] {
  const changes = new Map<string, { layer: number; pos: number; feature: number; before: number; after: number }>();
  for (const [layer, list] of before.entries()) {
    for (let i = 0; i < list.count; i++) {
      const [pos, feature] = [list.pos[i], list.feature[i]];
      changes.set(`${layer} ${pos} ${feature}`, { layer, pos, feature, before: list.activation[i], after: 0 });
    }
  }
  for (const [layer, list] of after.entries()) {
    for (let i = 0; i < list.count; i++) {
      const [pos, feature] = [list.pos[i], list.feature[i]];
      const key = `${layer} ${pos} ${feature}`;
      const known = changes.get(key);
      if (known) known.after = list.activation[i];
      else changes.set(key, { layer, pos, feature, before: 0, after: list.activation[i] });
    }
  }
  const size = (change: { before: number; after: number }): number => Math.abs(change.after - change.before);
  return [...changes.values()]
    .filter((change) => size(change) > sameActivation * Math.max(Math.abs(change.before), Math.abs(change.after)))
    .sort((a, b) => size(b) - size(a))
    .slice(0, mostChanged);
}

function checkCounts({ topTokens, newTokens, sampling }: InterveneRequest): void {
  checkRange('The number of top tokens', topTokens, 1, 1000, true);
  checkRange('The number of new tokens', newTokens, 0, mostNewTokens, true);
  if (!sampling) return;
  checkRange('The temperature', sampling.temperature, 0, 100, false);
  checkRange('The top-p share', sampling.topP, Number.MIN_VALUE, 1, false);
  checkRange('The seed', sampling.seed, 0, 2 ** 32 - 1, true);
}

function checkRange(what: string, value: number, least: number, most: number, isWhole: boolean): void {
  if (value >= least && value <= most && (!isWhole || Number.isInteger(value))) return;
  const kind = isWhole ? 'a whole number' : 'a number';
  const from = least === Number.MIN_VALUE ? 'above 0' : `from ${least}`;
  throw new UserError(
    'intervention.range',
    `${what} is ${value}; it must be ${kind} ${from} to ${most}.`,
    'Correct it.',
  );
}
