import { floatsOf, floatTensor, type Tensor } from '../runtime/session.ts';
import type { ForwardOptions, ForwardResult, LayerCapture } from './languageModel.ts';

/** Keys and values of one layer's positions so far: [kvHead, pos, dHead] each. */
export type CachedLayer = { readonly keys: Tensor; readonly values: Tensor };

/** A run is kept for the next one up to this size of its attention patterns. */
const mostPatternBytes = 256 * 2 ** 20;

type Kept = {
  readonly ids: readonly number[];
  readonly layers: readonly CachedLayer[];
  readonly result: ForwardResult;
};

/** The beginning of a prompt that the run before shares, as it was computed there. */
export type Prefix = {
  readonly length: number;
  readonly layers: readonly CachedLayer[];
  readonly result: ForwardResult;
};

/**
 * Remembers the last prompt that ran as it is. A position sees only what is before it: where the next prompt begins the
 * same, that part need not run again.
 */
export class PrefixMemory {
  #last: Kept | null = null;

  /** The last run, when it was of these very ids and has the logits that are wanted; null otherwise. */
  same(ids: readonly number[], logits: ForwardOptions['logits']): ForwardResult | null {
    const last = this.#last;
    if (last?.ids.length !== ids.length || !ids.every((id, pos) => id === last.ids[pos])) return null;
    return logits === 'none' || last.result.logits.length > 0 ? last.result : null;
  }

  /** What the prompt shares with the last one; null for nothing. Its last position is always left to run. */
  sharedWith(ids: readonly number[]): Prefix | null {
    const last = this.#last;
    if (!last) return null;
    let length = 0;
    while (length < ids.length - 1 && ids[length] === last.ids[length]) length++;
    if (length === 0) return null;
    const layers = last.layers.map(({ keys, values }) => ({
      keys: firstPositions(keys, length),
      values: firstPositions(values, length),
    }));
    return { length, layers, result: last.result };
  }

  keep(ids: readonly number[], layers: readonly CachedLayer[], result: ForwardResult): void {
    const bytes = result.layers.reduce((sum, layer) => sum + layer.attnPattern.byteLength, 0);
    const isLong = result.layers.some((layer) => layer.attnFactors !== null);
    this.#last = !isLong && bytes <= mostPatternBytes ? { ids: [...ids], layers, result } : null;
  }

  forget(): void {
    this.#last = null;
  }
}

/** Whether a run is of the model as it is, everything captured: only such runs share prefixes. */
export function isPlain(options: ForwardOptions): boolean {
  const { cache, replaceMlp, frozenNorms, frozenPatterns, keepsPatterns, logits } = options;
  return !cache && !replaceMlp && !frozenNorms && !frozenPatterns && keepsPatterns !== false && logits !== 'all';
}

/**
 * A whole run from its first positions as another run left them, and the run of the rest.
 * @param dModel to count positions by
 * @param newPattern gives the arrays for the patterns
 */
export function joinRuns(
  prefix: Pick<Prefix, 'length' | 'result'>,
  rest: ForwardResult,
  dModel: number,
  newPattern: (length: number) => Float32Array = (length) => new Float32Array(length),
): ForwardResult {
  const { length, result } = prefix;
  const rows = (a: Float32Array, b: Float32Array): Float32Array => joined(a.subarray(0, length * dModel), b);
  const scales = (a: Float32Array, b: Float32Array): Float32Array => joined(a.subarray(0, length), b);
  const optional = (a: Float32Array | null, b: Float32Array | null) => (a && b ? scales(a, b) : null);
  const layers = rest.layers.map((own, index): LayerCapture => {
    const before = result.layers[index];
    const mlpOut = rows(before.mlpOut, own.mlpOut);
    return {
      attnPattern: joinedPattern(before.attnPattern, result.nPos, own.attnPattern, length, rest.nPos, newPattern),
      attnFactors: null,
      attnNormScale: scales(before.attnNormScale, own.attnNormScale),
      postAttnNormScale: optional(before.postAttnNormScale, own.postAttnNormScale),
      mlpNormScale: scales(before.mlpNormScale, own.mlpNormScale),
      postMlpNormScale: optional(before.postMlpNormScale, own.postMlpNormScale),
      residMid: rows(before.residMid, own.residMid),
      mlpOut,
      mlpAdded: own.mlpAdded === own.mlpOut ? mlpOut : rows(before.mlpAdded, own.mlpAdded),
    };
  });
  return {
    nPos: length + rest.nPos,
    tokenVectors: rows(result.tokenVectors, rest.tokenVectors),
    layers,
    residFinal: rows(result.residFinal, rest.residFinal),
    finalNormScale: scales(result.finalNormScale, rest.finalNormScale),
    logits: rest.logits,
  };
}

/**
 * [head, pos, pos] of the whole, from [head, before, before] of which the first `length` rows count, and
 * [head, nRest, length + nRest]. Empty where patterns are not kept.
 */
function joinedPattern(
  before: Float32Array,
  nBefore: number,
  rest: Float32Array,
  length: number,
  nRest: number,
  newPattern: (length: number) => Float32Array,
): Float32Array {
  if (rest.length === 0) return rest;
  const nPos = length + nRest;
  const nHeads = rest.length / (nRest * nPos);
  const pattern = newPattern(nHeads * nPos * nPos);
  for (let head = 0; head < nHeads; head++) {
    for (let pos = 0; pos < length; pos++) {
      const from = (head * nBefore + pos) * nBefore;
      pattern.set(before.subarray(from, from + length), (head * nPos + pos) * nPos);
    }
    pattern.set(rest.subarray(head * nRest * nPos, (head + 1) * nRest * nPos), (head * nPos + length) * nPos);
  }
  return pattern;
}

/** [kvHead, pos, dHead] → [kvHead, length, dHead] */
function firstPositions(tensor: Tensor, length: number): Tensor {
  const [nHeads, nPos, dHead] = tensor.dims;
  const values = floatsOf(tensor);
  const kept = new Float32Array(nHeads * length * dHead);
  for (let head = 0; head < nHeads; head++) {
    const from = head * nPos * dHead;
    kept.set(values.subarray(from, from + length * dHead), head * length * dHead);
  }
  return floatTensor(kept, [nHeads, length, dHead]);
}

function joined(a: Float32Array, b: Float32Array): Float32Array {
  const result = new Float32Array(a.length + b.length);
  result.set(a);
  result.set(b, a.length);
  return result;
}
