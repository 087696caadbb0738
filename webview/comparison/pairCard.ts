import { iconButton } from '../controls.ts';
import { fill, make } from '../dom.ts';
import { kindNames } from '../drawing/glyphs.ts';
import { changeOf } from '../views/view.ts';
import { plainName, signedPercent } from '../words.ts';
import { hoverPair, selectPair } from './compareStore.ts';
import type { ComparisonDerived } from './comparisonDerive.ts';
import type { ComparisonIntents, ComparisonView } from './comparisonIntents.ts';
import { bothSides, differenceOf, type SideValues } from './differences.ts';
import { strongestNeighbours } from './neighbours.ts';
import type { Pairing } from './pairing.ts';
import { presenceGlyph, presenceText } from './presence.ts';
import { changeText, type Unit, valueText } from './values.ts';

/** The card of the chosen pair: both sides' figures beside each other, and what feeds it and what it feeds on each side. */
export function createPairCard(intents: ComparisonIntents): ComparisonView {
  const element = make('aside', { class: 'side pair-card', attributes: { 'aria-label': 'The chosen node' } });
  const isNew = changeOf();
  return {
    element,
    update(_, derived) {
      element.hidden = derived === null;
      element.classList.toggle('idle', derived === null || derived.selected === null);
      if (derived === null || !isNew(derived.pairing, derived.selected, derived.nameOf)) return;
      const { selected } = derived;
      fill(element, ...(selected === null ? [hint()] : card(derived, selected, intents)));
    },
  };
}

function hint(): HTMLElement {
  return make(
    'div',
    { class: 'hint' },
    make('p', { text: 'Choose a node in a picture or in the table to see it on both sides.' }),
    make('p', { class: 'muted', text: 'What is chosen, zoomed and pruned on one side changes on the other side too.' }),
  );
}

function card(derived: ComparisonDerived, pair: number, intents: ComparisonIntents): HTMLElement[] {
  const { pairing, nameOf, tokenOf } = derived;
  const { kind } = pairing.index.one.graph.nodes[pair];
  const plain = plainName(pairing.index.one, pair);
  const isInner = kind !== 'token' && kind !== 'logit';
  const where = isInner ? `${plain} · ${tokenOf(pair)}` : kindNames[kind];
  const { presence, activation, activationChange, influence, influenceChange } = differenceOf(pairing, pair);
  const probability = bothSides(pairing, pair, (node) => node.probability);
  const change = ({ left, right }: SideValues): number | null =>
    left === null || right === null ? null : right - left;
  const missing = presence === 'left' ? 'right' : presence === 'right' ? 'left' : null;
  return [
    make(
      'div',
      { class: 'node-heading' },
      make(
        'div',
        { class: 'node-title' },
        presenceGlyph(pairing, pair),
        make('h2', { class: 'node-name', text: nameOf(pair) }),
        iconButton('close', 'Close (Escape)', () => intents.apply(selectPair(null))),
      ),
      make('p', { class: 'muted', text: where }),
      missing === null
        ? null
        : make('p', {
            text:
              kind === 'token' || kind === 'logit'
                ? `${pairing.traces.names[missing]} has no such node.`
                : `The graph of ${pairing.traces.names[missing]} has no such node: there it does not fire, or matters too little to be kept.`,
          }),
    ),
    make(
      'table',
      { class: 'both-sides' },
      make('thead', {}, columnHeads(pairing, 'change')),
      make(
        'tbody',
        {},
        kind === 'logit' ? figureRow('Probability', probability, change(probability), 'share') : null,
        activation.left === null && activation.right === null
          ? null
          : figureRow('Activation', activation, activationChange, 'number'),
        kind === 'logit' ? null : figureRow('Influence', influence, influenceChange, 'share'),
      ),
    ),
    neighbours(derived, pair, 'inputs', intents),
    neighbours(derived, pair, 'outputs', intents),
  ].filter((part) => part !== null);
}

function columnHeads({ traces }: Pairing, last: string | null): HTMLElement {
  const head = (text: string): HTMLElement => make('th', { text, title: text, attributes: { scope: 'col' } });
  return make(
    'tr',
    {},
    make('td'),
    head(traces.names.left),
    head(traces.names.right),
    last === null ? null : head(last),
  );
}

function figureRow(name: string, values: SideValues, change: number | null, unit: Unit): HTMLElement {
  return make(
    'tr',
    {},
    make('th', { text: name, attributes: { scope: 'row' } }),
    make('td', { text: valueText(values.left, unit) }),
    make('td', { text: valueText(values.right, unit) }),
    make('td', { class: 'change', text: changeText(change, unit) }),
  );
}

/** The strongest neighbours of either side, each with its share on both. */
function neighbours(
  derived: ComparisonDerived,
  pair: number,
  way: 'inputs' | 'outputs',
  intents: ComparisonIntents,
): HTMLElement | null {
  const { pairing, nameOf, tokenOf } = derived;
  const found = strongestNeighbours(pairing, pair, way);
  if (found.length === 0) return null;
  const title = way === 'inputs' ? 'Strongest inputs' : 'Strongest outputs';
  const what = way === 'inputs' ? 'Share of all that enters this node' : 'Share of all that enters the node it feeds';
  const rows = found.map((entry) =>
    make(
      'tr',
      {},
      make(
        'th',
        { attributes: { scope: 'row' } },
        make(
          'button',
          {
            class: 'pair-link',
            title: `${nameOf(entry.pair)} ${tokenOf(entry.pair)}, ${presenceText(pairing, pairing.presence[entry.pair])}`,
            attributes: { type: 'button' },
            on: {
              click: () => intents.apply(selectPair(entry.pair)),
              pointerenter: () => intents.apply(hoverPair(entry.pair)),
              pointerleave: () => intents.apply(hoverPair(null)),
            },
          },
          presenceGlyph(pairing, entry.pair),
          make('span', { class: 'connection-name', text: nameOf(entry.pair) }),
        ),
      ),
      ...[entry.left, entry.right].map((share) =>
        make('td', {
          class: share === null ? 'muted' : share < 0 ? 'negative' : 'positive',
          text: share === null ? '–' : signedPercent(share),
        }),
      ),
    ),
  );
  return make(
    'section',
    {},
    make('h3', { text: title, title: what }),
    make(
      'table',
      { class: 'both-sides', attributes: { 'aria-label': title } },
      make('thead', { class: 'visually-hidden' }, columnHeads(pairing, null)),
      make('tbody', {}, ...rows),
    ),
  );
}
