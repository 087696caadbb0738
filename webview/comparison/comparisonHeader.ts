import type { Side } from '../../src/protocol/comparison.ts';
import { choice, iconButton, slider } from '../controls.ts';
import { fill, make } from '../dom.ts';
import { setThreshold } from '../updates.ts';
import { changeOf } from '../views/view.ts';
import { countText, logitText, percent, plural, quoteToken, showToken } from '../words.ts';
import { inPane, type Mode } from './compareStore.ts';
import type { ComparisonDerived } from './comparisonDerive.ts';
import { presenceColor } from './comparisonDerive.ts';
import type { ComparisonIntents, ComparisonView } from './comparisonIntents.ts';
import type { Pairing, Presence } from './pairing.ts';
import { presenceText } from './presence.ts';

const mostPredictions = 4;

/** What both prompts are and what the model would say to each, beside each other. */
export function createComparisonHeader(intents: ComparisonIntents): ComparisonView {
  const element = make('header', { class: 'story compared' });
  const isNew = changeOf();
  return {
    element,
    update(_, derived) {
      element.hidden = derived === null;
      if (!isNew(derived?.pairing) || derived === null) return;
      fill(element, sideHeader(derived.pairing, 'left', intents), sideHeader(derived.pairing, 'right', intents));
    },
  };
}

function sideHeader(pairing: Pairing, side: Side, intents: ComparisonIntents): HTMLElement {
  const { names } = pairing.traces;
  const trace = pairing.traces[side];
  const predictions =
    trace.predictions.length > 0
      ? trace.predictions
      : trace.graph.nodes
          .filter(({ kind }) => kind === 'logit')
          .map((node) => ({ text: logitText(node), probability: node.probability ?? 0 }))
          .sort((a, b) => b.probability - a.probability);
  const [best, ...others] = predictions;
  return make(
    'section',
    { class: 'compared-side', attributes: { 'aria-label': `${side === 'left' ? 'Left' : 'Right'}: ${names[side]}` } },
    make(
      'div',
      { class: 'compared-name' },
      make('span', { class: 'swatch', attributes: { 'data-color': presenceColor[side] + 1 } }),
      make('h2', { text: names[side] }),
      make('button', {
        class: 'link',
        text: 'Open its graph',
        attributes: { type: 'button', 'aria-label': `Open its graph: ${names[side]}` },
        on: { click: () => intents.openTrace(side) },
      }),
    ),
    make('p', { class: 'compared-prompt' }, ...promptText(pairing, side)),
    best === undefined
      ? make('p', { class: 'muted', text: 'The graph has no outputs.' })
      : make(
          'p',
          { class: 'compared-says' },
          make('strong', { text: quoteToken(best.text), title: showToken(best.text) }),
          make('span', { class: 'answer-share', text: percent(best.probability) }),
          ...others
            .filter(({ probability }) => probability >= 0.001)
            .slice(0, mostPredictions - 1)
            .map(({ text, probability }) =>
              make('span', { class: 'muted', text: `${quoteToken(text)} ${percent(probability)}` }),
            ),
        ),
  );
}

/** The prompt, what the other one does not have marked. */
function promptText({ index, gaps }: Pairing, side: Side): HTMLElement[] {
  const other = side === 'left' ? 'right' : 'left';
  const own = index[side].graph.metadata.promptTokens;
  const others = index[other].graph.metadata.promptTokens;
  return own.flatMap((token, place) => {
    if (gaps[side].has(place)) return [];
    const isOwn = gaps[other].has(place) || others[place] !== token;
    const text = token.replace(/\r?\n/g, '⏎');
    return [isOwn ? make('mark', { text }) : make('span', { text })];
  });
}

/** How the two are drawn, how much of them, what the colours say, and the way to a graph of both. */
export function createComparisonToolbar(
  intents: ComparisonIntents,
  zoom: { readonly by: (factor: number) => void; readonly fit: () => void },
): ComparisonView {
  const mode = choice<Mode>(
    'How the two are drawn',
    [
      { value: 'side', text: 'Side by side', title: 'Each graph by itself, aligned tokens in the same columns' },
      { value: 'one', text: 'One picture', title: 'Both graphs in one: what they share is drawn once' },
    ],
    (value) => intents.apply((state) => ({ ...state, mode: value })),
  );
  const prune = slider(
    'Show',
    {
      min: 0.05,
      max: 1,
      step: 0.01,
      title: 'The nodes that together hold this share of the influence on the answer, in each graph.',
    },
    (value) => intents.apply(inPane('left', setThreshold(value))),
  );
  const legend = make('ul', { class: 'presence-legend', attributes: { 'aria-label': 'What the colours say' } });
  const element = make(
    'div',
    { class: 'toolbar', attributes: { role: 'toolbar', 'aria-label': 'Comparison controls' } },
    mode.element,
    prune.element,
    legend,
    make('span', { class: 'spacer' }),
    make('button', {
      class: 'link',
      text: 'Open as one graph',
      title: 'Both graphs as one, in a panel where nodes can be pinned, grouped and exported',
      attributes: { type: 'button' },
      on: { click: () => intents.openMerged() },
    }),
    iconButton('minus', 'Zoom out (−)', () => zoom.by(1 / 1.3)),
    iconButton('plus', 'Zoom in (+)', () => zoom.by(1.3)),
    iconButton('fit', 'Fit (0)', zoom.fit),
  );
  const isNew = changeOf();
  return {
    element,
    update(state, derived) {
      element.hidden = derived === null;
      if (derived === null) return;
      const threshold = state.panes.left.view.pruningThreshold ?? 1;
      if (!isNew(state.mode, threshold, derived.counts)) return;
      mode.set(state.mode);
      prune.set(threshold, percent(threshold));
      fill(
        legend,
        ...(['left', 'right', 'changed', 'same'] as const).map((presence) => legendEntry(derived, presence)),
      );
    },
  };
}

function legendEntry({ pairing, counts }: ComparisonDerived, presence: Presence): HTMLElement {
  const color = presenceColor[presence];
  const isRinged = presence === 'left' || presence === 'right';
  return make(
    'li',
    { title: `${plural(counts[presence], 'node')} ${presenceText(pairing, presence)}` },
    make('span', {
      class: `swatch${isRinged ? ' ringed' : ''}`,
      attributes: color >= 0 ? { 'data-color': color + 1 } : {},
    }),
    `${presenceText(pairing, presence)} `,
    make('span', { class: 'count', text: countText(counts[presence]) }),
  );
}
