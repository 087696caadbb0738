import type { InterveneResult, Intervention } from '../src/protocol/engine.ts';

/** One row of the interventions list. */
export type Edit = {
  readonly key: string;
  readonly name: string;
  /** The nodes that the edit changes: one feature, or all members of a supernode. */
  readonly nodes: readonly number[];
  /** Times the activation that the feature has in the traced run; 0 turns it off. */
  readonly factor: number;
  readonly isOn: boolean;
};

export type SteeringState = {
  readonly edits: readonly Edit[];
  readonly result: InterveneResult | null;
  readonly isRunning: boolean;
};

export const noSteering: SteeringState = { edits: [], result: null, isRunning: false };

/** What the engine is asked to do: every edit that is on, one intervention a node. */
export function interventionsOf(
  steering: SteeringState,
  siteOf: (node: number) => { readonly layer: number; readonly feature: number; readonly pos: number } | null,
): Intervention[] {
  return steering.edits
    .filter((edit) => edit.isOn)
    .flatMap((edit) =>
      edit.nodes.flatMap((node): Intervention[] => {
        const site = siteOf(node);
        if (!site) return [];
        return [{ ...site, kind: edit.factor === 0 ? 'ablate' : 'scale', value: edit.factor }];
      }),
    );
}
