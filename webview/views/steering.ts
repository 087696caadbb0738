import { button, checkbox, dropdown, iconButton, progressRing, slider } from '../controls.ts';
import type { Derived } from '../derive.ts';
import { fill, make } from '../dom.ts';
import { kindNames } from '../drawing/glyphs.ts';
import type { Edit } from '../steeringState.ts';
import { changeEdit, commandLine, noSteering, tokenChanges } from '../steeringState.ts';
import type { ViewState } from '../store.ts';
import { hover, select, setSteering } from '../updates.ts';
import { percent, quoteToken, shortNumber, showToken } from '../words.ts';
import { createVerifyPanel } from './verifyPanel.ts';
import type { Intents, View } from './view.ts';
import { changeOf } from './view.ts';

const lengths = [
  { value: '0', text: 'next token' },
  { value: '10', text: '10 tokens' },
  { value: '40', text: '40 tokens' },
];
const mostTokens = 8;
const mostChanges = 12;

/** A row for every feature or group that is changed, the button that runs the model with them, before and after. */
export function createSteering(intents: Intents): View {
  const rows = make('ul', { class: 'edits' });
  const run = button('Run', () => intents.apply(setSteering((steering) => ({ ...steering, isWanted: true }))), {
    appearance: 'primary',
  });
  const clear = button('Clear', () => intents.apply(setSteering(() => noSteering)));
  const ring = progressRing();
  const length = dropdown<string>('How far both runs go on', lengths, (value) =>
    intents.apply(setSteering((steering) => ({ ...steering, newTokens: Number(value) }))),
  );
  const copy = iconButton('copy', 'Copy as a command line', () =>
    intents.apply((state) => {
      if (!state.index) return state;
      void navigator.clipboard.writeText(commandLine(state.steering, state.index.graph));
      return { ...state, announcement: 'Copied the command line' };
    }),
  );
  const actions = make('div', { class: 'steering-actions' }, run, length.element, clear, copy, ring);
  const outcome = make('div', { class: 'outcome', attributes: { 'aria-live': 'polite' } });
  const hint = make('p', { class: 'hint muted' });
  const verify = createVerifyPanel(intents);
  const element = make('div', { class: 'steering' }, hint, rows, actions, outcome, verify.element);
  const isNewList = changeOf();
  const isNewResult = changeOf();
  return {
    element,
    update(state, derived) {
      const { steering, trace } = state;
      verify.update(state, derived);
      if (!derived) return;
      const keys = steering.edits.map(({ key, isOn }) => `${key} ${isOn}`).join(' ');
      // Rows stay while their slider moves, or the pointer would lose it.
      if (isNewList(keys, derived.nameOf)) fill(rows, ...steering.edits.map((edit) => row(edit, derived, intents)));
      const hasModel = trace?.hasModel ?? false;
      hint.hidden = steering.edits.length > 0;
      hint.textContent = hasModel
        ? 'Change what the model thinks and see what it says then: open a feature or a box of the subgraph and choose the dial.'
        : 'The model of this graph is not on this machine, so it cannot be run with changed features.';
      actions.hidden = steering.edits.length === 0;
      run.disabled = steering.isRunning;
      ring.hidden = !steering.isRunning;
      length.set(String(steering.newTokens));
      if (isNewResult(steering.result, derived.index)) {
        fill(outcome, ...(steering.result ? outcomeOf(state, derived, intents) : []));
      }
    },
  };
}

function row(edit: Edit, derived: Derived, intents: Intents): HTMLElement {
  const change = (part: Partial<Edit> | null) =>
    intents.apply(setSteering((steering) => changeEdit(steering, edit.key, part)));
  const onOff = checkbox('', (isOn) => change({ isOn }));
  onOff.element.setAttribute('aria-label', `Apply the change of ${edit.name}`);
  onOff.set(edit.isOn);
  const factor = slider(
    `Strength of ${edit.name}`,
    { min: -5, max: 5, step: 0.25, title: 'Times its activation in this prompt; 0 turns it off' },
    (value) => {
      factor.set(value, factorText(value));
      change({ factor: value });
    },
  );
  factor.set(edit.factor, factorText(edit.factor));
  const { nodes, metadata } = derived.index.graph;
  const places = edit.nodes.map(
    (node) => `L${nodes[node].layer} ${quoteToken(metadata.promptTokens[nodes[node].pos] ?? '')}`,
  );
  return make(
    'li',
    { class: edit.isOn ? 'edit' : 'edit off' },
    onOff.element,
    make(
      'button',
      {
        class: 'edit-name',
        title: places.join(', '),
        attributes: { type: 'button' },
        on: {
          click: () => intents.apply(select(edit.nodes[0])),
          pointerenter: () => intents.apply(hover(edit.nodes[0])),
          pointerleave: () => intents.apply(hover(null)),
        },
      },
      make('span', { text: edit.name }),
      make('span', { class: 'muted', text: edit.nodes.length > 1 ? `×${edit.nodes.length}` : (places[0] ?? '') }),
    ),
    iconButton('close', `Remove the change of ${edit.name}`, () => change(null)),
    factor.element,
  );
}

function factorText(factor: number): string {
  return factor === 0 ? 'off' : `×${String(factor).replace('-', '−')}`;
}

function outcomeOf({ steering }: ViewState, derived: Derived, intents: Intents): HTMLElement[] {
  const { result } = steering;
  if (!result) return [];
  const [before] = result.before;
  const [after] = result.after;
  const changes = tokenChanges(result).slice(0, mostTokens);
  const most = Math.max(...changes.map((change) => Math.max(change.before, change.after)), 1e-9);
  return [
    make(
      'p',
      { class: 'outcome-headline' },
      make('span', { class: 'muted', text: before ? `${quoteToken(before.text)} ${percent(before.probability)}` : '' }),
      make('span', { class: 'muted', text: '→', attributes: { 'aria-label': 'becomes' } }),
      make('strong', { text: after ? quoteToken(after.text) : '' }),
      make('span', { text: after ? percent(after.probability) : '' }),
    ),
    make(
      'table',
      { class: 'changes' },
      make('caption', { class: 'visually-hidden', text: 'Probability of the next token before and after' }),
      make(
        'thead',
        {},
        make(
          'tr',
          {},
          ...['Token', 'Before', 'After', ''].map((text) => make('th', { text, attributes: { scope: 'col' } })),
        ),
      ),
      make(
        'tbody',
        {},
        ...changes.map(({ text, before: old, after: now }) =>
          make(
            'tr',
            {},
            make('th', { class: 'prediction-text', text: showToken(text), attributes: { scope: 'row' } }),
            make('td', { text: percent(old) }),
            make('td', { text: percent(now) }),
            make(
              'td',
              { class: 'change-bars' },
              make('span', { class: 'bar before', style: { '--part': `${(100 * old) / most}%` } }),
              make('span', { class: 'bar after', style: { '--part': `${(100 * now) / most}%` } }),
            ),
          ),
        ),
      ),
    ),
    ...generated(result.generatedBefore, result.generatedAfter),
    ...changedFeatures(derived, result.changed, intents),
    make('p', { class: 'muted', text: `${Math.round(result.milliseconds)} ms` }),
  ];
}

function generated(
  before: readonly { text: string; probability: number }[],
  after: readonly { text: string; probability: number }[],
): HTMLElement[] {
  if (before.length === 0 && after.length === 0) return [];
  const text = (title: string, tokens: readonly { text: string; probability: number }[]) =>
    make(
      'div',
      {},
      make('h3', { text: title }),
      make(
        'p',
        { class: 'generated' },
        ...tokens.map((token) => make('span', { text: token.text, title: percent(token.probability) })),
      ),
    );
  return [make('div', { class: 'side-by-side' }, text('It went on', before), text('It goes on', after))];
}

function changedFeatures(
  derived: Derived,
  changed: readonly { layer: number; pos: number; feature: number; before: number; after: number }[],
  intents: Intents,
): HTMLElement[] {
  if (changed.length === 0) return [];
  const { nodes } = derived.index.graph;
  const nodeOf = (layer: number, pos: number, feature: number) =>
    nodes.findIndex(
      (node) => node.kind === 'feature' && node.layer === layer && node.pos === pos && node.feature === feature,
    );
  return [
    make('h3', { text: 'Changed most' }),
    make(
      'ul',
      { class: 'changed-features' },
      ...changed.slice(0, mostChanges).map(({ layer, pos, feature, before, after }) => {
        const node = nodeOf(layer, pos, feature);
        const name = node >= 0 ? derived.nameOf(node) : `${kindNames.feature} ${feature} · layer ${layer}`;
        const token = quoteToken(derived.index.graph.metadata.promptTokens[pos] ?? '');
        const text = `${shortNumber(before)} → ${shortNumber(after)}`;
        const content = [
          make('span', { class: 'connection-name', text: name }),
          make('span', { class: 'muted', text: token }),
          make('span', { class: 'connection-share', text }),
        ];
        if (node < 0) return make('li', { class: 'changed-feature' }, ...content);
        return make(
          'li',
          {},
          make(
            'button',
            {
              class: 'changed-feature',
              attributes: { type: 'button' },
              on: { click: () => intents.apply(select(node)) },
            },
            ...content,
          ),
        );
      }),
    ),
  ];
}
