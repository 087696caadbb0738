import { Scratch } from './scratch.ts';

/** Float32 numbers in memory that worker threads can see. ONNX Runtime takes such arrays only as copies. */
export function sharedFloats(length: number): Float32Array {
  return new Float32Array(new SharedArrayBuffer(length * 4));
}

function isShared(values: Float32Array): boolean {
  return values.buffer instanceof SharedArrayBuffer;
}

/** The same numbers where worker threads can see them: the same array if they lie there already. */
export function asShared(values: Float32Array): Float32Array {
  if (isShared(values)) return values;
  const copy = sharedFloats(values.length);
  copy.set(values);
  return copy;
}

/** Private copies of shared arrays, one of each use at a time. */
export class PrivateCopies {
  readonly #scratch = new Scratch();

  /** The values in memory of this thread alone; the same array if they lie there already. */
  of(use: string, values: Float32Array): Float32Array {
    if (!isShared(values)) return values;
    const copy = this.#scratch.floats(use, values.length);
    copy.set(values);
    return copy;
  }
}
