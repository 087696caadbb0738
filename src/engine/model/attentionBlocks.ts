import type { ModelConfig } from './config.ts';
import type { AttentionFactors, LayerCapture } from './languageModel.ts';

/** Positions from … to − 1. */
export type PositionRange = { readonly from: number; readonly to: number };

/** What a layer's attention leaves of some positions, so that its pattern can be made again. */
type Part = {
  readonly from: number;
  readonly nPos: number;
  /** [head, pos, dHead] rotated and scaled */
  readonly queries: Float32Array;
  /** [head, pos] logarithm of the sum that the softmax divides by */
  readonly logSums: Float32Array;
};

/** Collects what attention patterns of a long prompt are made from again, while the prompt runs some positions at a time. */
export class AttentionBlocks {
  readonly #config: ModelConfig;
  /** By layer. */
  readonly #parts: Part[][] = [];

  constructor(config: ModelConfig) {
    this.#config = config;
  }

  add(layer: number, part: Part): void {
    this.#parts[layer] ??= [];
    this.#parts[layer].push(part);
  }

  /**
   * What was collected of a layer, which is forgotten here.
   * @param keys [kvHead, pos, dHead] of the whole prompt, rotated
   */
  take(layer: number, keys: Float32Array): AttentionFactors {
    const { nHeads, dHead, attentionSoftCap: softCap } = this.#config;
    const parts = this.#parts[layer];
    const nPos = parts.reduce((sum, part) => sum + part.nPos, 0);
    const queries = new Float32Array(nHeads * nPos * dHead);
    const logSums = new Float32Array(nHeads * nPos);
    for (const part of parts) {
      for (let head = 0; head < nHeads; head++) {
        const from = head * part.nPos;
        queries.set(part.queries.subarray(from * dHead, (from + part.nPos) * dHead), (head * nPos + part.from) * dHead);
        logSums.set(part.logSums.subarray(from, from + part.nPos), head * nPos + part.from);
      }
    }
    this.#parts[layer] = [];
    return { nPos, queries, keys, logSums, window: this.#config.windows[layer] ?? null, softCap };
  }
}

/**
 * A part of an attention pattern [head, query, key] of a long prompt, whose whole would grow with the prompt's square.
 * Entry = exp(score − logSum), with score = query · key (capped, masked): the softmax again, exactly.
 */
export function patternBlock(
  { nPos, queries: allQueries, keys, logSums, window, softCap }: AttentionFactors,
  queries: PositionRange,
  range: PositionRange,
): Float32Array {
  const nHeads = logSums.length / nPos;
  const dHead = allQueries.length / logSums.length;
  const nKeyValueHeads = keys.length / (nPos * dHead);
  const [nQueries, nKeys] = [queries.to - queries.from, range.to - range.from];
  const pattern = new Float32Array(nHeads * nQueries * nKeys);
  for (let query = queries.from; query < queries.to; query++) {
    const first = Math.max(range.from, query - (window ?? nPos) + 1);
    const last = Math.min(range.to - 1, query);
    for (let head = 0; head < nHeads; head++) {
      const place = head * nPos + query;
      const start = Math.floor((head * nKeyValueHeads) / nHeads) * nPos;
      const row = (head * nQueries + query - queries.from) * nKeys - range.from;
      for (let key = first; key <= last; key++) {
        const product = dot(allQueries, place * dHead, keys, (start + key) * dHead, dHead);
        const score = softCap === null ? product : softCap * Math.tanh(product / softCap);
        pattern[row + key] = Math.exp(score - logSums[place]);
      }
    }
  }
  return pattern;
}

/** [head, pos, pos] a layer's whole pattern, however the run left it. */
export function wholePattern({ attnPattern, attnFactors }: LayerCapture, nPos: number): Float32Array {
  const all = { from: 0, to: nPos };
  return attnFactors ? patternBlock(attnFactors, all, all) : attnPattern;
}

/** A loop of its own with nothing to check: compilers make it fast. */
function dot(a: Float32Array, atA: number, b: Float32Array, atB: number, length: number): number {
  let sum = 0;
  for (let i = 0; i < length; i++) sum += a[atA + i] * b[atB + i];
  return sum;
}
