import { nodesOfEdit } from '../../src/graph/editsOfNodes.ts';
import type { EditKind, EditPlaces, GraphEdit } from '../../src/graph/interventions.ts';
import { checkbox, dropdown, iconButton, numberField, slider } from '../controls.ts';
import { make } from '../dom.ts';
import { hover, select } from '../updates.ts';
import { quoteToken, shortNumber } from '../words.ts';
import type { SteeringDerived } from './steering.ts';
import type { Changes } from './view.ts';

export type EditRow = { readonly element: HTMLElement; set(edit: GraphEdit): void };
type Change = (change: ((edit: GraphEdit) => GraphEdit) | null) => void;

const kinds: readonly { readonly value: EditKind; readonly text: string }[] = [
  { value: 'scale', text: 'times' },
  { value: 'set', text: 'set to' },
  { value: 'add', text: 'add' },
  { value: 'ablate', text: 'turn off' },
];
const patched = [
  { value: 'features', text: 'its features' },
  { value: 'errors', text: 'its error nodes' },
  { value: 'all', text: 'features and errors' },
] as const;
const sliderRange = { min: -5, max: 5, step: 0.25 };

type PlaceChoice = 'own' | 'onwards' | 'all' | 'generated' | 'range';
const placeChoices: readonly { readonly value: PlaceChoice; readonly text: string }[] = [
  { value: 'own', text: 'where found' },
  { value: 'onwards', text: 'from there on' },
  { value: 'all', text: 'everywhere' },
  { value: 'generated', text: 'generated tokens' },
  { value: 'range', text: 'positions …' },
];

/** One edit: on or off, what it changes, how, where, and how strongly. Its controls stay while their values change. */
export function createEditRow(edit: GraphEdit, derived: SteeringDerived, intents: Changes, change: Change): EditRow {
  const onOff = checkbox(`Apply the change of ${edit.name}`, (isOn) => change((now) => ({ ...now, isOn })), {
    isLabelHidden: true,
  });
  const parts =
    edit.type === 'features'
      ? featureControls(edit, derived, change)
      : edit.type === 'errors'
        ? errorControls(edit, change)
        : patchControls(edit, derived, change);
  const element = make(
    'li',
    { class: 'edit' },
    onOff.element,
    nameButton(edit, derived, intents),
    iconButton('close', `Remove the change of ${edit.name}`, () => change(null)),
    ...parts.elements,
  );
  return {
    element,
    set(now) {
      element.classList.toggle('off', !now.isOn);
      onOff.set(now.isOn);
      parts.set(now);
    },
  };
}

type Controls = { readonly elements: readonly HTMLElement[]; set(edit: GraphEdit): void };
type Features = Extract<GraphEdit, { readonly type: 'features' }>;

/** Applies a change to rows of features alone: the others have no such field. */
function ofFeatures(change: (edit: Features) => Features): (edit: GraphEdit) => GraphEdit {
  return (edit) => (edit.type === 'features' ? change(edit) : edit);
}

function featureControls(edit: Features, { index }: SteeringDerived, change: Change): Controls {
  const nPos = index.graph.metadata.promptTokens.length;
  const first = Math.min(...edit.sites.map(({ pos }) => pos));
  const kind = dropdown<EditKind>(`What happens to ${edit.name}`, kinds, (value) =>
    change(ofFeatures((now) => ({ ...now, kind: value }))),
  );
  const setPlaces = (places: EditPlaces) => change(ofFeatures((now) => ({ ...now, places })));
  const where = dropdown<PlaceChoice>(`Where ${edit.name} is changed`, placeChoices, (value) =>
    setPlaces(placesOf(value, first, nPos)),
  );
  const from = numberField('from position', { min: 0, max: nPos - 1 }, (start) =>
    change(ofFeatures((now) => ({ ...now, places: { start, stop: Math.max(start + 1, stopOf(now.places, nPos)) } }))),
  );
  const to = numberField('to position', { min: 0, max: nPos - 1 }, (last) =>
    change(ofFeatures((now) => ({ ...now, places: { start: Math.min(startOf(now.places), last), stop: last + 1 } }))),
  );
  const range = make('span', { class: 'edit-range' }, 'from', from.element, 'to', to.element);
  const unit = make('span', { class: 'muted small edit-unit' });
  const factor = slider(`Strength of ${edit.name}`, sliderRange, (value) =>
    change(ofFeatures((now) => ({ ...now, factor: value }))),
  );
  return {
    elements: [make('div', { class: 'edit-choices' }, kind.element, where.element, range), factor.element, unit],
    set(now) {
      if (now.type !== 'features') return;
      kind.set(now.kind);
      const choice = choiceOf(now.places, first, nPos);
      where.set(choice);
      range.hidden = choice !== 'range';
      from.set(startOf(now.places));
      to.set(stopOf(now.places, nPos) - 1);
      factor.element.hidden = unit.hidden = now.kind === 'ablate';
      factor.set(now.factor, strengthText(now));
      unit.textContent = unitText(now);
    },
  };
}

function errorControls(edit: GraphEdit, change: Change): Controls {
  const factor = slider(`Strength of ${edit.name}`, sliderRange, (value) =>
    change((now) => (now.type === 'errors' ? { ...now, factor: value } : now)),
  );
  const unit = make('span', { class: 'muted small edit-unit', text: 'times what is left unexplained there' });
  return {
    elements: [factor.element, unit],
    set: (now) => now.type === 'errors' && factor.set(now.factor, timesText(now.factor)),
  };
}

function patchControls(
  edit: Extract<GraphEdit, { type: 'patch' }>,
  { index }: SteeringDerived,
  change: Change,
): Controls {
  const { promptTokens } = index.graph.metadata;
  const nodes = dropdown<'features' | 'errors' | 'all'>(`What ${edit.name} brings`, patched, (value) =>
    change((now) => (now.type === 'patch' ? { ...now, nodes: value } : now)),
  );
  const place = edit.pos === null ? 'at every position' : `at ${edit.pos} ${quoteToken(promptTokens[edit.pos] ?? '')}`;
  const layer = edit.layer === null ? '' : `, layer ${edit.layer}`;
  return {
    elements: [
      make('div', { class: 'edit-choices' }, nodes.element, make('span', { class: 'muted', text: place + layer })),
    ],
    set: (now) => now.type === 'patch' && nodes.set(now.nodes),
  };
}

/** The row's name; leads to its first node in the graph, where that has one. */
function nameButton(edit: GraphEdit, { index }: SteeringDerived, intents: Changes): HTMLElement {
  const { graph } = index;
  const nodes = nodesOfEdit(edit.type === 'features' ? { ...edit, places: 'own' } : edit, graph);
  const places = nodes.map(
    (node) => `L${graph.nodes[node].layer} ${quoteToken(graph.metadata.promptTokens[graph.nodes[node].pos] ?? '')}`,
  );
  const count =
    edit.type === 'patch' ? '' : edit.sites.length > 1 ? `×${edit.sites.length}` : (places[0] ?? 'not on here');
  const [first] = nodes;
  return make(
    'button',
    {
      class: 'edit-name',
      title: [edit.name, ...places.slice(0, 12)].join('\n'),
      attributes: { type: 'button' },
      on: {
        click: () => first !== undefined && intents.apply(select(first)),
        pointerenter: () => first !== undefined && intents.apply(hover(first)),
        pointerleave: () => intents.apply(hover(null)),
      },
    },
    make('span', { text: edit.name }),
    make('span', { class: 'muted', text: count }),
  );
}

function placesOf(choice: PlaceChoice, first: number, nPos: number): EditPlaces {
  switch (choice) {
    case 'own':
      return 'own';
    case 'onwards':
      return { start: first, stop: null };
    case 'all':
      return { start: 0, stop: null };
    case 'generated':
      return { start: nPos, stop: null };
    case 'range':
      return { start: first, stop: first + 1 };
  }
}

function choiceOf(places: EditPlaces, first: number, nPos: number): PlaceChoice {
  if (places === 'own') return 'own';
  if (places.stop !== null) return 'range';
  if (places.start === 0) return 'all';
  return places.start === nPos ? 'generated' : places.start === first ? 'onwards' : 'onwards';
}

function startOf(places: EditPlaces): number {
  return places === 'own' ? 0 : places.start;
}

function stopOf(places: EditPlaces, nPos: number): number {
  return places === 'own' || places.stop === null ? nPos : places.stop;
}

/** The number that the slider stands at, in its own unit. */
function strengthText({ kind, factor, sites }: Features): string {
  if (kind === 'scale') return timesText(factor);
  const value = sites.length === 1 ? shortNumber(factor * sites[0].unit) : `${shortNumber(factor)} units`;
  return kind === 'add' && factor > 0 ? `+${value}` : value;
}

function timesText(factor: number): string {
  return factor === 0 ? 'off' : `× ${String(factor).replace('-', '−')}`;
}

/** What one step of the slider's scale is. */
function unitText({ kind, sites }: Features): string {
  if (kind === 'scale') return 'times what it is';
  if (sites.length > 1) return 'one unit: each feature’s own activation where it was found';
  return `one unit: ${shortNumber(sites[0].unit)}, its activation where it was found`;
}
