import { choice } from '../controls.ts';
import { fill, make } from '../dom.ts';
import { changeOf } from '../views/view.ts';
import { countText } from '../words.ts';
import { type CompareUpdate, hoverPair, selectPair } from './compareStore.ts';
import type { ComparisonDerived } from './comparisonDerive.ts';
import type { ComparisonIntents, ComparisonView } from './comparisonIntents.ts';
import type { Column, Difference, Shown, Sorting } from './differences.ts';
import { presenceGlyph, presenceText } from './presence.ts';
import { changeText, valueText } from './values.ts';

/** More rows are not read; the filter and the sorting bring what is wanted to the top. */
const mostRows = 300;

const columns: readonly {
  readonly by: Column;
  readonly text: string;
  readonly title: string;
  readonly span: number;
}[] = [
  { by: 'name', text: 'Node', title: 'Sort by name', span: 1 },
  { by: 'presence', text: 'Where', title: 'Sort by which of the graphs has the node', span: 1 },
  { by: 'activation', text: 'Activation', title: 'Sort by the change of activation', span: 3 },
  { by: 'influence', text: 'Influence', title: 'Sort by the change of the share of the answer', span: 3 },
];

/** The largest differences: what only one side has, and what both have with other numbers. A row leads to its node. */
export function createDifferencesTable(intents: ComparisonIntents, focusGraph: () => void): ComparisonView {
  const show = choice<Shown>(
    'Which differences',
    [
      { value: 'all', text: 'All' },
      { value: 'left', text: 'Only left' },
      { value: 'right', text: 'Only right' },
      { value: 'changed', text: 'Changed' },
    ],
    (value) => intents.apply((state) => ({ ...state, shown: value })),
  );
  const note = make('span', { class: 'muted' });
  const heads = columns.map(({ by, text, title, span }) => {
    const button = make('button', {
      text,
      title,
      attributes: { type: 'button' },
      on: { click: () => intents.apply(sortBy(by)) },
    });
    return { by, button, cell: make('th', { attributes: { scope: 'col', colspan: span } }, button) };
  });
  const sides = make('tr', { class: 'sides' });
  const body = make('tbody');
  const table = make(
    'table',
    { class: 'differences', attributes: { 'aria-label': 'Largest differences' } },
    make('thead', {}, make('tr', {}, ...heads.map(({ cell }) => cell)), sides),
    body,
  );
  const scroller = make('div', { class: 'differences-scroller' }, table);
  const element = make(
    'section',
    { class: 'differences-part', attributes: { 'aria-label': 'Differences' } },
    make('div', { class: 'differences-head' }, make('h2', { text: 'Differences' }), show.element, note),
    scroller,
  );

  body.addEventListener('keydown', (event) => {
    const row = (event.target as HTMLElement).closest('tr');
    if (row === null) return;
    const next = { ArrowDown: row.nextElementSibling, ArrowUp: row.previousElementSibling }[event.key];
    if (next instanceof HTMLElement) {
      event.preventDefault();
      focusRow(body, next);
    }
    if (event.key === 'Escape') intents.apply(selectPair(null));
    if (event.key === 'ArrowRight') focusGraph();
  });

  const isNewRows = changeOf();
  const isNewSelection = changeOf();
  return {
    element,
    update(state, derived) {
      element.hidden = derived === null;
      if (derived === null) return;
      if (isNewRows(derived.rows, state.sorting, derived.nameOf)) {
        show.set(state.shown);
        for (const { by, button, cell } of heads) markSorted(cell, button, by, state.sorting);
        const shown = derived.rows.slice(0, mostRows);
        fill(body, ...shown.map((row, position) => tableRow(derived, row, position === 0, intents)));
        fill(sides, ...sideHeads(derived));
        const count = derived.rows.length;
        note.textContent =
          count === 0
            ? 'Nothing of this kind.'
            : count > mostRows
              ? `The first ${mostRows} of ${countText(count)}.`
              : '';
        scroller.scrollTop = 0;
      }
      if (!isNewSelection(derived.selected, derived.rows)) return;
      for (const row of body.querySelectorAll('tr')) {
        const isSelected = row.dataset.pair === String(derived.selected);
        row.classList.toggle('selected', isSelected);
        row.querySelector('button')?.setAttribute('aria-pressed', String(isSelected));
        if (isSelected && !row.contains(document.activeElement)) row.scrollIntoView({ block: 'nearest' });
      }
    },
  };
}

/** A second time on the same column turns the order round. */
function sortBy(by: Column): CompareUpdate {
  return (state) => {
    const isSame = state.sorting.by === by;
    const isDescending = isSame ? !state.sorting.isDescending : by === 'activation' || by === 'influence';
    return { ...state, sorting: { by, isDescending } };
  };
}

function markSorted(cell: HTMLElement, button: HTMLElement, by: Column, sorting: Sorting): void {
  const isSorted = sorting.by === by;
  if (isSorted) cell.setAttribute('aria-sort', sorting.isDescending ? 'descending' : 'ascending');
  else cell.removeAttribute('aria-sort');
  button.dataset.order = isSorted ? (sorting.isDescending ? 'down' : 'up') : '';
}

/** Below “Activation” and “Influence”: whose. */
function sideHeads({ pairing }: ComparisonDerived): HTMLElement[] {
  const { left, right } = pairing.traces.names;
  const head = (text: string): HTMLElement => make('th', { class: 'number', text, attributes: { scope: 'col' } });
  return [make('td'), make('td'), ...[left, right, 'change', left, right, 'change'].map(head)];
}

function tableRow(
  derived: ComparisonDerived,
  row: Difference,
  isFirst: boolean,
  intents: ComparisonIntents,
): HTMLElement {
  const { pairing, nameOf, tokenOf } = derived;
  const { pair, presence, activation, activationChange, influence, influenceChange } = row;
  const { kind, layer } = pairing.index.one.graph.nodes[pair];
  const place = kind === 'logit' ? 'output' : `L${layer} ${tokenOf(pair)}`;
  const number = (text: string, isChange = false): HTMLElement =>
    make('td', { class: isChange ? 'number change' : 'number', text });
  return make(
    'tr',
    {
      attributes: { 'data-pair': pair },
      on: {
        click: () => intents.apply(selectPair(pair)),
        pointerenter: () => intents.apply(hoverPair(pair)),
        pointerleave: () => intents.apply(hoverPair(null)),
      },
    },
    make(
      'th',
      { attributes: { scope: 'row' } },
      make(
        'button',
        { class: 'pair-link', title: nameOf(pair), attributes: { type: 'button', tabindex: isFirst ? 0 : -1 } },
        presenceGlyph(pairing, pair),
        make('span', { class: 'connection-name', text: nameOf(pair) }),
        make('span', { class: 'muted', text: place }),
      ),
    ),
    make('td', { text: presenceText(pairing, presence) }),
    number(valueText(activation.left, 'number')),
    number(valueText(activation.right, 'number')),
    number(changeText(activationChange, 'number'), true),
    number(valueText(influence.left, 'share')),
    number(valueText(influence.right, 'share')),
    number(changeText(influenceChange, 'share'), true),
  );
}

/** The table is one stop of the Tab key; arrows move inside. */
function focusRow(body: HTMLElement, row: HTMLElement): void {
  for (const button of body.querySelectorAll('button')) button.tabIndex = -1;
  const button = row.querySelector('button');
  if (button === null) return;
  button.tabIndex = 0;
  button.focus();
}
