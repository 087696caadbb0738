import os from 'node:os';
import type { AttributionSettings, Targets, Token } from '../protocol/engine.ts';
import { type PositionChoice, positionMask } from '../protocol/positions.ts';
import {
  type FieldErrors,
  readIds,
  readNumbers,
  type TraceCheck,
  type TraceDraft,
  type TraceField,
  wordsOf,
} from '../protocol/traceDialog.ts';
import { formatBytes } from './remote/sizes.ts';
import { describeEstimate, type EngineCaller, estimateFor, type TracedPair } from './traceCost.ts';

/** What a draft settles: goes into a trace's request in place of what the settings say. */
export type TraceOptions = {
  readonly targets: Targets;
  readonly positions: PositionChoice;
  readonly settings: AttributionSettings;
};

export type DraftContext = {
  readonly engine: EngineCaller;
  readonly pair: TracedPair;
  /** What the settings say, for what the draft has no field for. */
  readonly usual: AttributionSettings;
  /** Tokens of the prompt. */
  readonly nTokens: number;
};

type JudgedTargets = Pick<TraceCheck, 'pieces' | 'directions' | 'errors'> & { readonly targets: Targets | null };

/**
 * What is wrong with a draft, field by field, what its texts are to the model, and what the trace would take; the
 * options it settles when nothing is wrong.
 */
export async function judgeDraft(
  context: DraftContext,
  draft: TraceDraft,
  number: number,
): Promise<{ readonly check: TraceCheck; readonly options: TraceOptions | null }> {
  const { settings, positions, errors: wrongNumbers } = readNumbers(draft, context.usual, context.nTokens);
  const { targets, pieces, directions, errors: wrongTargets } = await judgeTargets(context, draft);
  const errors = { ...wrongNumbers, ...wrongTargets };
  const isSized = wrongNumbers.featureCount === undefined && wrongNumbers.explainedAt === undefined;
  const check = {
    ...{ number, errors, pieces, directions },
    estimate: isSized ? await estimateInWords(context, settings, positions) : null,
  };
  return { check, options: targets !== null && isEmpty(errors) ? { targets, positions, settings } : null };
}

async function estimateInWords(
  { engine, pair, nTokens }: DraftContext,
  { maxFeatureNodes }: AttributionSettings,
  { explainedAt, sources }: PositionChoice,
): Promise<TraceCheck['estimate']> {
  // What follows the explained position is not run.
  const nRun = explainedAt === null ? nTokens : explainedAt + 1;
  const ofSources = positionMask(sources, nTokens)?.subarray(0, nRun);
  const nSourcePositions = ofSources?.reduce((sum, isSource) => sum + isSource, 0) ?? nRun;
  const estimate = await estimateFor(engine, pair, { nTokens: nRun, nSourcePositions, maxFeatureNodes });
  const { verdict, advice } = estimate;
  const words = describeEstimate(estimate);
  const memory = `; this machine has ${formatBytes(os.totalmem())}`;
  return { words: verdict === 'over' ? `${words}${memory}` : words, verdict, advice };
}

/** What the draft explains; null, with errors, where that is not clear. */
async function judgeTargets(context: DraftContext, draft: TraceDraft): Promise<JudgedTargets> {
  const nothing = { pieces: {}, directions: [], errors: {} };
  switch (draft.target) {
    case 'top':
      return { ...nothing, targets: { type: 'top' } };
    case 'tokens': {
      const fields = draft.tokens.map((text, i) => ({ field: `tokens.${i}` as const, text }));
      // An empty line is where the next one would be written; all of them empty are none.
      const written = fields.some(({ text }) => text !== '') ? fields.filter(({ text }) => text !== '') : fields;
      const { pieces, errors } = await singleTokens(context, written);
      const texts = written.map(({ text }) => text);
      return { ...nothing, pieces, errors, targets: isEmpty(errors) ? { type: 'texts', texts } : null };
    }
    case 'difference': {
      const { a, b } = draft;
      const { pieces, errors } = await singleTokens(context, [
        { field: 'a', text: a },
        { field: 'b', text: b },
      ]);
      const isSame = isEmpty(errors) && a === b;
      if (isSame) return { ...nothing, pieces, errors: { b: 'Both are the same token.' }, targets: null };
      return { ...nothing, pieces, errors, targets: isEmpty(errors) ? { type: 'difference', a, b } : null };
    }
    case 'ids':
      return judgeIds(context, draft.ids);
    case 'directions':
      return judgeDirections(context, draft.directionsFile);
  }
}

async function judgeIds({ engine, pair }: DraftContext, text: string): Promise<JudgedTargets> {
  const refused = (ids: string) => ({ pieces: {}, directions: [], errors: { ids }, targets: null });
  const ids = readIds(text);
  if (typeof ids === 'string') return refused(ids);
  const { dVocab } = await engine.call('inspectModel', { folder: pair.model });
  const unknown = ids.find((id) => id >= dVocab);
  if (unknown !== undefined) {
    return refused(`There is no token ${unknown}: the vocabulary has ${dVocab} tokens, 0 to ${dVocab - 1}.`);
  }
  const { tokens } = await engine.call('tokenize', { pair, prompt: { type: 'tokens', ids } });
  return { pieces: { ids: tokens.slice(-ids.length) }, directions: [], errors: {}, targets: { type: 'ids', ids } };
}

async function judgeDirections({ engine, pair }: DraftContext, file: string): Promise<JudgedTargets> {
  const refused = (directionsFile: string) => ({
    pieces: {},
    directions: [],
    errors: { directionsFile },
    targets: null,
  });
  if (file === '') return refused('Choose a file of vectors.');
  try {
    const found = await engine.call('readDirections', { folder: pair.model, file });
    const directions = found.map((direction) => ({ ...direction, probability: 1 / found.length }));
    const names = found.map(({ label }) => label);
    return { pieces: {}, directions: names, errors: {}, targets: { type: 'directions', directions } };
  } catch (error) {
    return refused(wordsOf(error));
  }
}

/** Which token each text is, or why it is none. */
async function singleTokens(
  context: DraftContext,
  written: readonly { readonly field: TraceField; readonly text: string }[],
): Promise<{ readonly pieces: TraceCheck['pieces']; readonly errors: FieldErrors }> {
  const pieces: Partial<Record<TraceField, readonly Token[]>> = {};
  const errors: Partial<Record<TraceField, string>> = {};
  for (const { field, text } of written) {
    if (text === '') {
      errors[field] = 'Write a token. Most words need the space before them: “ Paris”.';
      continue;
    }
    const found = await piecesOf(context, text);
    pieces[field] = found;
    if (found.length === 1) continue;
    const spaced = /^\s/.test(text) ? [] : await piecesOf(context, ` ${text}`);
    errors[field] =
      spaced.length === 1
        ? `These are ${found.length} tokens; with a space before it, it is one.`
        : `These are ${found.length} tokens to this model, and a target is one. Write only the first.`;
  }
  return { pieces, errors };
}

async function piecesOf({ engine, pair }: DraftContext, text: string): Promise<readonly Token[]> {
  const { tokens } = await engine.call('tokenize', { pair, prompt: { type: 'text', text } });
  // What is put in front of a prompt has no place in the text.
  return tokens.filter(({ range }) => range !== null);
}

function isEmpty(errors: FieldErrors): boolean {
  return Object.keys(errors).length === 0;
}
