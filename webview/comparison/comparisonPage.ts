import type { Activity } from '../activity.ts';
import { button } from '../controls.ts';
import { fill, make } from '../dom.ts';
import type { Palette } from '../drawing/palette.ts';
import { setCamera, stepBack } from '../updates.ts';
import { createSplitter } from '../views/splitter.ts';
import { changeOf } from '../views/view.ts';
import { describeNode } from '../words.ts';
import { type CompareState, inPane } from './compareStore.ts';
import type { ComparisonDerived } from './comparisonDerive.ts';
import { createComparisonHeader, createComparisonToolbar } from './comparisonHeader.ts';
import type { ComparisonIntents, ComparisonView } from './comparisonIntents.ts';
import { createDifferencesTable } from './differencesTable.ts';
import { createGraphPane } from './graphPane.ts';
import { createPairCard } from './pairCard.ts';
import { type Pane, paneNames } from './pairing.ts';
import { presenceText } from './presence.ts';

export type ComparisonPage = ComparisonView & {
  placeOf(pane: Pane, node: number): { x: number; y: number } | null;
  setPalette(palette: Palette): void;
};

/** Puts the parts of the comparison on the page: both prompts, the pictures, the card, the table of differences. */
export function createComparisonPage(intents: ComparisonIntents, activity: Activity, palette: Palette): ComparisonPage {
  const panes = {
    left: createGraphPane('left', intents, activity, palette),
    right: createGraphPane('right', intents, activity, palette),
    one: createGraphPane('one', intents, activity, palette),
  };
  const onScreen = (): Pane => (panes.one.element.hidden ? 'left' : 'one');
  const header = createComparisonHeader(intents);
  const toolbar = createComparisonToolbar(intents, {
    by: (factor) => panes[onScreen()].zoomBy(factor),
    fit: () => intents.apply(inPane(onScreen(), setCamera(null))),
  });
  const card = createPairCard(intents);
  const table = createDifferencesTable(intents, () => panes[onScreen()].graph.focus());
  const splitter = createSplitter('horizontal', 'Height of the table', { min: 80, max: 800 }, (tableHeight) =>
    intents.apply((state) => ({ ...state, tableHeight })),
  );
  const message = make('div', { class: 'messages', attributes: { role: 'status', 'aria-live': 'polite' } });
  const live = make('div', { class: 'visually-hidden', attributes: { 'aria-live': 'polite' } });
  const main = make(
    'main',
    { class: 'main' },
    make('div', { class: 'stage panes' }, ...paneNames.map((pane) => panes[pane].element)),
    card.element,
  );
  const element = make(
    'div',
    { class: 'page comparison' },
    header.element,
    toolbar.element,
    main,
    splitter.element,
    table.element,
    message,
    ...paneNames.map((pane) => panes[pane].tooltip),
    live,
  );
  document.addEventListener('keydown', (event) => {
    const isOnGraph = event.target instanceof HTMLElement && event.target.closest('.graph') !== null;
    if (event.key === 'Escape' && !isOnGraph) intents.apply(inPane('one', stepBack));
  });
  const parts: readonly ComparisonView[] = [header, toolbar, panes.left, panes.right, panes.one, card, table];
  const isNewStatus = changeOf();
  const isNewSpoken = changeOf();

  return {
    element,
    placeOf: (pane, node) => panes[pane].placeOf(node),
    setPalette(next) {
      for (const pane of paneNames) panes[pane].setPalette(next);
    },
    update(state, derived) {
      main.hidden = splitter.element.hidden = derived === null;
      element.style.setProperty('--table-height', `${state.tableHeight}px`);
      splitter.set(state.tableHeight);
      for (const part of parts) part.update(state, derived);
      if (isNewStatus(state.status, derived === null)) showStatus(message, state, intents);
      if (derived && isNewSpoken(derived.hovered, derived.selected)) live.textContent = spoken(state, derived);
    },
  };
}

function showStatus(message: HTMLElement, { status, pairing }: CompareState, intents: ComparisonIntents): void {
  message.hidden = pairing !== null && status.type !== 'failed';
  message.classList.toggle('over', pairing !== null);
  if (status.type !== 'failed') {
    fill(message, make('h2', { text: 'Reading both graphs…' }));
    return;
  }
  fill(
    message,
    make('h2', { text: status.message }),
    make('p', { text: status.remedy }),
    status.action === null ? null : button(status.action, () => intents.failedAction(), { appearance: 'primary' }),
  );
}

function spoken({ panes }: CompareState, { pairing, hovered, selected }: ComparisonDerived): string {
  const pair = hovered ?? selected;
  if (pair === null) return '';
  const { view, setLabels } = panes.one;
  return `${describeNode(pairing.index.one, pair, view, setLabels)}, ${presenceText(pairing, pairing.presence[pair])}`;
}
