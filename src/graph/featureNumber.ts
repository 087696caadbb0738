/**
 * One number for a feature, as graph files carry it: the Cantor pairing of layer and index.
 *   number = (layer + feature)(layer + feature + 1) / 2 + feature
 * Exact in a double for every layer + feature below 2²⁶, far past 64 layers of 262,144 features (below 2³⁶).
 */
export function pairFeature(layer: number, feature: number): number {
  const diagonal = layer + feature;
  return (diagonal * (diagonal + 1)) / 2 + feature;
}

/** The layer and feature of a Cantor number; null for a number that is no non-negative safe integer. */
export function unpairFeature(number: number): { readonly layer: number; readonly feature: number } | null {
  if (!Number.isSafeInteger(number) || number < 0 || number > 2 ** 50) return null;
  let diagonal = Math.floor((Math.sqrt(8 * number + 1) - 1) / 2);
  // The square root is rounded, so the floor can be off by one in either direction.
  while ((diagonal * (diagonal + 1)) / 2 > number) diagonal -= 1;
  while (((diagonal + 1) * (diagonal + 2)) / 2 <= number) diagonal += 1;
  const feature = number - (diagonal * (diagonal + 1)) / 2;
  return { layer: diagonal - feature, feature };
}

/**
 * The index in a decimal feature number of graphs older than schema 1: the layer's digits, then five digits of index.
 * Null when the number does not belong to that layer.
 */
export function decimalFeature(number: number, layer: number): number | null {
  const feature = number - layer * 100_000;
  return Number.isSafeInteger(feature) && feature >= 0 && feature < 100_000 ? feature : null;
}
