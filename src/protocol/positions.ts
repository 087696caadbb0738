import { UserError } from './errors.ts';

/** Token positions from … to, both included, counted from 0. */
export type PositionSpan = { readonly from: number; readonly to: number };

/**
 * Which positions of the prompt a trace is about; null: all of them, or the last.
 * With everything null a trace is what it is without a choice.
 */
export type PositionChoice = {
  /** The prediction after this position is explained: what follows cannot matter to it and is left out. */
  readonly explainedAt: number | null;
  /** Only features here may be attributed. Others are looked at as sources, and count as not expanded. */
  readonly attributed: readonly PositionSpan[] | null;
  /**
   * Only features here are sources of their own. At the other positions, what all features of a layer write is left in
   * the layer's error node there: its edges are the sum of theirs and the error's own.
   */
  readonly sources: readonly PositionSpan[] | null;
};

export const allPositions: PositionChoice = { explainedAt: null, attributed: null, sources: null };

/**
 * "5, 8-12" as people write positions; "8-" goes on to the last one. Null for an empty text: all positions.
 * UserError for anything else.
 */
export function parsePositions(text: string): readonly PositionSpan[] | null {
  if (text.trim() === '') return null;
  return text.split(',').map((part) => {
    const [, first, dash, last] = /^\s*(\d{1,9})\s*(?:([-–])\s*(\d{1,9})?)?\s*$/.exec(part) ?? [];
    const from = Number(first);
    const to = dash === undefined ? from : last === undefined ? Number.MAX_SAFE_INTEGER : Number(last);
    if (first !== undefined && to >= from) return { from, to };
    throw new UserError(
      'positions.text',
      `${JSON.stringify(part.trim().slice(0, 40))} names no token positions.`,
      'Write numbers and ranges separated by commas, such as 5, 8-12, 20-. The first token is 0.',
    );
  });
}

/** The positions as `parsePositions` reads them; empty for all. */
export function positionsText(spans: readonly PositionSpan[] | null): string {
  const part = ({ from, to }: PositionSpan): string =>
    to === Number.MAX_SAFE_INTEGER ? `${from}-` : from === to ? `${from}` : `${from}-${to}`;
  return (spans ?? []).map(part).join(', ');
}

/** [nPos] 1 where a span covers the position; null for all positions. UserError where a span lies outside the prompt. */
export function positionMask(spans: readonly PositionSpan[] | null, nPos: number): Uint8Array | null {
  if (spans === null) return null;
  const mask = new Uint8Array(nPos);
  for (const { from, to } of spans) {
    if (!(Number.isSafeInteger(from) && Number.isSafeInteger(to) && from >= 0 && from <= to && from < nPos)) {
      throw outside(positionsText([{ from, to }]), nPos);
    }
    if (to >= nPos && to !== Number.MAX_SAFE_INTEGER) throw outside(positionsText([{ from, to }]), nPos);
    mask.fill(1, from, Math.min(to, nPos - 1) + 1);
  }
  return mask;
}

function outside(shown: string, nPos: number): UserError {
  return new UserError(
    'positions.range',
    `Position ${shown} is outside the prompt of ${nPos} tokens, 0 to ${nPos - 1}.`,
    'Choose positions of this prompt.',
  );
}
