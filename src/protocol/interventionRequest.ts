import type { EditPlaces, GraphEdit, RunOptions } from '../graph/interventions.ts';
import type { ErrorEdit, InterveneRequest, Intervention, Patch } from './engine.ts';

/** What the engine is asked for: the part of a request that follows from the edits on the table. */
export type RequestedEdits = Pick<
  InterveneRequest,
  'interventions' | 'patches' | 'errors' | 'freezeAttention' | 'constrainedLayers' | 'newTokens' | 'sampling'
>;

/** Every edit that is on, one intervention a feature and place; patches come before, as the engine applies them. */
export function requestedEdits(edits: readonly GraphEdit[], options: RunOptions): RequestedEdits {
  const applied = edits.filter(({ isOn }) => isOn);
  const { freeze, newTokens, sampling } = options;
  return {
    interventions: applied.flatMap(interventionsOf),
    patches: applied.flatMap(patchesOf),
    errors: applied.flatMap(errorsOf),
    freezeAttention: freeze === 'attention',
    constrainedLayers:
      typeof freeze === 'string'
        ? null
        : Array.from({ length: freeze.to - freeze.from + 1 }, (_, index) => freeze.from + index),
    newTokens,
    sampling: newTokens > 0 ? sampling : null,
  };
}

function interventionsOf(edit: GraphEdit): Intervention[] {
  if (edit.type !== 'features') return [];
  const { kind, factor, places, sites } = edit;
  const all = sites.map(({ layer, pos, feature, unit }): Intervention => {
    const value = kind === 'ablate' ? 0 : kind === 'scale' ? factor : factor * unit;
    return { layer, feature, pos: positionsOf(places, pos), kind, value };
  });
  if (places === 'own') return all;
  // A feature found at several positions is one edit over the range, its largest one.
  const largest = new Map<string, Intervention>();
  for (const one of all) {
    const key = `${one.layer} ${one.feature}`;
    const known = largest.get(key);
    if (!known || Math.abs(one.value) > Math.abs(known.value)) largest.set(key, one);
  }
  return [...largest.values()];
}

function positionsOf(places: EditPlaces, own: number): Intervention['pos'] {
  return places === 'own' ? own : places;
}

function patchesOf(edit: GraphEdit): Patch[] {
  if (edit.type !== 'patch') return [];
  const { tokens: ids, pos, fromPos, layer, feature, nodes } = edit;
  return [{ prompt: { type: 'tokens', ids }, pos, fromPos, layer, feature, nodes }];
}

function errorsOf(edit: GraphEdit): ErrorEdit[] {
  return edit.type === 'errors' ? edit.sites.map(({ layer, pos }) => ({ layer, pos, factor: edit.factor })) : [];
}
