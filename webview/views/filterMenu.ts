import type { NodeKind } from '../../src/graph/node.ts';
import { button, checkbox, choice, popover, slider } from '../controls.ts';
import type { Derived } from '../derive.ts';
import { fill, make } from '../dom.ts';
import { kindNames } from '../drawing/glyphs.ts';
import { activeFilters, noFilters, toggleKind } from '../filters.ts';
import type { ViewState } from '../store.ts';
import { setFilters } from '../updates.ts';
import { countText, percent, plural } from '../words.ts';
import type { Intents, View } from './view.ts';
import { changeOf } from './view.ts';

/** The filters that are not needed all the time: kinds, layers, sign, how often a feature fires, how many edges. */
export function createFilterMenu(intents: Intents): View {
  const kinds = make('fieldset', { class: 'kinds' });
  const from = slider('From layer', { min: 0, max: 1, step: 1 }, (value) => setLayer(intents, 0, value));
  const to = slider('To layer', { min: 0, max: 1, step: 1 }, (value) => setLayer(intents, 1, value));
  const sign = choice<ViewState['filters']['sign']>(
    'Sign of edges',
    [
      { value: 'all', text: 'All edges' },
      { value: 'positive', text: 'Positive' },
      { value: 'negative', text: 'Negative' },
    ],
    (value) => intents.apply(setFilters((filters) => ({ ...filters, sign: value }))),
  );
  // Frequencies span orders of magnitude, so the slider runs over their logarithm; its right end means no limit.
  const frequency = slider('Fires at most', { min: -4, max: 0, step: 0.05 }, (value) =>
    intents.apply(setFilters((filters) => ({ ...filters, maxFrequency: value >= 0 ? null : 10 ** value }))),
  );
  const edges = slider('Edges at rest', { min: 0, max: 5000, step: 50 }, (value) =>
    intents.apply(setFilters((filters) => ({ ...filters, edgeLimit: value }))),
  );
  const allEdges = checkbox('Keep all edges while a node is selected', (isOn) =>
    intents.apply((state) => ({ ...state, showAllEdges: isOn })),
  );
  const reset = button('Show everything', () => intents.apply(setFilters(() => noFilters)));
  const content = make(
    'div',
    { class: 'filter-menu' },
    kinds,
    from.element,
    to.element,
    sign.element,
    frequency.element,
    edges.element,
    allEdges.element,
    reset,
  );
  const { element, trigger } = popover('filter', 'Filters', content);
  const badge = make('span', { class: 'badge', attributes: { hidden: true } });
  trigger.append(badge);
  const isNew = changeOf();
  const isNewGraph = changeOf();
  return {
    element,
    update(state, derived) {
      if (!derived || !isNew(derived.index, state.filters, state.frequencies, state.showAllEdges)) return;
      const { filters, frequencies } = state;
      const { nLayers } = derived.index;
      if (isNewGraph(derived.index)) for (const each of [from, to]) setMaximum(each.element, nLayers - 1);
      const [first, last] = filters.layers ?? [0, nLayers - 1];
      from.set(first, String(first));
      to.set(last, String(last));
      sign.set(filters.sign);
      allEdges.set(state.showAllEdges);
      edges.set(filters.edgeLimit, filters.edgeLimit === 0 ? 'none' : `strongest ${countText(filters.edgeLimit)}`);
      const limit = filters.maxFrequency;
      frequency.set(limit === null ? 0 : Math.log10(limit), limit === null ? 'any' : `${percent(limit)} of text`);
      frequency.setDisabled(
        frequencies.size > 0
          ? null
          : 'How often features fire is not known: the transcoder set has no example files here.',
      );
      fill(kinds, make('legend', { text: 'Kinds' }), ...kindBoxes(filters.hiddenKinds, derived, intents));
      const count = activeFilters(filters);
      badge.hidden = count === 0;
      badge.textContent = String(count);
      trigger.setAttribute('aria-label', count === 0 ? 'Filters' : `Filters, ${count} on`);
      trigger.title = count === 0 ? 'Filters' : `${plural(count, 'filter')} on`;
    },
  };
}

function kindBoxes(hidden: readonly NodeKind[], { index }: Derived, intents: Intents): HTMLElement[] {
  const counts = new Map<NodeKind, number>();
  for (const { kind } of index.graph.nodes) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  return [...counts].map(([kind, count]) => {
    const box = checkbox(`${kindNames[kind]} (${countText(count)})`, () =>
      intents.apply(setFilters((filters) => toggleKind(filters, kind))),
    );
    box.set(!hidden.includes(kind));
    return box.element;
  });
}

function setLayer(intents: Intents, end: 0 | 1, value: number): void {
  intents.apply((state) => {
    const last = (state.index?.nLayers ?? 1) - 1;
    const layers: [number, number] = [...(state.filters.layers ?? [0, last])];
    layers[end] = value;
    if (layers[0] > layers[1]) layers[1 - end] = value;
    const isAll = layers[0] === 0 && layers[1] === last;
    return setFilters((filters) => ({ ...filters, layers: isAll ? null : layers }))(state);
  });
}

function setMaximum(element: HTMLElement, maximum: number): void {
  element.querySelector('input')?.setAttribute('max', String(Math.max(1, maximum)));
}
