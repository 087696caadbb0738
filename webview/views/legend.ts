import type { NodeKind } from '../../src/graph/node.ts';
import { button, iconButton } from '../controls.ts';
import { make, makeSvg } from '../dom.ts';
import { shapeOf } from '../drawing/glyphs.ts';
import { setPanels, setTour } from '../updates.ts';
import { glyphIcon } from './icons.ts';
import type { Intents, View } from './view.ts';

const meanings: readonly (readonly [NodeKind, string])[] = [
  ['feature', 'Feature: one concept that is active at a token. Larger means more of the answer passes through it.'],
  ['error', 'Error: what the transcoder leaves unexplained of one layer at one token.'],
  ['token', 'Token of the prompt.'],
  ['logit', 'Output: a token that the model may say next.'],
  ['attention', 'Attention feature, in graphs of other tools.'],
  ['unknown', 'A kind that this version does not know.'],
];

const keys: readonly (readonly [string, string])[] = [
  ['Click', 'select a node'],
  ['Ctrl/Cmd-click or P', 'pin it to the subgraph'],
  ['Shift-click or M', 'mark it; Shift-drag marks many'],
  ['G', 'group the marked nodes'],
  ['F or right-click', 'freeze what hovering shows'],
  ['Arrow keys', 'next node in that direction'],
  ['I / O', 'strongest input / output'],
  ['Wheel, + −, 0', 'zoom, fit'],
  ['L', 'layers, and back to the graph'],
  ['/', 'search'],
  ['Escape', 'one step back'],
];

/** What glyphs, lines and keys mean. */
export function createLegend(intents: Intents): View {
  const element = make(
    'aside',
    { class: 'legend', attributes: { 'aria-label': 'Legend', hidden: true } },
    iconButton('close', 'Close the legend', () => intents.apply(setPanels({ isLegendOpen: false }))),
    make('h2', { text: 'Glyphs' }),
    make(
      'ul',
      {},
      ...meanings.map(([kind, text]) =>
        make('li', {}, glyphIcon(shapeOf[kind], kind.replace(' ', '-')), make('span', { text })),
      ),
      make(
        'li',
        {},
        lineIcon(false),
        make('span', { text: 'Positive effect; wider means a larger share of what enters its target.' }),
      ),
      make('li', {}, lineIcon(true), make('span', { text: 'Negative effect: dashed.' })),
      make('li', {}, ringIcon(), make('span', { text: 'Pinned: a ring. Colour: the group that the node belongs to.' })),
    ),
    make('h2', { text: 'Keys' }),
    make('dl', { class: 'keys' }, ...keys.flatMap(([key, text]) => [make('dt', { text: key }), make('dd', { text })])),
    button('Show the tour', () => {
      intents.apply(setPanels({ isLegendOpen: false }));
      intents.apply(setTour({ step: 0 }));
    }),
  );
  return {
    element,
    update(state) {
      element.hidden = !state.panels.isLegendOpen;
    },
  };
}

function lineIcon(isNegative: boolean): SVGElement {
  const line = makeSvg('path', { d: 'M1 12C1 6 15 10 15 4', class: isNegative ? 'edge negative' : 'edge positive' });
  return makeSvg('svg', { viewBox: '0 0 16 16', class: 'glyph-icon', 'aria-hidden': 'true' }, line);
}

function ringIcon(): SVGElement {
  return makeSvg(
    'svg',
    { viewBox: '-1.5 -1.5 3 3', class: 'glyph-icon', 'aria-hidden': 'true' },
    makeSvg('circle', { r: 0.6, class: 'glyph' }),
    makeSvg('circle', { r: 1.2, class: 'ring' }),
  );
}
