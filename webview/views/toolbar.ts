import type { GraphView as SavedView } from '../../src/graph/circuitGraph.ts';
import { checkbox, choice, iconButton, slider, textField } from '../controls.ts';
import type { Derived } from '../derive.ts';
import { fill, make } from '../dom.ts';
import { kindNames, shapeOf } from '../drawing/glyphs.ts';
import { toggleKind } from '../filters.ts';
import { showStage } from '../inspector.ts';
import type { ViewState } from '../store.ts';
import { select, setFilters, setLinkType, setPanels, setSearch, setThreshold } from '../updates.ts';
import { countText, percent, plural, quoteToken } from '../words.ts';
import { createExportMenu } from './exportMenu.ts';
import { createFilterMenu } from './filterMenu.ts';
import { glyphIcon } from './icons.ts';
import type { Intents, View } from './view.ts';
import { changeOf } from './view.ts';

const mostResults = 40;

/** Search, how much is shown, which edges, filters, export, and what of the page is open. */
export function createToolbar(
  intents: Intents,
  openHelp: () => void,
  focusGraph: () => void,
): View & { focusSearch(): void } {
  const search = createSearch(intents, focusGraph);
  const stage = choice<'graph' | 'layers'>(
    'What stands in the middle',
    [
      { value: 'graph', text: 'Graph', title: 'Features and what they do to each other (L)' },
      { value: 'layers', text: 'Layers', title: 'What every layer does at every token (L)' },
    ],
    (value) => intents.apply(showStage(value)),
  );
  const prune = slider(
    'Show',
    {
      min: 0.05,
      max: 1,
      step: 0.01,
      title:
        'The nodes that together hold this share of the influence on the answer. Lower it for the gist, raise it for the whole picture.',
    },
    (value) => intents.apply(setThreshold(value)),
  );
  const links = choice<SavedView['linkType']>(
    'Edges of the chosen node',
    [
      { value: 'input', text: 'In', title: 'What feeds the chosen node' },
      { value: 'output', text: 'Out', title: 'What the chosen node feeds' },
      { value: 'either', text: 'In & out', title: 'Everything that touches the chosen node' },
      { value: 'both', text: 'Pinned', title: 'Only edges between the chosen node and pinned nodes or outputs' },
    ],
    (value) => intents.apply(setLinkType(value)),
  );
  const errors = checkbox('Errors', (isShown) =>
    intents.apply(
      setFilters((filters) =>
        filters.hiddenKinds.includes('error') === isShown ? toggleKind(filters, 'error') : filters,
      ),
    ),
  );
  errors.element.classList.add('errors');
  errors.element.title = 'Show what the transcoders leave unexplained';
  const filters = createFilterMenu(intents);
  const exports = createExportMenu(intents);
  const counts = make('span', { class: 'counts muted', attributes: { 'aria-live': 'off' } });
  const subgraph = iconButton('below', 'Show or hide the subgraph of pinned nodes', () =>
    intents.apply((state) => setPanels({ isSubgraphOpen: !state.panels.isSubgraphOpen })(state)),
  );
  const side = iconButton('side', 'Show or hide the node panel', () =>
    intents.apply((state) => setPanels({ isSideOpen: !state.panels.isSideOpen })(state)),
  );
  const element = make(
    'div',
    { class: 'toolbar', attributes: { role: 'toolbar', 'aria-label': 'Graph controls' } },
    stage.element,
    search.element,
    prune.element,
    links.element,
    errors.element,
    filters.element,
    counts,
    make('span', { class: 'spacer' }),
    iconButton('options', 'Trace this prompt with options…', () => intents.traceDialog('open')),
    exports.element,
    subgraph,
    side,
    iconButton('help', 'Keys, glyphs and a short tour', openHelp),
  );
  const isNew = changeOf();
  return {
    element,
    focusSearch: search.focus,
    update(state, derived) {
      element.hidden = !derived;
      search.update(state, derived);
      filters.update(state, derived);
      if (!derived) return;
      exports.update(state, derived);
      const { threshold, visible, index } = derived;
      if (!isNew(threshold, visible, state.view.linkType, state.filters, state.panels)) return;
      stage.set(state.panels.stage);
      const isGraph = state.panels.stage === 'graph';
      for (const control of [prune.element, links.element, errors.element, filters.element, counts])
        control.hidden = !isGraph;
      prune.set(threshold, percent(threshold));
      links.set(state.view.linkType);
      errors.set(!state.filters.hiddenKinds.includes('error'));
      subgraph.setAttribute('aria-pressed', String(state.panels.isSubgraphOpen));
      side.setAttribute('aria-pressed', String(state.panels.isSideOpen));
      const all = index.graph.nodes.filter(({ kind }) => kind === 'feature').length;
      counts.textContent = `${countText(visible.featureCount)} of ${plural(all, 'feature')}`;
      counts.title =
        visible.edges.length < visible.edgeCount
          ? `The strongest ${countText(visible.edges.length)} of ${plural(visible.edgeCount, 'edge')} are drawn; choose a node to see all of its own.`
          : plural(visible.edgeCount, 'edge');
    },
  };
}

/** The search field with its list of found nodes. */
function createSearch(intents: Intents, focusGraph: () => void): View & { focus(): void } {
  const field = textField('Search nodes', { placeholder: 'Search label, token, 3/24…', icon: 'search' }, (value) =>
    intents.apply(setSearch(value)),
  );
  const list = make('ul', {
    class: 'results popover',
    attributes: { role: 'listbox', 'aria-label': 'Found nodes', hidden: true },
  });
  const element = make('div', { class: 'search popover-anchor' }, field.element, list);
  let chosen = 0;
  let isOpen = false;
  let found: readonly number[] = [];
  const isNew = changeOf();
  const show = (isShown: boolean) => {
    isOpen = isShown;
    list.hidden = !isOpen || list.childElementCount === 0;
  };
  field.element.addEventListener('focusin', () => show(true));
  document.addEventListener('pointerdown', (event) => {
    if (!event.composedPath().includes(element)) show(false);
  });
  element.addEventListener('keydown', (event) => {
    if (event.key === 'Escape') {
      event.stopPropagation();
      intents.apply(setSearch(''));
      show(false);
      return;
    }
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key] ?? 0;
    if (step !== 0 && found.length > 0) {
      event.preventDefault();
      chosen = (chosen + step + Math.min(found.length, mostResults)) % Math.min(found.length, mostResults);
      mark(list, chosen);
    }
    if (event.key === 'Enter' && found.length > 0) {
      intents.apply(select(found[chosen]));
      show(false);
      focusGraph();
    }
  });
  return {
    element,
    focus: () => field.focus(),
    update(state: ViewState, derived: Derived | null) {
      if (!derived || !isNew(derived.matches, state.search)) return;
      field.set(state.search);
      found = derived.matches;
      chosen = 0;
      const rows = found.slice(0, mostResults).map((node) =>
        make(
          'li',
          {
            attributes: { role: 'option' },
            on: {
              click: () => {
                intents.apply(select(node));
                show(false);
              },
            },
          },
          glyphIcon(shapeOf[derived.index.graph.nodes[node].kind]),
          make('span', { class: 'result-name', text: derived.nameOf(node) }),
          make('span', { class: 'muted', text: whereIs(derived, node) }),
        ),
      );
      const isSearching = state.search.trim() !== '';
      const more = found.length > mostResults ? `and ${(found.length - mostResults).toLocaleString('en')} more` : '';
      const note = found.length === 0 ? 'Nothing in this graph matches.' : more;
      fill(
        list,
        ...(isSearching ? rows : []),
        isSearching && note ? make('li', { class: 'muted note', text: note }) : null,
      );
      mark(list, chosen);
      show(isOpen && isSearching);
    },
  };
}

/** Which node it is, in a few letters: "L3/113 “Dallas”". */
function whereIs({ index }: Derived, node: number): string {
  const { kind, layer, feature, pos } = index.graph.nodes[node];
  if (kind === 'token' || kind === 'logit') return kindNames[kind].toLowerCase();
  const token = quoteToken(index.graph.metadata.promptTokens[pos] ?? '');
  return `L${layer}${feature === null ? '' : `/${feature}`} ${token}`;
}

function mark(list: HTMLElement, chosen: number): void {
  list.querySelectorAll('[role=option]').forEach((row, position) => {
    row.setAttribute('aria-selected', String(position === chosen));
    if (position === chosen) row.scrollIntoView({ block: 'nearest' });
  });
}
