// Loops over millions of numbers, of their own and with nothing to check: compilers make them fast.

/** What a feature writes, a decoder row times a factor: to[toPlace + i] = from[fromPlace + i] · factor, in float32. */
export function writeScaled(
  from: Float32Array,
  fromPlace: number,
  factor: number,
  to: Float32Array,
  toPlace: number,
  length: number,
): void {
  for (let i = 0; i < length; i++) to[toPlace + i] = from[fromPlace + i] * factor;
}

/** The same, and what is written is added to sums: four numbers at a time, in half the time of one by one. */
export function writeAndAdd(
  from: Float32Array,
  fromPlace: number,
  factor: number,
  to: Float32Array,
  toPlace: number,
  sums: Float64Array,
  sumPlace: number,
  length: number,
): void {
  let i = 0;
  for (; i + 3 < length; i += 4) {
    const a = Math.fround(from[fromPlace + i] * factor);
    const b = Math.fround(from[fromPlace + i + 1] * factor);
    const c = Math.fround(from[fromPlace + i + 2] * factor);
    const d = Math.fround(from[fromPlace + i + 3] * factor);
    to[toPlace + i] = a;
    to[toPlace + i + 1] = b;
    to[toPlace + i + 2] = c;
    to[toPlace + i + 3] = d;
    sums[sumPlace + i] += a;
    sums[sumPlace + i + 1] += b;
    sums[sumPlace + i + 2] += c;
    sums[sumPlace + i + 3] += d;
  }
  for (; i < length; i++) {
    to[toPlace + i] = from[fromPlace + i] * factor;
    sums[sumPlace + i] += to[toPlace + i];
  }
}

/** Only the sums of it: sums[sumPlace + i] += from[fromPlace + i] · factor, rounded to float32 as if it were written. */
export function addScaled(
  from: Float32Array,
  fromPlace: number,
  factor: number,
  sums: Float64Array,
  sumPlace: number,
  length: number,
): void {
  for (let i = 0; i < length; i++) sums[sumPlace + i] += Math.fround(from[fromPlace + i] * factor);
}

/** sums[sumPlace + i] += |from[fromPlace + i]| · scale, four numbers at a time. */
export function addSizes(
  from: Float32Array,
  fromPlace: number,
  scale: number,
  sums: Float64Array,
  sumPlace: number,
  length: number,
): void {
  let i = 0;
  for (; i + 3 < length; i += 4) {
    const a = Math.abs(from[fromPlace + i]) * scale;
    const b = Math.abs(from[fromPlace + i + 1]) * scale;
    const c = Math.abs(from[fromPlace + i + 2]) * scale;
    const d = Math.abs(from[fromPlace + i + 3]) * scale;
    sums[sumPlace + i] += a;
    sums[sumPlace + i + 1] += b;
    sums[sumPlace + i + 2] += c;
    sums[sumPlace + i + 3] += d;
  }
  for (; i < length; i++) sums[sumPlace + i] += Math.abs(from[fromPlace + i]) * scale;
}
