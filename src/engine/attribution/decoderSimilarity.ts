import type { SimilarPair } from '../../graph/decoderSimilarity.ts';
import { mostSimilarPairs } from '../../graph/decoderSimilarity.ts';
import type { GraphNode } from '../../graph/node.ts';
import type { LanguageModel } from '../model/languageModel.ts';
import { writtenDirections } from '../transcoders/describe.ts';
import type { TranscoderSet } from '../transcoders/transcoder.ts';

/** Every feature is compared with every other, so only the most influential are. */
const mostCompared = 160;
/** Less alike than this is not told. */
const leastCosine = 0.5;

/**
 * Pairs of a graph's features whose decoder directions point the same way:
 *   cosine(Σ_writeLayer decoder[a], Σ_writeLayer decoder[b])
 * A feature that fires at several tokens is no pair of its own. Null where decoders are stored by column, so that reading
 * a few features would read them all.
 */
export function similarDecoders(
  model: LanguageModel,
  set: TranscoderSet,
  nodes: readonly GraphNode[],
): SimilarPair[] | null {
  if (set.layers.some(({ slots }) => slots.some(({ isTransposed }) => isTransposed))) return null;
  const compared = nodes
    .filter(({ kind }) => kind === 'feature')
    .sort((x, y) => (x.influence ?? 1) - (y.influence ?? 1))
    .slice(0, mostCompared);
  const directions = unitDirections(model, set, compared);
  const pairs: SimilarPair[] = [];
  compared.forEach((a, place) => {
    for (const b of compared.slice(place + 1)) {
      if (a.layer === b.layer && a.feature === b.feature) continue;
      const cosine = dot(directions.get(keyOf(a)), directions.get(keyOf(b)));
      if (cosine >= leastCosine && pairs.length < mostSimilarPairs) pairs.push([a.id, b.id, Math.min(1, cosine)]);
    }
  });
  return pairs;
}

/** By layer and feature; read layer by layer, forwards. A feature that writes nothing has no direction. */
function unitDirections(
  model: LanguageModel,
  set: TranscoderSet,
  nodes: readonly GraphNode[],
): Map<string, Float64Array> {
  const units = new Map<string, Float64Array>();
  for (const layer of new Set(nodes.map((node) => node.layer))) {
    const own = nodes.filter((node) => node.layer === layer).map(({ feature }) => feature ?? 0);
    const features = [...new Set(own)].sort((x, y) => x - y);
    const directions = writtenDirections(model, set, layer, features);
    features.forEach((feature, index) => {
      const length = Math.hypot(...directions[index]);
      if (length > 0)
        units.set(
          `${layer} ${feature}`,
          directions[index].map((value) => value / length),
        );
    });
  }
  return units;
}

function keyOf({ layer, feature }: GraphNode): string {
  return `${layer} ${feature}`;
}

function dot(a: Float64Array | undefined, b: Float64Array | undefined): number {
  if (!a || !b) return 0;
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}
