import type { TraceRecord } from '../traceRecord.ts';
import { rangesInDocument, type Segment } from './placedText.ts';

type TracedPrompt = Pick<TraceRecord, 'promptText' | 'tokens' | 'source' | 'prompt'>;

/** Texts longer than this are not searched for a prompt that stands somewhere else in them. */
const longestSearch = 2_000_000;

/**
 * Where each token of a traced prompt stands in a document: at its old places when the document is the prompt's source
 * and still holds it there, else at the prompt's first occurrence. Null when the document does not hold the prompt.
 */
export function tokenRanges(document: string, prompt: TracedPrompt, isSource: boolean): [number, number][][] | null {
  const segments = segmentsIn(document, prompt, isSource);
  if (segments === null) return null;
  return textRanges(prompt).map((range) => (range === null ? [] : rangesInDocument(segments, range[0], range[1])));
}

function segmentsIn(
  document: string,
  { promptText, source }: TracedPrompt,
  isSource: boolean,
): readonly Segment[] | null {
  if (isSource && source !== null) {
    const isUnchanged = source.segments.every(([text, place, length]) => {
      const then = promptText.slice(text, text + length);
      // Single units may be escapes, which are written otherwise in the document.
      return length === 1 || document.slice(place, place + length) === then;
    });
    if (isUnchanged && source.segments.length > 0) return source.segments;
  }
  if (promptText.trim() === '' || document.length > longestSearch) return null;
  const at = document.indexOf(promptText);
  return at < 0 ? null : [[0, at, promptText.length]];
}

/**
 * Each token's half-open range in the prompt's text. Chat prompts are rendered through a template, so their tokens are
 * looked for in order among the messages' words.
 */
function textRanges({ promptText, tokens, prompt }: TracedPrompt): (readonly [number, number] | null)[] {
  if (prompt.type === 'text') return tokens.map((token) => token.range);
  let from = 0;
  return tokens.map(({ text }) => {
    if (text === '' || text.trim() === '') return null;
    const at = promptText.indexOf(text, from);
    const trimmed = at < 0 ? promptText.indexOf(text.trim(), from) : at;
    const length = at < 0 ? text.trim().length : text.length;
    // A template's own words may occur far ahead in the text: a near match only.
    if (trimmed < 0 || trimmed - from > 8) return null;
    from = trimmed + length;
    return [trimmed, trimmed + length] as const;
  });
}

/**
 * The tokens that selections touch, as positions; none when they touch all that stand in the document, or none.
 * @param ranges     by token: its ranges in the document
 * @param selections half-open; empty ones touch nothing
 */
export function tokensBetween(
  ranges: readonly (readonly (readonly [number, number])[])[],
  selections: readonly (readonly [number, number])[],
): number[] {
  const isTouched = (places: readonly (readonly [number, number])[]): boolean =>
    places.some(([start, end]) => selections.some(([from, to]) => from < end && start < to));
  const placed = ranges.filter((places) => places.length > 0).length;
  const touched = ranges.flatMap((places, pos) => (isTouched(places) ? [pos] : []));
  return touched.length === placed ? [] : touched;
}
