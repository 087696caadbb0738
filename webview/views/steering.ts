import { button, iconButton, progressRing } from '../controls.ts';
import type { Derived } from '../derive.ts';
import { fill, make } from '../dom.ts';
import { changeEdit, changeInterventions, placeKey } from '../steeringState.ts';
import type { ViewState } from '../store.ts';
import { setSteering } from '../updates.ts';
import type { EditRow } from './editRow.ts';
import { createEditRow } from './editRow.ts';
import { createInterventionSets } from './interventionSets.ts';
import { outcomeOf } from './outcome.ts';
import { createRunOptions } from './runOptions.ts';
import type { Changes } from './view.ts';
import { changeOf } from './view.ts';

/** What the interventions ask of the extension. */
export type SteeringRequest = 'addIntervention' | 'takeFromTrace' | 'copyCommandLine';

export type SteeringIntents = Changes & {
  cancel(): void;
  ask(request: SteeringRequest): void;
};

/** What the interventions show of the graph: the side bar, which has no picture of it, knows no more. */
export type SteeringDerived = Pick<Derived, 'index' | 'nameOf'>;

export type SteeringView = {
  readonly element: HTMLElement;
  update(state: ViewState, derived: SteeringDerived | null): void;
};

/**
 * A row for everything that is changed, sets of rows under names, how the model is run with them, before and after. The
 * same part stands in the graph panel and in the side bar.
 */
export function createSteering(intents: SteeringIntents): SteeringView {
  const rows = make('ul', { class: 'edits' });
  const sets = createInterventionSets(intents);
  const options = createRunOptions(intents);
  const want = (isWanted: boolean) => intents.apply(setSteering((steering) => ({ ...steering, isWanted })));
  const run = button('Run', () => want(true), { appearance: 'primary' });
  const stop = button('Stop', () => intents.cancel());
  const clear = button('Clear', () =>
    intents.apply(setSteering((steering) => changeInterventions(steering, (now) => ({ ...now, edits: [] })))),
  );
  const copy = iconButton('copy', 'Copy as a command line', () => intents.ask('copyCommandLine'));
  const ring = progressRing();
  const actions = make('div', { class: 'steering-actions' }, run, stop, clear, copy, ring);
  const add = make(
    'div',
    { class: 'steering-add' },
    button('Add…', () => intents.ask('addIntervention'), {
      icon: 'plus',
      title: 'A group, feature or error node of this graph, or any feature by its number',
    }),
    button('From another trace…', () => intents.ask('takeFromTrace'), {
      icon: 'import',
      title: 'Take the activations that a group, a feature or a whole position has in another prompt',
    }),
  );
  const failure = make('p', { class: 'failure', attributes: { role: 'alert' } });
  const outcome = make('div', { class: 'outcome', attributes: { 'aria-live': 'polite' } });
  const hint = make('p', { class: 'hint muted' });
  const element = make(
    'div',
    { class: 'steering' },
    hint,
    sets.element,
    rows,
    add,
    options.element,
    actions,
    failure,
    outcome,
  );
  const isNewList = changeOf();
  const isNewResult = changeOf();
  let shown: EditRow[] = [];
  return {
    element,
    update(state, derived) {
      const { steering, trace } = state;
      const { interventions } = steering;
      const { edits } = interventions;
      const hasModel = trace?.hasModel ?? false;
      hint.hidden = derived !== null && (edits.length > 0 || !hasModel) && hasModel;
      hint.textContent = hintOf(derived !== null, hasModel);
      sets.element.hidden = rows.hidden = !derived;
      add.hidden = options.element.hidden = !derived || !hasModel;
      if (!derived) {
        actions.hidden = failure.hidden = true;
        fill(outcome);
        return;
      }
      // Rows stay while their slider moves, or the pointer would lose it.
      if (isNewList(edits.map(placeKey).join('\n'), derived.index)) {
        shown = edits.map((edit, place) =>
          createEditRow(edit, derived, intents, (change) =>
            intents.apply(setSteering((now) => changeEdit(now, place, change))),
          ),
        );
        fill(rows, ...shown.map((row) => row.element));
      }
      for (const [place, edit] of edits.entries()) shown[place].set(edit);
      sets.update(interventions);
      options.update(interventions.options, derived.index.graph.metadata.nLayers);
      const { isRunning, streamed, result, failure: wrong } = steering.run;
      actions.hidden = edits.length === 0 || !hasModel;
      run.hidden = isRunning;
      stop.hidden = ring.hidden = !isRunning;
      failure.hidden = wrong === null;
      failure.textContent = wrong === null ? '' : `${wrong.message} ${wrong.remedy}`;
      outcome.classList.toggle('stale', isRunning && streamed.after.length === 0);
      if (isNewResult(result, streamed, isRunning, derived.index, derived.nameOf)) {
        fill(outcome, ...outcomeOf(steering.run, derived, intents));
      }
    },
  };
}

function hintOf(hasGraph: boolean, hasModel: boolean): string {
  if (!hasGraph) return 'Open a trace to change what the model thinks in it, and to see what it says then.';
  return hasModel
    ? 'Change what the model thinks and see what it says then: add a feature or a group here, or choose the dial at a node, a box of the subgraph or a row of the Features view.'
    : 'The model of this graph is not on this machine, so it cannot be run with changed features.';
}
