import { type AttributionSettings, defaultAttribution } from './engine.ts';
import { UserError } from './errors.ts';
import { type PositionChoice, parsePositions, positionMask } from './positions.ts';

/** What a trace explains, as the dialog offers it. */
export const targetKinds = ['top', 'tokens', 'ids', 'difference', 'directions'] as const;
export type TargetKind = (typeof targetKinds)[number];

export const featureModes = ['adaptive', 'number', 'all'] as const;
export type FeatureMode = (typeof featureModes)[number];

/**
 * A trace's options as they are typed: every field keeps what was written, right or wrong, also while another kind of
 * target hides it.
 */
export type TraceDraft = {
  readonly target: TargetKind;
  readonly maxLogits: string;
  readonly logitProbability: string;
  /** One token's text each. */
  readonly tokens: readonly string[];
  /** Numbers separated by commas. */
  readonly ids: string;
  readonly a: string;
  readonly b: string;
  /** A file of vectors; empty: none was chosen. */
  readonly directionsFile: string;
  readonly features: FeatureMode;
  readonly featureCount: string;
  readonly batchSize: string;
  readonly nodeThreshold: string;
  readonly edgeThreshold: string;
  /** Positions as `parsePositions` reads them; empty: the last one, or all. */
  readonly explainedAt: string;
  readonly attributed: string;
  readonly sources: string;
};

/** Where an error belongs: a field of the draft, or one of its tokens. */
export type TraceField = Exclude<keyof TraceDraft, 'target' | 'features' | 'tokens'> | `tokens.${number}`;

export type FieldErrors = Readonly<Partial<Record<TraceField, string>>>;

/** What the dialog opens with. */
export type TraceSetup = {
  readonly promptTokens: readonly string[];
  /** The model and its transcoders in a few words. */
  readonly model: string;
  /** What the model is known to say after the prompt, from an earlier trace; likeliest first. */
  readonly suggestions: readonly string[];
  readonly draft: TraceDraft;
  /** The draft that the settings give. */
  readonly defaults: TraceDraft;
};

/** What is said of a draft. */
export type TraceCheck = {
  /** The draft's number: an answer to an older one is out of date. */
  readonly number: number;
  readonly errors: FieldErrors;
  /** By field: the tokens that its text is to this model. */
  readonly pieces: Readonly<Partial<Record<TraceField, readonly { readonly id: number; readonly text: string }[]>>>;
  /** The vectors of the chosen file by name. */
  readonly directions: readonly string[];
  /** Memory and time of the trace; null where what would be traced is not clear yet. */
  readonly estimate: {
    readonly words: string;
    readonly verdict: 'fits' | 'slow' | 'over';
    readonly advice: string;
  } | null;
};

/** Texts in a draft are names of tokens and files, lists in it are short. */
const mostLetters = 4000;
const mostTokens = 100;

const emptyDraft: TraceDraft = draftOf(defaultAttribution);

/** The draft that settings give: the likeliest tokens, all positions. */
export function draftOf(settings: AttributionSettings): TraceDraft {
  const { maxLogits, logitProbability, batchSize, maxFeatureNodes, nodeThreshold, edgeThreshold } = settings;
  const isNumber = typeof maxFeatureNodes === 'number';
  return {
    target: 'top',
    maxLogits: String(maxLogits),
    logitProbability: String(logitProbability),
    tokens: [''],
    ids: '',
    a: '',
    b: '',
    directionsFile: '',
    features: isNumber ? 'number' : maxFeatureNodes,
    featureCount: isNumber ? String(maxFeatureNodes) : '1000',
    batchSize: String(batchSize),
    nodeThreshold: String(nodeThreshold),
    edgeThreshold: String(edgeThreshold),
    explainedAt: '',
    attributed: '',
    sources: '',
  };
}

/** A draft from a page or from memory: fields that are missing or of another type are taken from `fallback`. */
export function readDraft(value: unknown, fallback: TraceDraft): TraceDraft {
  if (typeof value !== 'object' || value === null) return fallback;
  const given = value as Record<string, unknown>;
  const isText = (text: unknown): text is string => typeof text === 'string' && text.length <= mostLetters;
  const read = Object.entries(fallback).map(([key, usual]) => {
    const found = given[key];
    if (key === 'tokens') {
      const isList = Array.isArray(found) && found.length > 0 && found.length <= mostTokens && found.every(isText);
      return [key, isList ? found : usual];
    }
    if (key === 'target') return [key, targetKinds.includes(found as TargetKind) ? found : usual];
    if (key === 'features') return [key, featureModes.includes(found as FeatureMode) ? found : usual];
    return [key, isText(found) ? found : usual];
  });
  return Object.fromEntries(read) as TraceDraft;
}

/** True for a whole draft: what a page sends is that or nothing of ours. */
export function isDraft(value: unknown): value is TraceDraft {
  return typeof value === 'object' && value !== null && JSON.stringify(readDraft(value, emptyDraft)) === ordered(value);
}

/** The draft's own fields in its own order, as JSON. */
function ordered(value: object): string {
  const given = value as Record<string, unknown>;
  return JSON.stringify(Object.fromEntries(Object.keys(emptyDraft).map((key) => [key, given[key]])));
}

/**
 * The numbers of a draft, and what is wrong with them. Fields that the chosen kind of target hides are not looked at.
 * @param nTokens of the prompt
 */
export function readNumbers(
  draft: TraceDraft,
  usual: AttributionSettings,
  nTokens: number,
): { readonly settings: AttributionSettings; readonly positions: PositionChoice; readonly errors: FieldErrors } {
  const errors: Partial<Record<TraceField, string>> = {};
  const whole = (field: 'maxLogits' | 'featureCount' | 'batchSize', least: number, most: number): number => {
    const value = numberOf(draft[field]);
    if (Number.isSafeInteger(value) && value >= least && value <= most) return value;
    errors[field] = `A whole number from ${least} to ${most.toLocaleString('en')} is needed.`;
    return least;
  };
  const share = (field: 'logitProbability' | 'nodeThreshold' | 'edgeThreshold'): number => {
    const value = numberOf(draft[field]);
    if (value > 0 && value <= 1) return value;
    errors[field] = 'A share above 0 and at most 1 is needed, such as 0.8.';
    return 1;
  };
  const spans = (field: 'attributed' | 'sources') => {
    try {
      const found = parsePositions(draft[field]);
      positionMask(found, nTokens);
      return found;
    } catch (error) {
      errors[field] = wordsOf(error);
      return null;
    }
  };
  const explainedAt = (): number | null => {
    if (draft.explainedAt.trim() === '') return null;
    const value = numberOf(draft.explainedAt);
    if (Number.isSafeInteger(value) && value >= 0 && value < nTokens) return value;
    errors.explainedAt = `A position from 0 to ${nTokens - 1} is needed; leave it empty for the last one.`;
    return null;
  };
  const isTop = draft.target === 'top';
  const settings: AttributionSettings = {
    ...usual,
    maxLogits: isTop ? whole('maxLogits', 1, 1000) : usual.maxLogits,
    logitProbability: isTop ? share('logitProbability') : usual.logitProbability,
    maxFeatureNodes: draft.features === 'number' ? whole('featureCount', 1, 10_000_000) : draft.features,
    batchSize: whole('batchSize', 1, 100_000),
    nodeThreshold: share('nodeThreshold'),
    edgeThreshold: share('edgeThreshold'),
  };
  const positions = { explainedAt: explainedAt(), attributed: spans('attributed'), sources: spans('sources') };
  return { settings, positions, errors };
}

/** Ids separated by commas or spaces; a text where they are none. */
export function readIds(text: string): readonly number[] | string {
  const parts = text.split(/[\s,]+/).filter((part) => part !== '');
  if (parts.length === 0) return 'Give token ids separated by commas, such as 1723, 9.';
  const wrong = parts.find((part) => !/^\d{1,9}$/.test(part));
  if (wrong !== undefined) return `${JSON.stringify(wrong.slice(0, 40))} is no token id: ids are whole numbers from 0.`;
  return parts.map(Number);
}

/** What happened and what to do, for a place beside a field. */
export function wordsOf(error: unknown): string {
  if (error instanceof UserError) return `${error.message} ${error.remedy}`;
  throw error;
}

/** NaN for what is no number; a comma before decimals is understood. */
function numberOf(text: string): number {
  const trimmed = text.trim().replace(',', '.');
  return /^\d*\.?\d+(e-?\d+)?$/i.test(trimmed) ? Number(trimmed) : Number.NaN;
}
