/** Probabilities by softmax, summed in float64. */
export function softmax(logits: Float32Array): Float64Array {
  const highest = logits.reduce((max, value) => Math.max(max, value), Number.NEGATIVE_INFINITY);
  const probabilities = Float64Array.from(logits, (logit) => Math.exp(logit - highest));
  const sum = probabilities.reduce((total, value) => total + value, 0);
  return probabilities.map((value) => value / sum);
}

/** Indices of the largest values, largest first; of equal ones the lower index first. */
export function largest(values: Float32Array | Float64Array, count: number): number[] {
  const best: number[] = [];
  for (let i = 0; i < values.length; i++) {
    if (best.length === count && !(values[i]! > values[best[count - 1]!]!)) continue;
    let at = best.length;
    while (at > 0 && values[i]! > values[best[at - 1]!]!) at--;
    best.splice(at, 0, i);
    if (best.length > count) best.pop();
  }
  return best;
}

export type Sampling = { readonly temperature: number; readonly topP: number; readonly seed: number };

/** Chooses a token from logits. Greedy for null; otherwise by chance, the same chances for the same seed. */
export function sampler(sampling: Sampling | null): (logits: Float32Array) => number {
  if (!sampling || sampling.temperature === 0) return (logits) => largest(logits, 1)[0]!;
  const random = randomNumbers(sampling.seed);
  return (logits) => {
    const probabilities = softmax(logits.map((logit) => logit / sampling.temperature));
    const order = largestUntil(probabilities, sampling.topP);
    let left = random() * order.reduce((sum, id) => sum + probabilities[id]!, 0);
    for (const id of order) {
      left -= probabilities[id]!;
      if (left < 0) return id;
    }
    return order[0]!;
  };
}

/** The fewest ids, most likely first, whose probabilities together reach the share. */
function largestUntil(probabilities: Float64Array, share: number): number[] {
  // All ids at or below this together hold at most 1 − share, so none of them is needed to reach it.
  const needless = (1 - share) / probabilities.length;
  const order: number[] = [];
  for (let id = 0; id < probabilities.length; id++) if (probabilities[id]! > needless) order.push(id);
  order.sort((a, b) => probabilities[b]! - probabilities[a]! || a - b);
  let sum = 0;
  for (const [rank, id] of order.entries()) {
    sum += probabilities[id]!;
    if (sum >= share) return order.slice(0, rank + 1);
  }
  return order;
}

/** Numbers in [0, 1) by the mulberry32 generator: 32 bits of state, the same on every machine. */
function randomNumbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
