import { patternBlock } from '../model/attentionBlocks.ts';
import type { LayerCapture, ModelDimensions } from '../model/languageModel.ts';
import type { PositionRange } from './localModel.ts';

/** What of a layer's run tells how attention carries gradients. */
export type AttentionCapture = Pick<
  LayerCapture,
  'attnPattern' | 'attnFactors' | 'attnNormScale' | 'postAttnNormScale'
>;

/**
 * The attention pattern laid out to carry gradients from queries to keys: [kvHead, key, group · nQueries + query],
 * each entry times the norm scales at both ends.
 */
export function carryPattern(
  { attnPattern, attnFactors, attnNormScale, postAttnNormScale }: AttentionCapture,
  { nHeads, nKeyValueHeads }: Pick<ModelDimensions, 'nHeads' | 'nKeyValueHeads'>,
  queries: PositionRange,
  keys: PositionRange,
): Float32Array {
  const block = attnFactors ? patternBlock(attnFactors, queries, keys) : null;
  const nAll = attnNormScale.length;
  const groups = nHeads / nKeyValueHeads;
  const nQueries = queries.to - queries.from;
  const nKeys = keys.to - keys.from;
  const pattern = new Float32Array(nKeyValueHeads * nKeys * groups * nQueries);
  for (let head = 0; head < nHeads; head++) {
    const row = Math.floor(head / groups) * nKeys - keys.from;
    const column = (head % groups) * nQueries - queries.from;
    for (let query = queries.from; query < queries.to; query++) {
      const after = postAttnNormScale ? postAttnNormScale[query] : 1;
      for (let key = keys.from; key < keys.to && key <= query; key++) {
        const share = block
          ? block[(head * nQueries + query - queries.from) * nKeys + key - keys.from]
          : attnPattern[(head * nAll + query) * nAll + key];
        pattern[(row + key) * groups * nQueries + column + query] = share * attnNormScale[key] * after;
      }
    }
  }
  return pattern;
}
