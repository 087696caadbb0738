/** What turns a feature's pre-activation into its activation. */
export type Activation =
  | { readonly type: 'relu' }
  /** x where x > threshold, else 0. Strict, and not clamped: a negative threshold lets negative values pass. */
  | { readonly type: 'jumprelu'; readonly threshold: Float32Array }
  | Limit;

/** Activations that leave at most k features of a position on. */
export type Limit =
  /**
   * The k largest of a position keep their value, negative ones too; sparsify's encoders put a ReLU before
   * (`clampsFirst`).
   */
  | { readonly type: 'topk'; readonly k: number; readonly clampsFirst: boolean }
  /** After a ReLU, the largest of each of k groups of neighbouring features. k divides their number. */
  | { readonly type: 'groupmax'; readonly k: number };

/**
 * Applies the activation in place to one position's pre-activations.
 * @param values [feature]
 */
export function activate(values: Float32Array, activation: Activation): void {
  if (activation.type === 'relu') {
    for (let feature = 0; feature < values.length; feature++) if (!(values[feature] > 0)) values[feature] = 0;
  } else if (activation.type === 'jumprelu') {
    const { threshold } = activation;
    for (let feature = 0; feature < values.length; feature++) {
      if (!(values[feature] > threshold[feature])) values[feature] = 0;
    }
  } else if (activation.type === 'topk') {
    if (activation.clampsFirst) activate(values, { type: 'relu' });
    keepLargest(values, activation.k);
  } else {
    activate(values, { type: 'relu' });
    const size = values.length / activation.k;
    for (let from = 0; from < values.length; from += size) keepLargest(values.subarray(from, from + size), 1);
  }
}

/** Zeroes all but the k largest; of equal values at the edge the first stay. */
function keepLargest(values: Float32Array, k: number): void {
  if (k >= values.length) return;
  const edge = values.slice().sort()[values.length - k];
  let above = 0;
  for (const value of values) if (value > edge) above++;
  let equals = k - above;
  for (let feature = 0; feature < values.length; feature++) {
    if (values[feature] > edge) continue;
    if (values[feature] === edge && equals > 0) equals--;
    else values[feature] = 0;
  }
}
