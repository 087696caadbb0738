import type { FeatureExample, OwnExamples } from '../../protocol/engine.ts';
import { wholeCharacters } from './tokenEscapes.ts';

/** Windows kept of each feature: those where it fires most, and a fair sample of all others. */
const mostTop = 8;
const mostOthers = 12;
/** Examples shown of each third of the sample. */
const perThird = 4;
/** Tokens kept on each side of a peak, and how many of them tell whether two examples are the same. */
const tokensAround = 16;
const tokensAlike = 4;
/** Activations kept for quantiles and histogram: a fair sample where there are more. */
const mostValues = 1000;
const bars = 20;

/** A place where the feature fires, with its surroundings. */
type Found = {
  readonly peak: number;
  readonly ids: readonly number[];
  readonly activations: Float32Array;
  /** Index of the peak in `ids`. */
  readonly place: number;
  /** The tokens around the peak: equal for repeated text. */
  readonly key: string;
};

/** What one feature does over many windows of text, in a few kilobytes however much text there is. */
export class FeatureTally {
  readonly layer: number;
  readonly feature: number;
  #count = 0;
  readonly #values: number[] = [];
  readonly #top: Found[] = [];
  readonly #others: Found[] = [];
  #othersSeen = 0;
  #random: number;
  /** Of the window under way. */
  #positions: number[] = [];
  #activations: number[] = [];

  constructor(layer: number, feature: number) {
    this.layer = layer;
    this.feature = feature;
    this.#random = (layer * 2654435761 + feature + 1) >>> 0;
  }

  /** The feature is on at a position of the window under way. */
  fires(pos: number, activation: number): void {
    this.#positions.push(pos);
    this.#activations.push(activation);
    this.#sampleInto(this.#values, mostValues, this.#count++, activation);
  }

  /** The window is over; `ids` are its tokens, special ones before `firstPos`. */
  endWindow(ids: readonly number[], firstPos: number): void {
    if (this.#positions.length > 0) this.#keep(this.#found(ids, firstPos));
    this.#positions = [];
    this.#activations = [];
  }

  /**
   * @param tokens how many tokens of text there were
   * @param text   of a token
   */
  finish(tokens: number, text: (id: number) => string): OwnExamples {
    const sorted = [...this.#values].sort((a, b) => a - b);
    const least = sorted[0] ?? null;
    const most = this.#top[0]?.peak ?? null;
    return {
      layer: this.layer,
      feature: this.feature,
      quantiles: this.#quantiles(text),
      activationFrequency: tokens === 0 ? null : this.#count / tokens,
      histogram: least === null || most === null ? [] : histogramOf(sorted, Math.min(0, least), most),
      quantileValues: least === null ? [] : percentiles(sorted),
      activationMin: least === null ? null : Math.min(0, least),
      activationMax: most,
    };
  }

  #quantiles(text: (id: number) => string): OwnExamples['quantiles'] {
    const others = this.#others.sort((a, b) => b.peak - a.peak);
    const third = Math.ceil(others.length / 3);
    const groups = [
      { name: 'Top activations', found: this.#top },
      { name: 'Upper third', found: others.slice(0, third) },
      { name: 'Middle third', found: others.slice(third, 2 * third) },
      { name: 'Lower third', found: others.slice(2 * third) },
    ];
    return groups
      .filter(({ found }) => found.length > 0)
      .map(({ name, found }, place) => ({
        name,
        examples: (place === 0 ? found : found.slice(0, perThird)).map((each) => exampleOf(each, text)),
      }));
  }

  #found(ids: readonly number[], firstPos: number): Found {
    const peak = this.#activations.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
    const at = this.#positions[this.#activations.indexOf(peak)];
    const start = Math.max(firstPos, at - tokensAround);
    const end = Math.min(ids.length, at + tokensAround + 1);
    const activations = new Float32Array(end - start);
    this.#positions.forEach((pos, index) => {
      if (pos >= start && pos < end) activations[pos - start] = this.#activations[index];
    });
    const key = ids.slice(Math.max(firstPos, at - tokensAlike), at + tokensAlike + 1).join(' ');
    return { peak, ids: ids.slice(start, end), activations, place: at - start, key };
  }

  /** Into the top, where it belongs there and no other like it is; what falls out of the top joins the others. */
  #keep(found: Found): void {
    const alike = this.#top.findIndex(({ key }) => key === found.key);
    if (alike >= 0) {
      if (this.#top[alike].peak < found.peak) this.#top[alike] = found;
    } else this.#top.push(found);
    this.#top.sort((a, b) => b.peak - a.peak);
    const fallen = this.#top.length > mostTop ? this.#top.pop() : undefined;
    if (fallen !== undefined) this.#sampleInto(this.#others, mostOthers, this.#othersSeen++, fallen);
  }

  /** A fair sample of a stream: entry number `seen` takes a random place, or none. */
  #sampleInto<Entry>(kept: Entry[], most: number, seen: number, entry: Entry): void {
    if (kept.length < most) kept.push(entry);
    else {
      const place = Math.floor(this.#nextRandom() * (seen + 1));
      if (place < most) kept[place] = entry;
    }
  }

  /** Of a small seeded generator (xorshift), so that the same text gives the same examples. */
  #nextRandom(): number {
    let state = this.#random || 1;
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    this.#random = state >>> 0;
    return this.#random / 2 ** 32;
  }
}

function exampleOf({ ids, activations, place }: Found, text: (id: number) => string): FeatureExample {
  return { tokens: wholeCharacters(ids.map(text)), activations: Array.from(activations), peak: place };
}

/** Counts between the least and the most, in bars of equal width. */
function histogramOf(sorted: readonly number[], least: number, most: number): number[] {
  const counts = Array<number>(bars).fill(0);
  for (const value of sorted) {
    const place = most > least ? Math.floor((bars * (value - least)) / (most - least)) : 0;
    counts[Math.max(0, Math.min(bars - 1, place))]++;
  }
  return counts;
}

/** The values below which 1, 2, … 100 % of the activations lie. */
function percentiles(sorted: readonly number[]): number[] {
  return Array.from({ length: 100 }, (_, place) => {
    const at = Math.ceil(((place + 1) * sorted.length) / 100) - 1;
    return sorted[Math.max(0, at)];
  });
}
