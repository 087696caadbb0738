import { UserError } from '../../protocol/errors.ts';
import { readFloats, type StoredTensor } from '../model/safetensors.ts';

/** The types in which transcoder weights are stored. */
export type FloatType = 'F64' | 'F32' | 'F16' | 'BF16';

/** A tensor of floating-point numbers where it lies, in whatever kind of file: nothing of it is in memory. */
export type FloatTensor = {
  readonly name: string;
  readonly file: string;
  readonly type: FloatType;
  /** As it lies: the last axis is contiguous. */
  readonly shape: readonly number[];
  /** Its axes are the reverse of what it is meant to be (NumPy arrays stored by columns). */
  readonly isReversed: boolean;
  readonly size: number;
  /** Numbers [from, from + count) in row-major order as float32, into the start of `target` when given. */
  readonly floats: (from: number, count: number, target?: Float32Array) => Float32Array;
  /** Fills `target` with stored bytes, beginning at byte `from` of the tensor. */
  readonly bytes: (from: number, target: Uint8Array) => void;
  /** As `bytes`, on another thread; absent where the file cannot be read so. */
  readonly load?: (from: number, target: Uint8Array) => Promise<void>;
};

/** A tensor of a safetensors file; UserError when it holds no floating-point numbers. */
export function floatTensorOf(stored: StoredTensor): FloatTensor {
  const { name, type, shape, size, file } = stored;
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
    floats: (from, count, target = new Float32Array(count)) =>
      readFloats(stored, from, count, target as Float32Array<ArrayBuffer>),
    bytes: (from, target) => file.read(stored, target, from),
    load: (from, target) => file.load(stored, target, from),
  };
}

/** The whole tensor as float32. */
export function wholeTensor(tensor: FloatTensor): Float32Array {
  return tensor.floats(0, tensor.size);
}
