import type { Intervention, Patch } from '../../protocol/engine.ts';
import { UserError } from '../../protocol/errors.ts';
import type { ActiveFeatures } from '../transcoders/encode.ts';

/**
 * A patch as interventions: every feature that is on in either prompt at the patched places is set to what it is in the
 * other prompt. UserError when a position does not exist, or whole prompts differ in length.
 * @param own   active features of the prompt that is patched, by layer
 * @param other the same of the prompt that the activations come from
 */
export function patchInterventions(
  patch: Patch,
  own: readonly ActiveFeatures[],
  other: readonly ActiveFeatures[],
  nOwn: number,
  nOther: number,
): Intervention[] {
  const { positions, shift } = patchedPositions(patch, nOwn, nOther);
  if (patch.nodes === 'errors') return [];
  const wanted = new Set(positions);
  const values = new Map<string, Intervention>();
  const collect = (lists: readonly ActiveFeatures[], move: number, newValue: (activation: number) => number): void => {
    for (const [layer, list] of lists.entries()) {
      if (patch.layer !== null && patch.layer !== layer) continue;
      for (let i = 0; i < list.count; i++) {
        const [pos, feature] = [list.pos[i] - move, list.feature[i]];
        if (!wanted.has(pos) || (patch.feature !== null && patch.feature !== feature)) continue;
        values.set(`${layer} ${pos} ${feature}`, {
          layer,
          pos,
          feature,
          kind: 'set',
          value: newValue(list.activation[i]),
        });
      }
    }
  };
  collect(own, 0, () => 0);
  collect(other, shift, (activation) => activation);
  return [...values.values()];
}

/** Places where a patch takes on all features of the other prompt, those that are on in neither run included: none stay. */
export function emptiedPlaces(
  patch: Patch,
  nLayers: number,
  nOwn: number,
  nOther: number,
): { readonly layer: number; readonly pos: number }[] {
  if (patch.feature !== null || patch.nodes === 'errors') return [];
  const layers = patch.layer === null ? Array.from({ length: nLayers }, (_, layer) => layer) : [patch.layer];
  const { positions } = patchedPositions(patch, nOwn, nOther);
  return layers.flatMap((layer) => positions.map((pos) => ({ layer, pos })));
}

/**
 * The positions that a patch changes, and how far from each the one lies that it takes from. UserError when a position
 * does not exist, or whole prompts differ in length.
 */
export function patchedPositions(
  patch: Patch,
  nOwn: number,
  nOther: number,
): { readonly positions: readonly number[]; readonly shift: number } {
  if (patch.pos === null && nOwn !== nOther) {
    throw new UserError(
      'patch.lengths',
      `The prompts have ${nOwn} and ${nOther} tokens: position by position they can't be matched.`,
      'Patch one position from another, or use prompts with as many tokens.',
    );
  }
  const positions = patch.pos === null ? Array.from({ length: nOwn }, (_, pos) => pos) : [patch.pos];
  const shift = patch.pos === null ? 0 : (patch.fromPos ?? patch.pos) - patch.pos;
  for (const pos of positions) checkPosition(pos, nOwn, 'patched prompt');
  for (const pos of positions) checkPosition(pos + shift, nOther, 'other prompt');
  return { positions, shift };
}

function checkPosition(pos: number, count: number, prompt: string): void {
  if (Number.isInteger(pos) && pos >= 0 && pos < count) return;
  throw new UserError(
    'patch.position',
    `There is no position ${pos} in the ${prompt}, which has ${count} tokens.`,
    `Choose a position from 0 to ${count - 1}.`,
  );
}
