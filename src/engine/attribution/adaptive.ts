import { cutAtShare } from '../../graph/prune.ts';
import { mostAdaptiveFeatures } from '../../protocol/limits.ts';
import { type NodeColumns, nodeColumns } from './nodeRows.ts';
import { type Estimate, estimateInfluence, type KnownTarget } from './ranking.ts';
import type { RowStore } from './rowStore.ts';
import type { SourceColumns } from './writtenBlock.ts';

/**
 * Up to so many attributed features, adaptive mode goes on until little influence is left on others. Beyond, it is done
 * when all that the graph would keep are attributed: with the rest attributed too it would stay the same.
 */
export const strictFeatures = 1024;
/** Fewest features that may join in one round: smaller rounds sweep badly. Once so many are attributed, the graph's nodes are chosen. */
export const smallestRound = 384;
/** The graph stays the same when features that it would keep and that are not attributed hold this part of `adaptiveShare`. */
const wantedPart = 1 / 4;
/** A place without attributed features may hold this part of `adaptiveShare`: nobody there shows where it goes from there. */
const placePart = 1 / 50;

/** What adaptive mode expects of the graph while not all of its features are attributed. */
export type Forecast = Estimate & {
  /**
   * The graph's nodes: attributed features and the most influential others, as many as adaptive mode would attribute at
   * most, with all errors and tokens. Null: every source.
   */
  readonly nodes: NodeColumns | null;
  /** Features that pruning would keep and that are not attributed, most influential first. */
  readonly wanted: readonly number[];
  /** The part of all nodes' influence that is theirs. */
  readonly wantedShare: number;
  /** For each place without attributed features that holds much of the influence, its most influential feature. */
  readonly scouts: readonly number[];
};

/** Features this far beyond the threshold are wanted too: some of them turn out to be kept. */
const margin = 0.01;

export type ForecastSettings = {
  /** Share of influence at which the graph will be pruned. */
  readonly nodeThreshold: number;
  /** Share of influence that may be left on features that are not attributed. */
  readonly adaptiveShare: number;
};

/**
 * Estimates the graph that attributing every feature worth it would give.
 * @param allowed features that may be attributed, ascending
 * @param known outputs and attributed features
 * @param chosen the nodes, where they were chosen before; null: the most influential by now
 */
export function forecast(
  columns: SourceColumns,
  store: RowStore,
  known: readonly KnownTarget[],
  allowed: readonly number[],
  { nodeThreshold, adaptiveShare }: ForecastSettings,
  chosen: NodeColumns | null,
): Forecast {
  const { active } = columns;
  const isKnown = new Uint8Array(active.count);
  for (const { feature } of known) if (feature !== null) isKnown[feature] = 1;
  const rest = allowed.filter((feature) => !isKnown[feature]);
  const isWhole = allowed.length === active.count && active.count <= mostAdaptiveFeatures;
  const estimate = (among: NodeColumns | null) => estimateInfluence(columns, store, known, among);
  const nodes = isWhole ? null : (chosen ?? chooseNodes(columns, isKnown, rest, estimate(null).influence));
  const { influence, handedOn } = estimate(nodes);
  const above = (cut: number) => rest.filter((feature) => influence[feature] > 0 && influence[feature] >= cut);
  const wanted = above(cutAtShare(influence, nodeThreshold));
  const likely = above(cutAtShare(influence, Math.min(1, nodeThreshold + margin)));
  const whole = influence.reduce((sum, value) => sum + value, 0);
  const wantedInfluence = wanted.reduce((sum, feature) => sum + influence[feature], 0);
  const given = known.reduce((sum, { weight }) => sum + weight, 0);
  return {
    influence,
    handedOn,
    nodes,
    wanted: mostInfluential(likely, influence, likely.length),
    wantedShare: whole === 0 ? 0 : wantedInfluence / whole,
    scouts: scoutsOf(columns, influence, isKnown, rest, placePart * adaptiveShare * given),
  };
}

/**
 * The next round while few features are attributed: first those that the graph would keep, then scouts, then the most
 * influential; the fewest that hold the excess, but not more at once than twice those that are known already, since each
 * round shows better which ones matter.
 * @param ranked features by the influence that is known to reach them, the largest first
 * @param influence that influence, by source column
 * @param excess what of it is too much on features that are not attributed
 */
export function strictRound(
  { wanted, scouts }: Forecast,
  attributed: number,
  ranked: readonly number[],
  influence: Float64Array,
  excess: number,
): number[] {
  const most = mostInRound(attributed);
  const first = [...new Set([...wanted, ...scouts])].slice(0, most);
  const room = Math.min(most, strictFeatures - attributed);
  const candidates = first.length < room ? [...new Set([...first, ...ranked])].slice(0, room) : first;
  let left = excess;
  let size = 0;
  while (size < candidates.length && left > 0) left -= influence[candidates[size++]];
  return candidates.slice(0, size);
}

/** The next round when many are attributed: what the graph would keep, and scouts. None when that is hardly anything. */
export function roundOfWanted(
  { wanted, wantedShare, scouts }: Forecast,
  attributed: number,
  adaptiveShare: number,
): number[] {
  if (wantedShare < wantedPart * adaptiveShare) return [];
  return [...new Set([...wanted, ...scouts])].slice(0, mostInRound(attributed));
}

function mostInRound(attributed: number): number {
  return Math.max(0, Math.min(mostAdaptiveFeatures - attributed, Math.max(smallestRound, 2 * attributed)));
}

/** Attributed features, the most influential of the rest, errors and tokens. */
function chooseNodes(
  { count, active }: SourceColumns,
  isKnown: Uint8Array,
  rest: readonly number[],
  influence: Float64Array,
): NodeColumns {
  const mask = new Uint8Array(count).fill(1, active.count);
  mask.set(isKnown);
  const room = mostAdaptiveFeatures - isKnown.reduce((sum, is) => sum + is, 0);
  for (const feature of influentialOnes(rest, influence, room)) mask[feature] = 1;
  return nodeColumns(mask);
}

/** @param influence [source column] 0 where a source does not count */
function scoutsOf(
  { nLayers, nPos, active }: SourceColumns,
  influence: Float64Array,
  isKnown: Uint8Array,
  rest: readonly number[],
  most: number,
): number[] {
  const placeOf = (feature: number) => active.layer[feature] * nPos + active.pos[feature];
  const held = new Float64Array(nLayers * nPos);
  const isSeen = new Uint8Array(nLayers * nPos);
  isKnown.forEach((is, feature) => {
    if (is) isSeen[placeOf(feature)] = 1;
    else held[placeOf(feature)] += influence[feature];
  });
  const best = new Map<number, number>();
  for (const feature of rest) {
    const place = placeOf(feature);
    if (isSeen[place] || held[place] <= most) continue;
    const other = best.get(place);
    if (other === undefined || influence[feature] > influence[other]) best.set(place, feature);
  }
  return [...best.values()];
}

/** The features of most influence, that first; of equals the first. */
export function mostInfluential(features: readonly number[], influence: Float64Array, most: number): number[] {
  const chosen = influentialOnes(features, influence, most);
  return chosen.sort((a, b) => influence[b] - influence[a] || a - b);
}

/** The same features in the order in which they were given. */
function influentialOnes(features: readonly number[], influence: Float64Array, most: number): number[] {
  if (most <= 0) return [];
  if (features.length <= most) return [...features];
  const sizes = new Float64Array(features.length);
  for (let index = 0; index < features.length; index++) sizes[index] = influence[features[index]];
  // Sorting the values alone is many times faster than sorting features by them.
  const least = sizes.sort()[sizes.length - most];
  let equals = most;
  for (let index = sizes.length - 1; sizes[index] > least; index--) equals--;
  const chosen: number[] = [];
  for (const feature of features) {
    if (influence[feature] > least || (influence[feature] === least && equals-- > 0)) chosen.push(feature);
  }
  return chosen;
}
