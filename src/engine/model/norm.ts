/**
 * The plain root-mean-square norm, for the places where a graph would not be faster.
 *   scale[pos] = 1/√(mean over dModel of x² + ε),  out[pos, dModel] = x · scale[pos] · gain[dModel]
 * @param given scales of another run to use instead of computing them
 */
export function rootMeanSquareNorm(
  x: Float32Array,
  gain: Float32Array,
  epsilon: number,
  given: Float32Array | null = null,
): { readonly normed: Float32Array; readonly scale: Float32Array } {
  const dModel = gain.length;
  const nPos = x.length / dModel;
  const normed = new Float32Array(x.length);
  const scale = given ?? new Float32Array(nPos);
  for (let pos = 0; pos < nPos; pos++) {
    const start = pos * dModel;
    if (!given) {
      let squares = 0;
      for (let i = start; i < start + dModel; i++) squares += x[i]! * x[i]!;
      scale[pos] = 1 / Math.sqrt(squares / dModel + epsilon);
    }
    for (let i = 0; i < dModel; i++) normed[start + i] = x[start + i]! * scale[pos]! * gain[i]!;
  }
  return { normed, scale };
}
