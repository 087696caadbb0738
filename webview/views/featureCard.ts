import type { FeatureCard, FeatureExample } from '../../src/protocol/engine.ts';
import { button } from '../controls.ts';
import { make, makeSvg } from '../dom.ts';
import { percent, shortNumber, showToken } from '../words.ts';

const mostExamples = 8;
const tokensAround = 14;

/** What more examples may be asked for. */
export type ExampleOffers = {
  /** Null where there is no model to run on texts. */
  readonly findInOwnText: (() => void) | null;
  /** What Neuronpedia would be asked; null where it is no help, or is on already. */
  readonly neuronpedia: { readonly text: string; readonly use: () => void } | null;
};

/** What a feature raises and lowers when it fires: the logit lens on its decoder. */
export function logitSection(card: FeatureCard): HTMLElement {
  return logits(card);
}

/** What a feature fires on: by the set's files or whoever has examples of it, and in the reader's own texts. */
export function exampleSections(card: FeatureCard, offers: ExampleOffers): HTMLElement[] {
  const { ownText } = card;
  const from = card.examplesFrom === undefined ? '' : `From ${card.examplesFrom}.`;
  const hasNone = card.quantiles.every(({ examples }) => examples.length === 0);
  const none = 'Nobody keeps examples of this feature on this machine.';
  return [
    make('section', { class: 'example-source' }, heading('Examples'), muted(hasNone ? none : from)),
    ...quantiles(card, card),
    ...(ownText
      ? [
          make(
            'section',
            { class: 'example-source' },
            heading('In your own text'),
            muted(`Computed from ${ownText.source}.`),
            ownText.quantiles.length === 0 ? make('p', { text: 'It fires nowhere in it.' }) : null,
          ),
          ...quantiles(ownText, card),
        ]
      : []),
    ...moreExamples(card, offers),
  ];
}

function moreExamples({ ownText }: FeatureCard, { findInOwnText, neuronpedia }: ExampleOffers): HTMLElement[] {
  if (!findInOwnText && !neuronpedia) return [];
  return [
    make(
      'section',
      { class: 'more-examples' },
      neuronpedia ? muted(neuronpedia.text) : null,
      make(
        'div',
        { class: 'buttons' },
        findInOwnText
          ? button(ownText ? 'Find again in my text…' : 'Find examples in my text…', findInOwnText, {
              title:
                'Runs the model on files of yours and shows where this graph’s features fire. Nothing leaves this machine.',
            })
          : null,
        neuronpedia ? button('Use Neuronpedia…', neuronpedia.use, { title: neuronpedia.text }) : null,
      ),
    ),
  ];
}

function heading(text: string): HTMLElement {
  return make('h3', { text });
}

function muted(text: string): HTMLElement {
  return make('p', { class: 'muted small', text });
}

/** Where the figures of the feature's own activations are from: the set, or else the reader's own texts. */
export function figuresOf(card: FeatureCard): Figures & { readonly isOwn: boolean } {
  const isKnown = card.histogram.length > 0 || card.quantileValues.length > 0;
  return isKnown || !card.ownText ? { ...card, isOwn: false } : { ...card.ownText, isOwn: true };
}

type Figures = Pick<FeatureCard, 'quantileValues' | 'histogram' | 'activationMin' | 'activationMax'>;

/** Share of the feature's own activations that lie below this one; null when that is not known. */
export function percentileOf(activation: number, { quantileValues }: Figures): number | null {
  if (quantileValues.length === 0) return null;
  const below = quantileValues.filter((value) => value <= activation).length;
  return below / quantileValues.length;
}

/** The histogram of the feature's activations with a mark at this one. */
export function histogram(figures: Figures, activation: number): HTMLElement | null {
  const { histogram: bars, activationMin, activationMax } = figures;
  if (bars.length === 0) return null;
  const highest = Math.max(...bars, 1e-9);
  const low = activationMin ?? 0;
  const high = activationMax ?? Math.max(activation, 1e-9);
  const at = Math.max(0, Math.min(1, (activation - low) / Math.max(high - low, 1e-9)));
  const width = 100 / bars.length;
  const picture = makeSvg(
    'svg',
    { viewBox: '0 0 100 26', preserveAspectRatio: 'none', class: 'histogram', role: 'img' },
    ...bars.map((count, position) => {
      // Most activations are small; the square root keeps the rare large ones visible.
      const height = 24 * Math.sqrt(Math.max(0, count) / highest);
      return makeSvg('rect', { x: position * width, y: 26 - height, width: width * 0.86, height });
    }),
    makeSvg('line', { x1: at * 100, x2: at * 100, y1: 0, y2: 26, class: 'mark' }),
  );
  picture.setAttribute(
    'aria-label',
    `Activations from ${shortNumber(low)} to ${shortNumber(high)}; here ${shortNumber(activation)}`,
  );
  const figure = make('div', {
    class: 'histogram-frame',
    title: 'How often the feature fires how strongly; the line is this prompt',
  });
  figure.append(
    picture,
    make('span', { class: 'muted', text: shortNumber(low) }),
    make('span', { class: 'muted', text: shortNumber(high) }),
  );
  return figure;
}

function logits(card: FeatureCard): HTMLElement {
  const list = (title: string, tokens: readonly string[], className: string) =>
    make(
      'div',
      { class: className },
      make('h3', { text: title }),
      make(
        'div',
        { class: 'chips' },
        ...tokens.slice(0, 10).map((token) => make('span', { class: 'chip', text: showToken(token) })),
        tokens.length === 0 ? make('span', { class: 'muted', text: 'not known' }) : null,
      ),
    );
  const from = card.logitsFrom === 'computed' ? 'Computed here: decoder · unembedding' : 'From the set’s example files';
  return make(
    'section',
    { class: 'logits', title: from },
    list('Raises', card.topLogits, 'raises'),
    list('Lowers', card.bottomLogits, 'lowers'),
  );
}

function quantiles({ quantiles: all }: Pick<FeatureCard, 'quantiles'>, card: FeatureCard): HTMLElement[] {
  const of = (groups: FeatureCard['quantiles']) =>
    groups.flatMap(({ examples: list }) => list.flatMap(({ activations }) => activations));
  const most = Math.max(card.activationMax ?? 0, ...of(card.quantiles), ...of(card.ownText?.quantiles ?? []), 1e-9);
  return all
    .filter(({ examples: list }) => list.length > 0)
    .map(({ name, examples: list }, position) =>
      make(
        'details',
        { class: 'quantile', attributes: { open: position === 0 } },
        make('summary', {}, make('h3', { text: name }), make('span', { class: 'muted', text: String(list.length) })),
        make('ul', { class: 'examples' }, ...list.slice(0, mostExamples).map((example) => exampleRow(example, most))),
      ),
    );
}

function exampleRow(example: FeatureExample, most: number): HTMLElement {
  const peak = example.peak ?? example.activations.indexOf(Math.max(...example.activations));
  const first = Math.max(0, peak - tokensAround);
  const shown = example.tokens.slice(first, peak + tokensAround);
  return make(
    'li',
    { class: 'example' },
    first > 0 ? '… ' : null,
    ...shown.map((token, position) => {
      const activation = example.activations[first + position] ?? 0;
      const text = token.replace(/\r?\n/g, '⏎');
      if (activation <= 0) return make('span', { text });
      const strength = Math.min(1, activation / most);
      return make('mark', {
        text,
        title: `${showToken(token)}: ${shortNumber(activation)} (${percent(strength)} of its strongest)`,
        class: first + position === peak ? 'peak' : '',
        style: { '--strength': String(0.15 + 0.7 * strength) },
      });
    }),
  );
}
