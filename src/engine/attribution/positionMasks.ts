import { percent } from '../../graph/percent.ts';
import type { Token } from '../../protocol/engine.ts';
import { UserError } from '../../protocol/errors.ts';
import { type PositionChoice, positionMask } from '../../protocol/positions.ts';
import type { Attribution } from './attribute.ts';

/** A choice of positions as it applies to one prompt. */
export type PositionMasks = {
  /** Tokens that are run; those after the explained position are left out. */
  readonly nPos: number;
  /** [nPos] 1 where features are sources of their own, and where they may be attributed; null: everywhere. */
  readonly sources: Uint8Array | null;
  readonly attributed: Uint8Array | null;
};

/**
 * UserError where a position lies outside the prompt, or no position to attribute is a source.
 * @param nAll   tokens of the prompt
 * @param firstPos positions before it are special tokens
 */
export function positionMasks(choice: PositionChoice, nAll: number, firstPos: number): PositionMasks {
  const { explainedAt } = choice;
  if (explainedAt !== null) positionMask([{ from: explainedAt, to: explainedAt }], nAll);
  const nPos = explainedAt === null ? nAll : explainedAt + 1;
  const sources = positionMask(choice.sources, nAll)?.slice(0, nPos) ?? null;
  const attributed = positionMask(choice.attributed, nAll)?.slice(0, nPos) ?? null;
  const isUseful = (pos: number) => pos >= firstPos && sources?.[pos] !== 0 && attributed?.[pos] !== 0;
  if ((sources || attributed) && !Array.from({ length: nPos }, (_, pos) => pos).some(isUseful)) {
    throw new UserError(
      'positions.none',
      `No feature could be attributed: none of the chosen positions is both a source and one to attribute, from ${firstPos} to ${nPos - 1}.`,
      'Choose positions that are both, after the special tokens and up to the one explained.',
    );
  }
  return { nPos, sources, attributed };
}

/**
 * What a choice of positions leaves out, in sentences with numbers; none when it leaves nothing out.
 * @param tokens of the whole prompt
 * @param nodeInfluence [nNodes] of the unpruned graph
 */
export function positionNotes(
  masks: PositionMasks,
  tokens: readonly Token[],
  attribution: Pick<Attribution, 'graph' | 'outsideInfluence' | 'outputs' | 'run' | 'selected' | 'firstPos'>,
  nodeInfluence: Float64Array,
): string[] {
  const { nPos, sources, attributed } = masks;
  const { firstPos, outsideInfluence } = attribution;
  const outside = (mask: Uint8Array) => mask.subarray(firstPos).reduce((count, isIn) => count + 1 - isIn, 0);
  const own = nPos - firstPos;
  const notes: string[] = [];
  if (nPos < tokens.length) {
    const shown = JSON.stringify(tokens[nPos - 1].text);
    notes.push(
      `The prediction after position ${nPos - 1} (${shown}) is explained. The ${tokens.length - nPos} tokens after it are left out: they cannot matter to it.`,
    );
  }
  if (sources && outside(sources) > 0) {
    const share = errorShare(attribution, sources, nodeInfluence);
    notes.push(
      `At ${outside(sources)} of ${own} positions features are not looked at one by one: what they write is part of the error nodes there, at which ${percent(share, 1)} of the influence ends.`,
    );
  }
  if (attributed && outside(attributed) > 0) {
    notes.push(
      `Features at ${outside(attributed)} of ${own} positions were not to be attributed; those that count as sources hold ${percent(outsideInfluence, 1)} of the influence.`,
    );
  }
  return notes;
}

/** Share of the outputs' influence that ends at error nodes outside the mask. */
function errorShare(
  { graph, outputs, run, selected }: Pick<Attribution, 'graph' | 'outputs' | 'run' | 'selected'>,
  mask: Uint8Array,
  nodeInfluence: Float64Array,
): number {
  let held = 0;
  graph.kinds.forEach((kind, node) => {
    if (kind === 'error' && !mask[(node - selected.length) % run.nPos]) held += nodeInfluence[node];
  });
  const given = outputs.reduce((sum, { probability }) => sum + probability, 0);
  return given === 0 ? 0 : held / given;
}
