import type { Claim } from '../../src/protocol/engine.ts';
import { claimKey, groupClaim } from '../claims.ts';
import { button, iconButton } from '../controls.ts';
import type { Derived } from '../derive.ts';
import { fill, make } from '../dom.ts';
import { shapeOf } from '../drawing/glyphs.ts';
import type { ViewState } from '../store.ts';
import { addEdit, editLabel, select, togglePin } from '../updates.ts';
import { featureKey } from '../visible.ts';
import { givenLabel, percent, plainName, plural, quoteToken, shortNumber, showToken } from '../words.ts';
import { attentionSection } from './attentionSection.ts';
import { connectionLists, connectionRow } from './connections.ts';
import {
  type ExampleOffers,
  exampleSections,
  figuresOf,
  histogram,
  logitSection,
  percentileOf,
} from './featureCard.ts';
import { glyphIcon } from './icons.ts';
import { verdictText } from './verdict.ts';
import type { Intents, View } from './view.ts';
import { changeOf } from './view.ts';

const mostSuggested = 10;

/** The card of the selected node: name, figures, neighbours, and for features what they respond to and promote. */
export function createNodeDetails(intents: Intents): View {
  const element = make('div', { class: 'node-details' });
  const isNew = changeOf();
  return {
    element,
    update(state, derived) {
      if (!derived) return fill(element);
      const { selected } = state;
      const card = cardOf(state, derived);
      const causes = [
        state.verification,
        state.offers,
        selected,
        card,
        derived.visible,
        derived.nameOf,
        derived.pinned,
        derived.groupColor,
      ];
      if (!isNew(derived.index, ...causes)) return;
      const isEditing = element.contains(document.activeElement) && document.activeElement instanceof HTMLInputElement;
      if (isEditing && element.dataset.node === String(selected)) return;
      element.dataset.node = String(selected);
      if (selected === null) fill(element, hint(), strongest(derived, intents));
      else fill(element, ...details(state, derived, selected, intents));
    },
  };
}

function hint(): HTMLElement {
  return make(
    'div',
    { class: 'hint' },
    make('p', { text: 'Choose a node to see what it responds to, what it promotes, and what feeds it.' }),
    make('p', { class: 'muted', text: 'Hover shows its edges. Ctrl or Cmd with a click pins it to the subgraph.' }),
  );
}

/** Where to start reading: the features through which most of the answer passes. */
function strongest(derived: Derived, intents: Intents): HTMLElement | null {
  const { index, visible } = derived;
  const features = Array.from(visible.nodes)
    .reverse()
    .filter((node) => index.graph.nodes[node].kind === 'feature')
    .slice(0, mostSuggested);
  if (features.length === 0) return null;
  const most = index.influence[features[0]];
  const rows = features.map((node) =>
    connectionRow(
      derived,
      { node, part: index.influence[node] / most, shown: percent(index.influence[node]), sign: 'none' },
      intents,
    ),
  );
  return make(
    'section',
    {},
    make('h3', { text: 'Most influential features' }),
    make('ol', { class: 'connection-list' }, ...rows),
  );
}

function cardOf(state: ViewState, derived: Derived) {
  if (state.selected === null) return undefined;
  const { layer, feature } = derived.index.graph.nodes[state.selected];
  return state.cards.get(featureKey(layer, feature ?? -1));
}

function details(state: ViewState, derived: Derived, node: number, intents: Intents): (HTMLElement | null)[] {
  const card = cardOf(state, derived);
  const { kind } = derived.index.graph.nodes[node];
  const isFeature = kind === 'feature' || kind === 'attention';
  return [
    heading(state, derived, node, intents),
    figures(state, derived, node),
    isFeature && card?.type === 'loading'
      ? make('p', { class: 'muted loading', text: 'Loading the feature’s examples…' })
      : null,
    isFeature && card?.type === 'failed' ? make('p', { class: 'muted', text: card.message }) : null,
    inThisPrompt(derived, node, intents),
    isFeature && card?.type === 'ready' ? logitSection(card.card) : null,
    ...(isFeature && card?.type === 'ready'
      ? exampleSections(card.card, offersFor(state, derived, node, intents))
      : []),
    claimRow(state, derived, node, intents),
    connectionLists(state, derived, node, intents),
    attentionSection(derived, node, intents),
  ];
}

/** Which more examples can be had of the node's feature. */
function offersFor(state: ViewState, derived: Derived, node: number, intents: Intents): ExampleOffers {
  const { layer, feature } = derived.index.graph.nodes[node];
  const offer = state.offers.get(featureKey(layer, feature ?? -1));
  return {
    findInOwnText: (state.trace?.hasModel ?? false) ? intents.findExamples : null,
    neuronpedia: offer === undefined ? null : { text: offer, use: intents.useNeuronpedia },
  };
}

function heading(state: ViewState, derived: Derived, node: number, intents: Intents): HTMLElement {
  const { index, pinned, groupColor } = derived;
  const { kind, pos } = index.graph.nodes[node];
  const given = givenLabel(index, node, state.view, state.setLabels);
  const isFeature = kind === 'feature' || kind === 'attention';
  const token = quoteToken(index.graph.metadata.promptTokens[pos] ?? '');
  const plain = plainName(index, node);
  const where =
    kind === 'token' ? `Token at position ${pos}` : kind === 'logit' ? 'Output' : `${plain} · ${token} (${pos})`;
  const isPinned = pinned.has(node);
  const name = isFeature
    ? labelField(given?.label ?? '', plain, (label) => intents.apply(editLabel(node, label)))
    : make('h2', { class: 'node-name', text: derived.nameOf(node) });
  const pin = iconButton('pin', isPinned ? 'Unpin (P)' : 'Pin to the subgraph (P)', () =>
    intents.apply(togglePin([node])),
  );
  pin.setAttribute('aria-pressed', String(isPinned));
  const steer = iconButton('dial', 'Change this feature and run again', () =>
    intents.apply(addEdit(derived.nameOf(node), [node])),
  );
  steer.hidden = kind !== 'feature' || !(state.trace?.hasModel ?? false);
  const color = groupColor[node];
  const swatch = make('span', { class: 'kind-glyph', attributes: color >= 0 ? { 'data-color': (color % 6) + 1 } : {} });
  swatch.append(glyphIcon(shapeOf[kind], kind.replace(' ', '-')));
  return make(
    'div',
    { class: 'node-heading' },
    make(
      'div',
      { class: 'node-title' },
      swatch,
      name,
      pin,
      steer,
      iconButton('close', 'Close (Escape)', () => intents.apply(select(null))),
    ),
    make('p', { class: 'muted', text: where }),
    isFeature && given ? make('p', { class: 'muted label-source', text: `Label ${given.source}` }) : null,
  );
}

/** The label as a field that looks like a heading; Enter keeps it, Escape brings the old one back. */
function labelField(label: string, placeholder: string, onKeep: (label: string) => void): HTMLElement {
  const input = make('input', {
    class: 'node-name',
    attributes: { type: 'text', value: label, placeholder, 'aria-label': 'Label', spellcheck: 'false', title: label },
  });
  const keep = () => {
    if (input.value.trim() !== label) onKeep(input.value);
  };
  input.addEventListener('blur', keep);
  input.addEventListener('keydown', (event) => {
    if (event.key === 'Escape') input.value = label;
    if (event.key === 'Enter' || event.key === 'Escape') {
      event.stopPropagation();
      input.blur();
    }
  });
  return input;
}

function figures(state: ViewState, derived: Derived, node: number): HTMLElement {
  const { index } = derived;
  const { activation, probability, kind } = index.graph.nodes[node];
  const card = cardOf(state, derived);
  const known = card?.type === 'ready' ? card.card : null;
  const values = known && figuresOf(known);
  const rows: (readonly [string, string, string])[] = [];
  if (kind === 'logit')
    rows.push(['Probability', percent(probability ?? 0), 'The model’s own probability of this token']);
  else
    rows.push(['Influence', percent(index.influence[node]), 'Share of the answer’s paths that pass through this node']);
  if (activation !== null) {
    const percentile = values ? percentileOf(activation, values) : null;
    const where = values?.isOwn ? ' in your text' : '';
    const rank = percentile === null ? '' : ` · higher than ${percent(percentile)} of its activations${where}`;
    rows.push(['Activation', `${shortNumber(activation)}${rank}`, 'How strongly the feature fires here']);
  }
  if (known?.activationFrequency != null) {
    rows.push(['Fires on', `${percent(known.activationFrequency)} of text`, 'Share of all tokens on which it fires']);
  }
  if (known?.ownText?.activationFrequency != null) {
    const share = percent(known.ownText.activationFrequency);
    rows.push(['In your text', `on ${share} of the tokens`, `Computed from ${known.ownText.source}`]);
  }
  return make(
    'div',
    { class: 'figures' },
    make(
      'dl',
      {},
      ...rows.flatMap(([name, value, title]) => [make('dt', { text: name, title }), make('dd', { text: value })]),
    ),
    values && activation !== null ? histogram(values, activation) : null,
  );
}

/** What the graph claims of the feature, whether that was tested, and the button that tests it. */
function claimRow(state: ViewState, derived: Derived, node: number, intents: Intents): HTMLElement | null {
  const { index } = derived;
  const claim = index.graph.nodes[node].kind === 'feature' ? groupClaim(index, [node]) : null;
  if (!claim || !(state.trace?.hasModel ?? false)) return null;
  const measured = state.verification.verdicts.get(claimKey(claim));
  const direction = claim.weight > 0 ? 'lower' : 'raise';
  const claimed = `Turned off, it should ${direction} ${targetName(derived, claim)} by ${shortNumber(Math.abs(claim.weight))}.`;
  const test = button(measured ? 'Test again' : 'Test', () => intents.verify(claim));
  test.disabled = state.verification.isRunning;
  return make(
    'section',
    { class: 'claim' },
    make('h3', {
      text: measured ? (measured.verdict === 'verified' ? '✓ Verified' : '✗ Contradicted') : 'Untested claim',
    }),
    make('p', { text: measured ? verdictText(measured) : claimed }),
    test,
  );
}

function targetName({ index, nameOf }: Derived, { target }: Claim): string {
  const node = index.graph.nodes.findIndex((other) =>
    target.type === 'logit'
      ? other.kind === 'logit' && other.feature === target.id
      : other.kind === 'feature' &&
        other.layer === target.layer &&
        other.pos === target.pos &&
        other.feature === target.feature,
  );
  if (node < 0) return 'its target';
  return target.type === 'logit' ? `the logit of ${nameOf(node)}` : `“${nameOf(node)}”`;
}

/** The prompt, coloured by how strongly this feature fires at each token; the other places lead to their nodes. */
function inThisPrompt(derived: Derived, node: number, intents: Intents): HTMLElement | null {
  const { nodes, metadata } = derived.index.graph;
  const { kind, layer, feature } = nodes[node];
  if (kind !== 'feature') return null;
  const places = new Map<number, number>();
  nodes.forEach((other, index) => {
    if (other.kind === 'feature' && other.layer === layer && other.feature === feature) places.set(other.pos, index);
  });
  const most = Math.max(...[...places.values()].map((place) => nodes[place].activation ?? 0), 1e-9);
  const tokens = metadata.promptTokens.map((token, pos) => {
    const place = places.get(pos);
    const text = token.replace(/\r?\n/g, '⏎');
    if (place === undefined) return make('span', { text });
    const activation = nodes[place].activation ?? 0;
    return make('button', {
      class: `fires${place === node ? ' peak' : ''}`,
      text,
      title: `${showToken(token)}: ${shortNumber(activation)}`,
      attributes: { type: 'button', 'aria-current': place === node ? 'true' : null },
      style: { '--strength': String(0.2 + 0.65 * (activation / most)) },
      on: { click: () => intents.apply(select(place)) },
    });
  });
  const others = places.size - 1;
  return make(
    'section',
    {},
    make('h3', { text: others > 0 ? `In this prompt, and at ${plural(others, 'other token')}` : 'In this prompt' }),
    make('p', { class: 'example in-prompt' }, ...tokens),
  );
}
