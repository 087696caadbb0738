import assert from 'node:assert/strict';
import { readFloats, SafetensorsFile } from '../../src/engine/model/safetensors.ts';

/** The tensor as float32. */
export function floats(file: SafetensorsFile, name: string): Float32Array {
  return readFloats(file.tensor(name));
}

/** The tensor's integers (I32 or U8, as goldens store them). */
export function integers(file: SafetensorsFile, name: string): number[] {
  const tensor = file.tensor(name);
  const bytes = new Uint8Array(tensor.bytes);
  file.read(tensor, bytes);
  return Array.from(tensor.type === 'U8' ? bytes : new Int32Array(bytes.buffer));
}

/** The largest absolute difference, and where it is. */
export function largestDifference(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
): { readonly difference: number; readonly at: number } {
  let [difference, at] = [0, 0];
  for (let i = 0; i < expected.length; i++) {
    const own = Math.abs(actual[i]! - expected[i]!);
    if (!(own <= difference)) [difference, at] = [own, i];
  }
  return { difference, at };
}

/** Fails naming the tensor, the place and both values where they differ by more than the tolerance. */
export function checkClose(
  name: string,
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  tolerance: number,
): void {
  assert.equal(actual.length, expected.length, `${name}: ${actual.length} numbers, ${expected.length} expected`);
  const { difference, at } = largestDifference(actual, expected);
  assert.ok(
    difference <= tolerance,
    `${name}[${at}] is ${actual[at]}, expected ${expected[at]} (off by ${difference}, ${tolerance} allowed)`,
  );
}

export function concatenated(arrays: readonly Float32Array[]): Float32Array {
  const result = new Float32Array(arrays.reduce((sum, array) => sum + array.length, 0));
  let at = 0;
  for (const array of arrays) {
    result.set(array, at);
    at += array.length;
  }
  return result;
}

export { SafetensorsFile };
