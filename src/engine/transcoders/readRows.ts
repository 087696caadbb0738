import { widenBrainFloats, widenHalfFloats } from '../runtime/widen.ts';
import type { FloatTensor } from './floatTensor.ts';

/** What lies between two rows is read with them up to so many bytes: another call would take longer. */
const mostBetween = 2 ** 14;
/** What is read by one call. */
const mostAtOnce = 2 ** 18;

/**
 * Rows of a tensor that begin at some of its numbers, in float32. Near ones are read together.
 * @param starts ascending, so that many are near each other; any order is right
 * @param into   [starts.length, length]
 */
export function readRows(tensor: FloatTensor, starts: ArrayLike<number>, length: number, into: Float32Array): void {
  const bytesPer = tensor.type === 'F32' ? 4 : 2;
  const isNext = (first: number, index: number) => {
    const start = starts[index];
    const before = starts[index - 1];
    if (start < before || (start - before - length) * bytesPer > mostBetween) return false;
    return (start + length - starts[first]) * bytesPer <= mostAtOnce;
  };
  let buffer: ArrayBuffer | null = null;
  for (let first = 0; first < starts.length; ) {
    let end = first + 1;
    while (tensor.type !== 'F64' && end < starts.length && isNext(first, end)) end++;
    if (end === first + 1) tensor.floats(starts[first], length, into.subarray(first * length, end * length));
    else {
      buffer ??= new ArrayBuffer(mostAtOnce);
      const size = (starts[end - 1] + length - starts[first]) * bytesPer;
      tensor.bytes(starts[first] * bytesPer, new Uint8Array(buffer, 0, size));
      for (let index = first; index < end; index++) {
        const place = (starts[index] - starts[first]) * bytesPer;
        widen(tensor, buffer, place, into.subarray(index * length, (index + 1) * length));
      }
    }
    first = end;
  }
}

/** Numbers from a place in the buffer on, as many as fit. */
function widen({ type }: FloatTensor, buffer: ArrayBuffer, place: number, into: Float32Array): void {
  if (type === 'F32') into.set(new Float32Array(buffer, place, into.length));
  else if (type === 'BF16') widenBrainFloats(new Uint16Array(buffer, place, into.length), into);
  else widenHalfFloats(new Uint16Array(buffer, place, into.length), into);
}
