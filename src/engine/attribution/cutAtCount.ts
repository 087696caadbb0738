/**
 * The smallest size of which at most `most` values are larger. Without sorting everything: values are counted by the
 * first bits of their float32 form, and only those of the one class where the cut falls are sorted.
 * @param sizes not negative
 */
export function cutAtCount(sizes: Float64Array, most: number): number {
  const counts = new Uint32Array(1 << 16);
  const asFloat = new Float32Array(1);
  const asBits = new Uint32Array(asFloat.buffer);
  const classOf = (size: number) => {
    asFloat[0] = size;
    return asBits[0] >>> 16;
  };
  for (const size of sizes) counts[classOf(size)]++;
  let above = 0;
  let last = counts.length - 1;
  while (last >= 0 && above + counts[last] <= most) above += counts[last--];
  if (last < 0) return 0;
  const candidates = sizes.filter((size) => classOf(size) === last).sort();
  return candidates[candidates.length - 1 - (most - above)];
}
