import type { Site } from './node.ts';

/**
 * A feature at a place, and what one unit of a slider stands for there: its activation in the traced prompt, or in the
 * prompt that it was taken from.
 */
export type EditedSite = Site & { readonly unit: number };

/** Positions that an edit holds at: where its features were found, or a range; `stop` null: generated tokens too. */
export type EditPlaces = 'own' | { readonly start: number; readonly stop: number | null };

export type EditKind = 'scale' | 'set' | 'add' | 'ablate';

/** One row of the interventions: features, error nodes, or another prompt's activations. */
export type GraphEdit = {
  /** What the row is called. Untrusted text. */
  readonly name: string;
  readonly isOn: boolean;
} & (
  | {
      readonly type: 'features';
      readonly sites: readonly EditedSite[];
      readonly places: EditPlaces;
      /** scale: times `factor` what is there; set: `factor` units; add: `factor` units more; ablate: nothing. */
      readonly kind: EditKind;
      readonly factor: number;
    }
  | {
      readonly type: 'errors';
      readonly sites: readonly { readonly layer: number; readonly pos: number }[];
      readonly factor: number;
    }
  | {
      readonly type: 'patch';
      /** Vocabulary ids of the other prompt. */
      readonly tokens: readonly number[];
      /** Null: every position; both prompts then have as many tokens. */
      readonly pos: number | null;
      /** In the other prompt; null: the same. */
      readonly fromPos: number | null;
      readonly layer: number | null;
      readonly feature: number | null;
      readonly nodes: PatchedNodes;
    }
);

/** Which nodes of a place take on the other prompt's values. */
export type PatchedNodes = 'features' | 'errors' | 'all';

/** What is held as it is without the edits: nothing, attention patterns, or patterns and all else in a range of layers. */
export type Freeze = 'nothing' | 'attention' | { readonly from: number; readonly to: number };

export type RunOptions = {
  readonly freeze: Freeze;
  /** How far both runs go on after the prompt. */
  readonly newTokens: number;
  /** Null: always the most likely token. */
  readonly sampling: { readonly temperature: number; readonly topP: number; readonly seed: number } | null;
};

/** Edits under a name. */
export type InterventionSet = {
  readonly name: string;
  readonly edits: readonly GraphEdit[];
  readonly options: RunOptions;
};

/** The edits on the table and those that were kept by name: part of the trace, saved with it. */
export type Interventions = {
  readonly edits: readonly GraphEdit[];
  readonly options: RunOptions;
  readonly sets: readonly InterventionSet[];
};

export const plainRun: RunOptions = { freeze: 'nothing', newTokens: 0, sampling: null };

export const noInterventions: Interventions = { edits: [], options: plainRun, sets: [] };

/** The edits on the table kept under a name, in the place of a set that has it already. */
export function keepSet({ edits, options, sets }: Interventions, name: string): Interventions {
  const kept = { name, edits, options };
  const isKnown = sets.some((set) => set.name === name);
  return {
    edits,
    options,
    sets: isKnown ? sets.map((set) => (set.name === name ? kept : set)) : [...sets, kept],
  };
}

/** A set put on the table. */
export function useSet(interventions: Interventions, name: string): Interventions {
  const set = interventions.sets.find((candidate) => candidate.name === name);
  return set === undefined ? interventions : { ...interventions, edits: set.edits, options: set.options };
}

export function renameSet(interventions: Interventions, name: string, newName: string): Interventions {
  if (name === newName) return interventions;
  const others = interventions.sets.filter((set) => set.name !== newName);
  return { ...interventions, sets: others.map((set) => (set.name === name ? { ...set, name: newName } : set)) };
}

export function removeSet(interventions: Interventions, name: string): Interventions {
  return { ...interventions, sets: interventions.sets.filter((set) => set.name !== name) };
}

/** The name of the set that is on the table as it was kept; null when it was changed since, or never kept. */
export function nameOfEdits({ edits, options, sets }: Interventions): string | null {
  const text = JSON.stringify({ edits, options });
  const same = sets.find((set) => JSON.stringify({ edits: set.edits, options: set.options }) === text);
  return same?.name ?? null;
}
