import type { AttributionSettings } from '../../protocol/engine.ts';
import { UserError } from '../../protocol/errors.ts';
import { mostAdaptiveFeatures, mostRowBytes } from '../../protocol/limits.ts';
import type { RowLimits } from './rowCut.ts';
import type { Sources } from './sources.ts';

/** Rows of as many features as adaptive mode ever attributes: whole up to the first size, cut harder beyond the second. */
const rowSizes = { whole: 384 * 2 ** 20, usual: 2 ** 30 };

/** Where the rows have to be cut to fit, each keeps at least so many effects. */
const leastPerRow = 1024;

/**
 * What a search keeps of each row: everything, unless it may choose for itself how much is enough, or the prompt is so
 * long that no machine would hold it. UserError when too little of each row could be kept.
 */
export function rowLimits(
  { maxFeatureNodes }: Pick<AttributionSettings, 'maxFeatureNodes'>,
  { count: nColumns, active, fitsWhole }: Pick<Sources, 'count' | 'active' | 'fitsWhole'>,
): RowLimits {
  const isAdaptive = maxFeatureNodes === 'adaptive';
  const keptShare = isAdaptive ? adaptiveKeptShare(nColumns) : 1;
  const wanted = isAdaptive ? mostAdaptiveFeatures : maxFeatureNodes === 'all' ? active.count : maxFeatureNodes;
  const rows = Math.min(wanted, active.count);
  const isExact = fitsWhole && !isAdaptive;
  if (isExact || rows * nColumns * 4 <= mostRowBytes) return { keptShare, mostPerRow: Number.POSITIVE_INFINITY };
  const mostPerRow = Math.floor(mostRowBytes / rows / 8);
  if (mostPerRow >= leastPerRow) return { keptShare, mostPerRow };
  throw new UserError(
    'trace.tooLarge',
    `Attributing ${rows} features of a prompt with ${active.count} active ones would take more than ${mostRowBytes / 2 ** 30} GB.`,
    `Set Max Features to "adaptive" or to at most ${Math.floor(mostRowBytes / leastPerRow / 8)}, or choose positions.`,
  );
}

/** Share of each row's weight that adaptive mode keeps. */
function adaptiveKeptShare(nColumns: number): number {
  const bytes = mostAdaptiveFeatures * nColumns * 4;
  if (bytes <= rowSizes.whole) return 1;
  return bytes <= rowSizes.usual ? 0.999 : 0.99;
}
