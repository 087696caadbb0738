import type { ErrorEdit, Intervention } from '../../protocol/engine.ts';
import { UserError } from '../../protocol/errors.ts';

/** One feature at one position of a run, and what becomes of it. */
export type Edit = {
  /** Index within the run's positions. */
  readonly pos: number;
  readonly feature: number;
  readonly kind: Intervention['kind'];
  readonly value: number;
};

/** The positions that a pass runs: the prompt from 0, or later one generated token at a time. */
export type Span = { readonly from: number; readonly nPos: number };

/**
 * Checks interventions against the model's and the set's sizes. UserError for a layer, feature or position that does
 * not exist, and for values that are no numbers.
 * @param nPos positions of the prompt; generated ones are reached by open-ended ranges only
 */
export function checkInterventions(
  interventions: readonly Intervention[],
  nLayers: number,
  nFeatures: number,
  nPos: number,
): void {
  for (const { layer, feature, pos, value } of interventions) {
    check('layer', layer, nLayers, 'layers');
    check('feature', feature, nFeatures, 'features in a layer');
    if (!Number.isFinite(value)) {
      throw new UserError(
        'intervention.value',
        `The intervention on feature ${feature} of layer ${layer} has the value ${value}, which is no number.`,
        'Give a number.',
      );
    }
    if (typeof pos === 'number') {
      check('position', pos, nPos, 'positions in the prompt');
      continue;
    }
    // One past the prompt is the first generated token.
    if (pos.stop === null) check('position', pos.start, nPos + 1, 'positions in the prompt and the first generated');
    else check('position', pos.start, nPos, 'positions in the prompt');
    if (pos.stop !== null && !(Number.isInteger(pos.stop) && pos.stop > pos.start && pos.stop <= nPos)) {
      throw new UserError(
        'intervention.position',
        `The positions ${pos.start} to ${pos.stop} are no range within the prompt's ${nPos}.`,
        `Give a range that ends after its start and at most at ${nPos}.`,
      );
    }
  }
}

/** Checks an edit of an error node as `checkInterventions` does those of features. */
export function checkSite({ layer, pos, factor }: ErrorEdit, nLayers: number, nPos: number): void {
  check('layer', layer, nLayers, 'layers');
  check('position', pos, nPos, 'positions in the prompt');
  if (Number.isFinite(factor)) return;
  throw new UserError(
    'intervention.value',
    `The error node of layer ${layer} at position ${pos} is to be multiplied by ${factor}, which is no number.`,
    'Give a number.',
  );
}

/** The constrained layers as a set; UserError for one that the model does not have, or a gap between them. */
export function constrainedSet(layers: readonly number[] | null, nLayers: number): ReadonlySet<number> {
  const constrained = new Set(layers ?? []);
  for (const layer of constrained) check('constrained layer', layer, nLayers, 'layers');
  const first = Math.min(...constrained);
  for (let layer = first; layer < first + constrained.size; layer++) {
    if (constrained.has(layer)) continue;
    throw new UserError(
      'intervention.constrained',
      `The constrained layers ${[...constrained].join(', ')} leave out layer ${layer}.`,
      'Constrain layers without a gap between them.',
    );
  }
  return constrained;
}

/**
 * The edits of one layer within a span, by position, then feature. If a feature is named twice at a position the last
 * holds. Positions after the prompt are reached by open-ended ranges alone.
 */
export function editsOf(interventions: readonly Intervention[], layer: number, span: Span, nPrompt: number): Edit[] {
  const edits = new Map<string, Edit>();
  for (const { layer: own, feature, pos: place, kind, value } of interventions) {
    if (own !== layer) continue;
    const [start, stop] = typeof place === 'number' ? [place, place + 1] : [place.start, place.stop];
    const last = stop ?? span.from + span.nPos;
    for (let pos = Math.max(start, span.from); pos < Math.min(last, span.from + span.nPos); pos++) {
      if (pos >= nPrompt && stop !== null) continue;
      edits.set(`${pos} ${feature}`, { pos: pos - span.from, feature, kind, value });
    }
  }
  return [...edits.values()].sort((a, b) => a.pos - b.pos || a.feature - b.feature);
}

/** What an edit makes of a feature's current activation. */
export function edited({ kind, value }: Pick<Edit, 'kind' | 'value'>, current: number): number {
  if (kind === 'set') return value;
  if (kind === 'scale') return value * current;
  return kind === 'add' ? current + value : 0;
}

function check(what: string, value: number, count: number, counted: string): void {
  if (Number.isInteger(value) && value >= 0 && value < count) return;
  throw new UserError(
    `intervention.${what.split(' ').at(-1)}`,
    `There is no ${what} ${value}: there are ${count} ${counted}, counted from 0.`,
    `Choose a ${what} from 0 to ${count - 1}.`,
  );
}
