import type { ModelConfig } from './config.ts';
import type { LayerCapture } from './languageModel.ts';

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

/**
 * Attention patterns of long prompts, made in parts when they are asked for: whole ones grow with the square of the
 * prompt. Entry = exp(score − logSum), with score = query · key (capped, masked): the softmax again, exactly.
 */
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
   * @param keys [kvHead, pos, dHead] of the whole prompt, rotated
   * @returns the layer's pattern in parts [head, query, key]
   */
  block(layer: number, keys: Float32Array): NonNullable<LayerCapture['attnBlock']> {
    const { nHeads, nKeyValueHeads, dHead, attentionSoftCap: cap } = this.#config;
    const nAll = keys.length / (nKeyValueHeads * dHead);
    const window = this.#config.windows[layer] ?? nAll;
    const parts = this.#parts[layer];
    return (queries, range) => {
      const [nQueries, nKeys] = [queries.to - queries.from, range.to - range.from];
      const pattern = new Float32Array(nHeads * nQueries * nKeys);
      for (let query = queries.from; query < queries.to; query++) {
        const part = parts.find(({ from, nPos }) => query >= from && query < from + nPos)!;
        const first = Math.max(range.from, query - window + 1);
        const last = Math.min(range.to - 1, query);
        for (let head = 0; head < nHeads; head++) {
          const place = head * part.nPos + query - part.from;
          const start = Math.floor((head * nKeyValueHeads) / nHeads) * nAll;
          const row = (head * nQueries + query - queries.from) * nKeys - range.from;
          for (let key = first; key <= last; key++) {
            const product = dot(part.queries, place * dHead, keys, (start + key) * dHead, dHead);
            const score = cap === null ? product : cap * Math.tanh(product / cap);
            pattern[row + key] = Math.exp(score - part.logSums[place]);
          }
        }
      }
      return pattern;
    };
  }
}

/** [head, pos, pos] a layer's whole pattern, however the run left it. */
export function wholePattern({ attnPattern, attnBlock }: LayerCapture, nPos: number): Float32Array {
  const all = { from: 0, to: nPos };
  return attnBlock ? attnBlock(all, all) : attnPattern;
}

/** A loop of its own with nothing to check: compilers make it fast. */
function dot(a: Float32Array, atA: number, b: Float32Array, atB: number, length: number): number {
  let sum = 0;
  for (let i = 0; i < length; i++) sum += a[atA + i] * b[atB + i];
  return sum;
}
