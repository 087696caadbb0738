import type { Side } from '../../src/protocol/comparison.ts';
import type { Changes } from '../views/view.ts';
import type { CompareState, CompareUpdate } from './compareStore.ts';
import { inPane } from './compareStore.ts';
import type { ComparisonDerived } from './comparisonDerive.ts';
import type { Pane } from './pairing.ts';

/** A part of the comparison page: draws the state, and asks for changes. */
export type ComparisonView = {
  readonly element: HTMLElement;
  update(state: CompareState, derived: ComparisonDerived | null): void;
};

/** What a view of the comparison may ask for. */
export type ComparisonIntents = {
  apply(update: CompareUpdate): void;
  /** Opens a trace's own graph, at the chosen node where it has one. */
  openTrace(side: Side): void;
  openMerged(): void;
  failedAction(): void;
};

/** What the views of a graph panel may change, in one picture of the comparison. */
export function paneChanges(pane: Pane, intents: ComparisonIntents): Changes {
  return { apply: (update) => intents.apply(inPane(pane, update)) };
}
