import type { Inspection, LayerInspection } from '../../src/protocol/engine.ts';
import { button, dropdown, progressRing } from '../controls.ts';
import { fill, make } from '../dom.ts';
import type { LayerCell, Quantity } from '../inspector.ts';
import { chooseCell, heatOf, inspectFrom, showQuantity, showStage } from '../inspector.ts';
import type { ViewState } from '../store.ts';
import { percent, quoteToken, shortNumber, showToken } from '../words.ts';
import { layerDetails } from './layerDetails.ts';
import type { Intents, View } from './view.ts';
import { changeOf } from './view.ts';

const quantities: readonly { readonly value: Quantity; readonly text: string }[] = [
  { value: 'lens', text: 'What it would say' },
  { value: 'residNorm', text: 'Residual stream' },
  { value: 'attentionNorm', text: 'Attention output' },
  { value: 'mlpNorm', text: 'MLP output' },
  { value: 'errorNorm', text: 'Error' },
  { value: 'activeFeatures', text: 'Active features' },
];

const meanings: Readonly<Record<Quantity, string>> = {
  lens: 'What the model would say next if it stopped after the layer (logit lens), coloured by how sure it would be. Bold: what it says in the end.',
  residNorm: 'Length of the residual stream as the layer reads it.',
  attentionNorm: 'Length of what attention adds to the residual stream.',
  mlpNorm: 'Length of what the MLP adds to the residual stream.',
  errorNorm: 'Length of what the transcoder leaves unexplained of the MLP.',
  activeFeatures: 'How many features are on.',
};

/** The table of layers and tokens: what the model would say if it stopped there, and how long its vectors are. */
export function createLayersView(intents: Intents): View {
  const shown = dropdown('Shown in the cells', quantities, (value) => intents.apply(showQuantity(value)));
  const meaning = make('span', { class: 'muted meaning' });
  const pages = make('span', { class: 'layer-pages' });
  const bar = make('div', { class: 'layers-bar' }, shown.element, meaning, pages);
  const table = make('table', { class: 'layers-table', attributes: { role: 'grid', 'aria-label': 'Layers by token' } });
  const frame = make('div', { class: 'layers-frame' }, table);
  const tip = make('div', { class: 'tooltip', attributes: { role: 'tooltip', hidden: true } });
  const details = make('div', { class: 'layer-details', attributes: { 'aria-live': 'off' } });
  const note = make('div', { class: 'layers-note', attributes: { role: 'status' } });
  const element = make(
    'section',
    { class: 'layers', attributes: { 'aria-label': 'Layers', hidden: true } },
    bar,
    note,
    frame,
    details,
    tip,
  );
  const isNew = changeOf();
  const isNewTable = changeOf();
  let inspection: Inspection | null = null;
  connectKeys(table, () => inspection, intents);
  connectTip(table, tip, () => inspection);
  return {
    element,
    update(state, derived) {
      const { inspector, panels, trace } = state;
      element.hidden = panels.stage !== 'layers' || !derived;
      if (element.hidden || !derived) return;
      if (!isNew(inspector, trace, state.selected, derived.nameOf)) return;
      inspection = inspector.inspection;
      shown.set(inspector.quantity);
      meaning.textContent = meanings[inspector.quantity];
      const hasTable = inspection !== null;
      bar.hidden = frame.hidden = details.hidden = !hasTable;
      note.hidden = hasTable && !inspector.isRunning;
      fill(note, ...notes(state, intents));
      if (inspection === null) return;
      fill(pages, ...pageButtons(inspection, intents));
      if (isNewTable(inspection, inspector.quantity)) fill(table, ...rows(inspection, inspector.quantity, intents));
      markChosen(table, inspector.chosen);
      fill(details, ...layerDetails(inspection, inspector.chosen, derived, intents));
    },
  };
}

/** What stands where the table will be. */
function notes({ inspector, trace }: ViewState, intents: Intents): (HTMLElement | null)[] {
  if (trace !== null && !trace.hasModel) {
    return [
      make('h2', { text: 'The model of this graph is not on this machine' }),
      make('p', {
        text: 'What its layers do cannot be read from the file. Trace the prompt again with a model of yours.',
      }),
    ];
  }
  if (inspector.isRunning || inspector.wanted)
    return [progressRing(), make('p', { text: 'Looking into every layer…' })];
  return [
    make('p', { text: inspector.failure ?? '' }),
    button('Try again', () => intents.apply(showStage('layers')), { appearance: 'primary' }),
  ];
}

function pageButtons({ tokens, first, columns }: Inspection, intents: Intents): (HTMLElement | null)[] {
  if (columns.length >= tokens.length) return [];
  const last = first + columns.length - 1;
  const go = (label: string, to: number, isPossible: boolean): HTMLElement => {
    const made = button(label, () => intents.apply(inspectFrom(to)));
    made.disabled = !isPossible;
    return made;
  };
  return [
    go('Earlier', first - columns.length, first > 0),
    make('span', { class: 'muted', text: `tokens ${first} to ${last} of ${tokens.length}` }),
    go('Later', Math.min(last + 1, tokens.length - columns.length), last < tokens.length - 1),
  ];
}

/** Top layer first, as in the graph; a row of tokens above and the layers' numbers on the left stay in sight. */
function rows(inspection: Inspection, quantity: Quantity, intents: Intents): HTMLElement[] {
  const { tokens, first, columns } = inspection;
  const heat = heatOf(inspection, quantity);
  const nLayers = columns[0]?.length ?? 0;
  const header = make(
    'tr',
    { attributes: { role: 'row' } },
    make('th', { class: 'corner', text: 'Layer', attributes: { role: 'columnheader', scope: 'col' } }),
    ...columns.map((_, column) => {
      const text = tokens[first + column]?.text ?? '';
      const attributes = { role: 'columnheader', scope: 'col' };
      return make('th', { text: showToken(text), title: `Token ${first + column}: ${showToken(text)}`, attributes });
    }),
  );
  const layers = Array.from({ length: nLayers }, (_, row) => nLayers - 1 - row);
  const body = layers.map((layer) =>
    make(
      'tr',
      { attributes: { role: 'row' } },
      make('th', { text: String(layer), attributes: { role: 'rowheader', scope: 'row' } }),
      ...columns.map((column, place) => {
        const cell = column[layer];
        const isFinal = quantity === 'lens' && cell.lens[0]?.id === column[nLayers - 1].lens[0]?.id;
        return make('td', {
          class: isFinal ? 'final' : '',
          text: cellText(cell, quantity),
          attributes: {
            role: 'gridcell',
            tabindex: -1,
            'data-pos': first + place,
            'data-layer': layer,
            'aria-label': cellName(cell, quantity, tokens[first + place]?.text ?? ''),
          },
          style: { '--heat': heat[place][layer].toFixed(3) },
          on: { click: () => intents.apply(chooseCell({ pos: first + place, layer })) },
        });
      }),
    ),
  );
  return [make('thead', {}, header), make('tbody', {}, ...body)];
}

function cellText(cell: LayerInspection, quantity: Quantity): string {
  if (quantity === 'lens') return showToken(cell.lens[0]?.text ?? '');
  const value = cell[quantity];
  return value === null ? '–' : shortNumber(value);
}

function cellName(cell: LayerInspection, quantity: Quantity, token: string): string {
  const [top] = cell.lens;
  const said = quantity === 'lens' && top ? `would say ${quoteToken(top.text)}, ${percent(top.probability)}` : '';
  const value = `${quantities.find((each) => each.value === quantity)?.text} ${cellText(cell, quantity)}`;
  return `Layer ${cell.layer} at token ${quoteToken(token)}: ${said || value}`;
}

function markChosen(table: HTMLElement, chosen: LayerCell | null): void {
  const before = table.querySelector<HTMLElement>('td[aria-selected="true"]');
  const cell = chosen && cellAt(table, chosen);
  const current = cell ?? table.querySelector<HTMLElement>('td');
  for (const other of table.querySelectorAll<HTMLElement>('td[tabindex="0"]')) other.tabIndex = -1;
  if (current) current.tabIndex = 0;
  if (before === cell) return;
  before?.removeAttribute('aria-selected');
  cell?.setAttribute('aria-selected', 'true');
  cell?.scrollIntoView({ block: 'nearest', inline: 'nearest' });
  if (before !== null && before === document.activeElement) cell?.focus();
}

function cellAt(table: HTMLElement, { pos, layer }: LayerCell): HTMLElement | null {
  return table.querySelector<HTMLElement>(`td[data-pos="${pos}"][data-layer="${layer}"]`);
}

/** Arrows, Home, End and the page keys walk from cell to cell, as in every grid. */
function connectKeys(table: HTMLElement, current: () => Inspection | null, intents: Intents): void {
  table.addEventListener('keydown', (event) => {
    const inspection = current();
    const from = cellOf(event.target);
    if (!inspection || !from || event.altKey || event.metaKey) return;
    const { first, columns } = inspection;
    const lastPos = first + columns.length - 1;
    const lastLayer = columns[0].length - 1;
    const steps: Readonly<Record<string, LayerCell>> = {
      ArrowLeft: { ...from, pos: Math.max(first, from.pos - 1) },
      ArrowRight: { ...from, pos: Math.min(lastPos, from.pos + 1) },
      ArrowUp: { ...from, layer: Math.min(lastLayer, from.layer + 1) },
      ArrowDown: { ...from, layer: Math.max(0, from.layer - 1) },
      Home: { ...from, pos: first },
      End: { ...from, pos: lastPos },
      PageUp: { ...from, layer: lastLayer },
      PageDown: { ...from, layer: 0 },
    };
    const to = event.key === 'Enter' || event.key === ' ' ? from : steps[event.key];
    if (!to) return;
    event.preventDefault();
    cellAt(table, to)?.focus();
    intents.apply(chooseCell(to));
  });
}

function cellOf(target: EventTarget | null): LayerCell | null {
  const cell = target instanceof HTMLElement ? target.closest<HTMLElement>('td[data-pos]') : null;
  return cell && { pos: Number(cell.dataset.pos), layer: Number(cell.dataset.layer) };
}

/** The most likely tokens of the cell under the pointer. */
function connectTip(table: HTMLElement, tip: HTMLElement, current: () => Inspection | null): void {
  const hide = () => {
    tip.hidden = true;
  };
  table.addEventListener('pointerleave', hide);
  table.parentElement?.addEventListener('scroll', hide);
  table.addEventListener('pointerover', (event) => {
    const inspection = current();
    const place = cellOf(event.target);
    const cell = inspection && place && inspection.columns[place.pos - inspection.first]?.[place.layer];
    tip.hidden = !cell;
    if (!cell || !place) return;
    const heading = `After layer ${place.layer}, at ${quoteToken(inspection.tokens[place.pos]?.text ?? '')}`;
    fill(
      tip,
      make('strong', { text: heading }),
      ...cell.lens.map(({ text, probability }) =>
        make(
          'span',
          { class: 'lens-row' },
          make('span', { text: showToken(text) }),
          make('span', { class: 'muted', text: percent(probability) }),
        ),
      ),
    );
    const box = (event.target as HTMLElement).getBoundingClientRect();
    const { offsetWidth: width, offsetHeight: height } = tip;
    const left = box.right + 8 + width < window.innerWidth ? box.right + 8 : Math.max(4, box.left - 8 - width);
    const top = Math.min(Math.max(4, box.top), window.innerHeight - height - 4);
    tip.style.transform = `translate(${Math.round(left)}px, ${Math.round(top)}px)`;
  });
}
