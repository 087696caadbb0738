import type { FeatureCard, FeatureExample } from '../../protocol/engine.ts';
import { isRecord } from '../model/readJson.ts';
import { wholeCharacters } from './tokenEscapes.ts';

/** What a set's example files say of one feature: a feature card without its label. */
export type FeatureExamples = Pick<
  FeatureCard,
  | 'quantiles'
  | 'topLogits'
  | 'bottomLogits'
  | 'activationFrequency'
  | 'histogram'
  | 'quantileValues'
  | 'activationMin'
  | 'activationMax'
>;

/** A card shows a few dozen examples; longer lists are cut. */
const limits = { quantiles: 32, examples: 100, tokens: 1024, logits: 100, numbers: 1000, textLength: 2000 };

/** Takes out of a feature file what a card shows. What is missing or has the wrong shape is left out. */
export function parseFeatureExamples(file: Readonly<Record<string, unknown>>): FeatureExamples {
  return {
    quantiles: list(file.examples_quantiles, limits.quantiles).flatMap((quantile) => {
      if (!isRecord(quantile)) return [];
      const examples = list(quantile.examples, limits.examples).flatMap((value) => example(value) ?? []);
      return [{ name: text(quantile.quantile_name), examples }];
    }),
    topLogits: wholeEach(texts(file.top_logits)),
    bottomLogits: wholeEach(texts(file.bottom_logits)),
    activationFrequency: number(file.activation_frequency),
    histogram: numbers(file.histogram),
    quantileValues: numbers(file.quantile_values),
    activationMin: number(file.act_min),
    activationMax: number(file.act_max),
  };
}

function example(value: unknown): FeatureExample | null {
  if (!isRecord(value)) return null;
  const tokens = list(value.tokens, limits.tokens).map(text);
  const given = list(value.tokens_acts_list, limits.tokens);
  const activations = tokens.map((_, index) => number(given[index]) ?? 0);
  const peak = number(value.train_token_ind);
  const isPlace = peak !== null && Number.isInteger(peak) && peak >= 0 && peak < tokens.length;
  return tokens.length === 0 ? null : { tokens: wholeCharacters(tokens), activations, peak: isPlace ? peak : null };
}

function list(value: unknown, limit: number): readonly unknown[] {
  return Array.isArray(value) ? value.slice(0, limit) : [];
}

function text(value: unknown): string {
  return typeof value === 'string' ? value.slice(0, limits.textLength) : '';
}

function texts(value: unknown): readonly string[] {
  return list(value, limits.logits)
    .filter((item) => typeof item === 'string')
    .map(text);
}

/** Logits stand for themselves: no character goes from one to the next. */
function wholeEach(tokens: readonly string[]): readonly string[] {
  return tokens.map((token) => wholeCharacters([token])[0]);
}

function number(value: unknown): number | null {
  return typeof value === 'number' && Number.isFinite(value) ? value : null;
}

function numbers(value: unknown): readonly number[] {
  return list(value, limits.numbers).map((item) => number(item) ?? 0);
}
