import type { FeatureCard, FeatureExample } from '../../src/protocol/engine.ts';
import { make, makeSvg } from '../dom.ts';
import { percent, shortNumber, showToken } from '../words.ts';

const mostExamples = 6;
const tokensAround = 14;

/** The parts of a card that come from the transcoder set: what the feature promotes, or what it fires on. */
export function cardSections(card: FeatureCard, part: 'logits' | 'examples'): HTMLElement[] {
  return part === 'logits' ? [logits(card)] : examples(card);
}

/** Share of the feature's own activations that lie below this one; null when the set does not say. */
export function percentileOf(activation: number, { quantileValues }: FeatureCard): number | null {
  if (quantileValues.length === 0) return null;
  const below = quantileValues.filter((value) => value <= activation).length;
  return below / quantileValues.length;
}

/** The histogram of the feature's activations with a mark at this one. */
export function histogram(card: FeatureCard, activation: number): HTMLElement | null {
  const { histogram: bars, activationMin, activationMax } = card;
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

function examples(card: FeatureCard): HTMLElement[] {
  const most = Math.max(
    card.activationMax ?? 0,
    ...card.quantiles.flatMap(({ examples: list }) => list.flatMap(({ activations }) => activations)),
    1e-9,
  );
  const shown = card.quantiles.filter(({ examples: list }) => list.length > 0);
  if (shown.length === 0) {
    return [
      make(
        'section',
        {},
        make('h3', { text: 'Examples' }),
        make('p', { class: 'muted', text: 'The transcoder set has no examples for this feature.' }),
      ),
    ];
  }
  return shown.map(({ name, examples: list }, position) =>
    make(
      'details',
      { class: 'quantile', attributes: { open: position < 2 } },
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
