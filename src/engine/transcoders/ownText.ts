import { setImmediate as nextTurn } from 'node:timers/promises';
import type { CollectRequest, CollectResult, Progress } from '../../protocol/engine.ts';
import { UserError } from '../../protocol/errors.ts';
import type { LanguageModel } from '../model/languageModel.ts';
import type { Tokenizer } from '../model/tokenizer.ts';
import type { Encoder } from './encode.ts';
import { FeatureTally } from './featureTally.ts';
import { featureInput } from './tapPoint.ts';
import type { TranscoderSet } from './transcoder.ts';

/** Tokens of text that are run at a time, behind the special ones: examples show a few words around their peak. */
const windowTokens = 128;
/** Requests beyond this are no person's: the host asks for much less. */
const limits = { texts: 2000, letters: 8_000_000, features: 20_000, tokens: 2_000_000 };

export type OwnTextParts = {
  readonly model: LanguageModel;
  readonly tokenizer: Tokenizer;
  readonly set: TranscoderSet;
  readonly encoder: Encoder;
};

export type OwnTextOptions = { readonly signal?: AbortSignal; readonly onProgress?: (progress: Progress) => void };

/** A stretch of a text as it is run: special tokens first. */
type TextWindow = { readonly ids: readonly number[]; readonly firstPos: number; readonly text: number };

/**
 * What some features do on the reader's own texts: where they fire most, how often, and how strongly. Texts are run in
 * windows of 128 tokens, each behind the model's special tokens; of longer texts, evenly spread windows.
 * @throws UserError when there is no text, or more than makes sense; AbortError when cancelled
 */
export async function collectExamples(
  request: CollectRequest,
  parts: OwnTextParts,
  options: OwnTextOptions = {},
): Promise<CollectResult> {
  checkRequest(request);
  const begun = performance.now();
  const { model, tokenizer, set, encoder } = parts;
  const { windows, tokensGiven } = await windowsOf(request, parts, options);
  const tallies = new Map(
    request.features
      .filter(({ layer, feature }) => layer < set.layers.length && feature < set.nFeatures)
      .map(({ layer, feature }) => [`${layer}/${feature}`, new FeatureTally(layer, feature)] as const),
  );
  const byLayer = new Map<number, Map<number, FeatureTally>>();
  for (const tally of tallies.values()) {
    const ofLayer = byLayer.get(tally.layer) ?? new Map<number, FeatureTally>();
    byLayer.set(tally.layer, ofLayer.set(tally.feature, tally));
  }
  let tokens = 0;
  for (const [done, { ids, firstPos }] of windows.entries()) {
    options.onProgress?.({ phase: 'own text', done, total: windows.length });
    await nextTurn();
    options.signal?.throwIfAborted();
    const run = await model.forward(ids, { logits: 'none', keepsPatterns: false, signal: options.signal });
    tokens += ids.length - firstPos;
    for (const [layer, ofLayer] of byLayer) {
      const input = featureInput(set.inputHook, model, run, layer);
      const active = await encoder.activeAt(layer, input, run.nPos, firstPos);
      for (let index = 0; index < active.count; index++) {
        ofLayer.get(active.feature[index])?.fires(active.pos[index], active.activation[index]);
      }
      for (const tally of ofLayer.values()) tally.endWindow(ids, firstPos);
    }
  }
  const text = (id: number): string => tokenizer.text(id);
  return {
    features: [...tallies.values()].map((tally) => tally.finish(tokens, text)),
    texts: new Set(windows.map((window) => window.text)).size,
    tokens,
    tokensGiven,
    milliseconds: performance.now() - begun,
  };
}

/** The windows that are run, in the order of the texts, and how many tokens the texts have in all. */
async function windowsOf(
  { texts, maxTokens }: CollectRequest,
  { model, tokenizer }: OwnTextParts,
  { signal }: OwnTextOptions,
): Promise<{ readonly windows: readonly TextWindow[]; readonly tokensGiven: number }> {
  const all: TextWindow[] = [];
  let tokensGiven = 0;
  for (const [place, { text }] of texts.entries()) {
    await nextTurn();
    signal?.throwIfAborted();
    const ids = tokenizer.tokenize({ type: 'text', text }).tokens.map(({ id }) => id);
    const firstPos = Math.min(tokenizer.zeroPositions(ids), ids.length);
    const size = Math.min(windowTokens, model.dimensions.maxPositions - firstPos);
    const front = ids.slice(0, firstPos);
    tokensGiven += ids.length - firstPos;
    for (let from = firstPos; from < ids.length; from += size) {
      all.push({ ids: [...front, ...ids.slice(from, from + size)], firstPos, text: place });
    }
  }
  if (all.length === 0) {
    throw new UserError('ownText.empty', 'The chosen texts hold no words.', 'Choose files with text in them.');
  }
  return { windows: evenly(all, Math.max(1, Math.floor(maxTokens / windowTokens))), tokensGiven };
}

/** At most `most` of the entries, spread evenly, in their order. */
function evenly<Entry>(entries: readonly Entry[], most: number): readonly Entry[] {
  if (entries.length <= most) return entries;
  return Array.from({ length: most }, (_, place) => entries[Math.floor((place * entries.length) / most)]);
}

function checkRequest({ texts, features, maxTokens }: CollectRequest): void {
  const letters = texts.reduce((sum, { text }) => sum + text.length, 0);
  const counts: readonly [string, number, number][] = [
    ['texts', texts.length, limits.texts],
    ['letters of text', letters, limits.letters],
    ['features', features.length, limits.features],
    ['tokens', maxTokens, limits.tokens],
  ];
  for (const [name, count, most] of counts) {
    if (count <= most) continue;
    throw new UserError('ownText.tooMuch', `${count} ${name} were given; the limit is ${most}.`, 'Choose less text.');
  }
}
