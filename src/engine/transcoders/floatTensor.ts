import { UserError } from '../../protocol/errors.ts';
import { readFloats, readFully, type StoredTensor } from '../model/safetensors.ts';
import { widenBrainFloats, widenHalfFloats } from '../runtime/widen.ts';

/** The types in which transcoder weights are stored. */
export type FloatType = 'F64' | 'F32' | 'F16' | 'BF16';

/** Where a tensor's bytes begin in an open file. Descriptors are good in every thread of the process. */
export type FilePlace = { readonly descriptor: number; readonly offset: number };

/** What a tensor of floating-point numbers is. Plain data, which can be sent to other threads. */
export type TensorDescription = {
  readonly name: string;
  readonly file: string;
  readonly type: FloatType;
  /** As it lies: the last axis is contiguous. */
  readonly shape: readonly number[];
  /** Its axes are the reverse of what it is meant to be (NumPy arrays stored by columns). */
  readonly isReversed: boolean;
  readonly size: number;
  /** Null where its numbers do not lie in the file as they are. */
  readonly place: FilePlace | null;
};

/** A tensor of floating-point numbers where it lies, in whatever kind of file: nothing of it is in memory. */
export type FloatTensor = TensorDescription & {
  /** Numbers [from, from + count) in row-major order as float32, into the start of `target` when given. */
  readonly floats: (from: number, count: number, target?: Float32Array) => Float32Array;
  /** Fills `target` with stored bytes, beginning at byte `from` of the tensor. */
  readonly bytes: (from: number, target: Uint8Array) => void;
  /** As `bytes`, on another thread; absent where the file cannot be read so. */
  readonly load?: (from: number, target: Uint8Array) => Promise<void>;
};

/** A tensor of a safetensors file; UserError when it holds no floating-point numbers. */
export function floatTensorOf(stored: StoredTensor): FloatTensor {
  const { name, type, shape, size, offset, file } = stored;
  if (type !== 'F64' && type !== 'F32' && type !== 'F16' && type !== 'BF16') {
    throw new UserError(
      'transcoders.type',
      `${file.path} stores ${JSON.stringify(name)} as ${type}, where floating-point numbers are needed.`,
      'Use weights in float32, float16 or bfloat16.',
    );
  }
  return {
    name,
    file: file.path,
    type,
    shape,
    isReversed: false,
    size,
    place: { descriptor: file.descriptor, offset },
    floats: (from, count, target = new Float32Array(count)) =>
      readFloats(stored, from, count, target as Float32Array<ArrayBuffer>),
    bytes: (from, target) => file.read(stored, target, from),
    load: (from, target) => file.load(stored, target, from),
  };
}

/** The part of a tensor that can be sent to another thread. */
export function descriptionOf(tensor: FloatTensor): TensorDescription {
  const { name, file, type, shape, isReversed, size, place } = tensor;
  return { name, file, type, shape, isReversed, size, place };
}

/** The tensor in another thread, while the file is open in the one that sent it. */
export function tensorAt(description: TensorDescription): FloatTensor {
  const { name, file, type, size, place } = description;
  if (!place) throw new Error(`${name} does not lie in a file`);
  const stored = size * bytesPerNumber[type];
  const bytes: FloatTensor['bytes'] = (from, target) => {
    if (from < 0 || from + target.length > stored) {
      throw new Error(`bytes ${from} to ${from + target.length} of ${name}, which has ${stored}`);
    }
    readFully(place.descriptor, file, target, place.offset + from);
  };
  return { ...description, bytes, floats: floatsBy(type, bytes) };
}

const bytesPerNumber: Readonly<Record<FloatType, number>> = { F64: 8, F32: 4, F16: 2, BF16: 2 };

/** The numbers of a tensor by its bytes, widened to float32 (exactly, except from F64). */
export function floatsBy(type: FloatType, bytes: FloatTensor['bytes']): FloatTensor['floats'] {
  return (from, count, target = new Float32Array(count)) => {
    const floats = target.subarray(0, count);
    if (type === 'F32') {
      bytes(from * 4, new Uint8Array(floats.buffer, floats.byteOffset, count * 4));
    } else if (type === 'F64') {
      const doubles = new Float64Array(count);
      bytes(from * 8, new Uint8Array(doubles.buffer));
      floats.set(doubles);
    } else {
      const halves = new Uint16Array(count);
      bytes(from * 2, new Uint8Array(halves.buffer));
      if (type === 'BF16') widenBrainFloats(halves, floats);
      else widenHalfFloats(halves, floats);
    }
    return floats;
  };
}

/** The whole tensor as float32. */
export function wholeTensor(tensor: FloatTensor): Float32Array {
  return tensor.floats(0, tensor.size);
}
