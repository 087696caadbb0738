import fs from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { UserError } from '../../protocol/errors.ts';
import { widenBrainFloats, widenHalfFloats } from '../runtime/widen.ts';
import { isRecord, parseJsonObject } from './readJson.ts';

/** Bytes per number of the types that the format knows. */
const typeBytes = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  F8_E4M3: 1,
  F8_E5M2: 1,
  I64: 8,
  I32: 4,
  I16: 2,
  I8: 1,
  U64: 8,
  U32: 4,
  U16: 2,
  U8: 1,
  BOOL: 1,
} as const;
export type StoredType = keyof typeof typeBytes;

/** The format's own limit, held by every reader of it. */
const maxHeaderBytes = 100_000_000;

/** Less than this is read at once: handing it to another thread takes longer. */
const leastAsideBytes = 2 ** 18;
const readAside = promisify(fs.read);

/** A tensor where it lies: nothing of it is in memory. */
export type StoredTensor = {
  readonly name: string;
  readonly type: StoredType;
  readonly shape: readonly number[];
  /** Product of the shape. */
  readonly size: number;
  /** Where its bytes begin, from the start of the file. */
  readonly offset: number;
  readonly bytes: number;
  readonly file: SafetensorsFile;
};

/** An open file of tensors. Its header has been checked in full: every tensor's bytes are inside the file. */
export class SafetensorsFile {
  readonly path: string;
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  readonly #descriptor: number;
  #closed = false;
  /** How many reads are under way on other threads. */
  #reads = 0;

  /** UserError when the file is missing, cut, or its header is not what the format allows. */
  constructor(file: string) {
    this.path = file;
    const stat = fs.statSync(file, { throwIfNoEntry: false });
    if (!stat?.isFile()) {
      throw new UserError(
        'weights.missing',
        `There is no file ${file}.`,
        'Choose another folder, or download the file.',
      );
    }
    this.#descriptor = fs.openSync(file, 'r');
    try {
      this.tensors = readHeader(this, this.#descriptor, stat.size);
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /** Good in every thread of the process until the file is closed. */
  get descriptor(): number {
    return this.#descriptor;
  }

  /** The tensor of that name; UserError when there is none. */
  tensor(name: string): StoredTensor {
    const tensor = this.tensors.get(name);
    if (!tensor) throw refused(this.path, `has no tensor ${shown(name)}`);
    return tensor;
  }

  /** Fills `target` with the tensor's bytes, beginning at byte `from` of the tensor. */
  read(tensor: StoredTensor, target: Uint8Array, from = 0): void {
    this.#checkRange(tensor, target, from);
    readFully(this.#descriptor, this.path, target, tensor.offset + from);
  }

  /** As `read`, on another thread where there is much to read: several tensors at a time are read faster so. */
  async load(tensor: StoredTensor, target: Uint8Array, from = 0): Promise<void> {
    if (target.length < leastAsideBytes) return this.read(tensor, target, from);
    this.#checkRange(tensor, target, from);
    this.#reads++;
    try {
      for (let done = 0; done < target.length; ) {
        const place = tensor.offset + from + done;
        const { bytesRead } = await readAside(this.#descriptor, target, done, target.length - done, place);
        if (bytesRead === 0) throw cut(this.path, place + target.length - done, place);
        done += bytesRead;
      }
    } finally {
      this.#reads--;
      if (this.#closed && this.#reads === 0) fs.closeSync(this.#descriptor);
    }
  }

  #checkRange(tensor: StoredTensor, target: Uint8Array, from: number): void {
    if (this.#closed) throw new Error(`${this.path} is closed`);
    if (from < 0 || from + target.length > tensor.bytes) {
      throw new Error(`bytes ${from} to ${from + target.length} of ${tensor.name}, which has ${tensor.bytes}`);
    }
  }

  /** Closes the file, once what is being read has been. */
  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#reads === 0) fs.closeSync(this.#descriptor);
  }
}

/**
 * Numbers [from, from + count) of a tensor in row-major order, widened to float32 (exactly, except from F64).
 * Written into the start of `target` when given. UserError for types that hold no floating-point numbers.
 */
export function readFloats(
  tensor: StoredTensor,
  from = 0,
  count = tensor.size - from,
  target: Float32Array = new Float32Array(count),
): Float32Array {
  const floats = target.length === count ? target : target.subarray(0, count);
  if (tensor.type === 'F32') {
    tensor.file.read(tensor, new Uint8Array(floats.buffer, floats.byteOffset, count * 4), from * 4);
    return floats;
  }
  if (tensor.type === 'F64') {
    const doubles = new Float64Array(count);
    tensor.file.read(tensor, new Uint8Array(doubles.buffer), from * 8);
    floats.set(doubles);
    return floats;
  }
  if (tensor.type !== 'BF16' && tensor.type !== 'F16') {
    throw refused(
      tensor.file.path,
      `stores ${shown(tensor.name)} as ${tensor.type}, where floating-point numbers are needed`,
    );
  }
  const widen = tensor.type === 'BF16' ? widenBrainFloats : widenHalfFloats;
  const pieceSize = Math.min(count, 1 << 20);
  const piece = new Uint16Array(pieceSize);
  for (let done = 0; done < count; done += pieceSize) {
    const part = piece.subarray(0, Math.min(pieceSize, count - done));
    tensor.file.read(tensor, new Uint8Array(part.buffer, 0, part.byteLength), (from + done) * 2);
    widen(part, floats.subarray(done, done + part.length));
  }
  return floats;
}

/** The file is 8 bytes of header length, the header (JSON), then the tensors' bytes. */
function readHeader(file: SafetensorsFile, descriptor: number, fileBytes: number): Map<string, StoredTensor> {
  if (fileBytes < 8) throw cut(file.path, 8, fileBytes);
  const prefix = Buffer.alloc(8);
  readFully(descriptor, file.path, prefix, 0);
  const stated = prefix.readBigUInt64LE(0);
  if (stated > BigInt(maxHeaderBytes)) {
    throw refused(file.path, `states a header of ${stated} bytes; at most ${maxHeaderBytes} are allowed`);
  }
  const headerBytes = Number(stated);
  if (8 + headerBytes > fileBytes) throw cut(file.path, 8 + headerBytes, fileBytes);
  const text = Buffer.alloc(headerBytes);
  readFully(descriptor, file.path, text, 8);
  const header = parseJsonObject(text.toString('utf8'), `The header of ${path.basename(file.path)}`, 8);

  const tensors = new Map<string, StoredTensor>();
  for (const [name, entry] of Object.entries(header)) {
    if (name !== '__metadata__') tensors.set(name, readEntry(file, name, entry, 8 + headerBytes));
  }
  checkPlaces(file.path, [...tensors.values()], 8 + headerBytes, fileBytes);
  return tensors;
}

function readEntry(file: SafetensorsFile, name: string, entry: unknown, dataStart: number): StoredTensor {
  if (!isRecord(entry)) throw refused(file.path, `describes ${shown(name)} by something other than an object`);
  const { dtype, shape, data_offsets: offsets } = entry;
  if (typeof dtype !== 'string' || !Object.hasOwn(typeBytes, dtype)) {
    throw refused(file.path, `gives ${shown(name)} the type ${shown(dtype)}, which is not known`);
  }
  const type = dtype as StoredType;
  if (!isCountList(shape) || shape.length > 16)
    throw refused(file.path, `gives ${shown(name)} a shape that is no list of sizes`);
  if (!isCountList(offsets) || offsets.length !== 2 || offsets[0]! > offsets[1]!) {
    throw refused(file.path, `gives ${shown(name)} offsets that are no range`);
  }
  const size = shape.reduce((product, count) => product * count, 1);
  const [begin, end] = offsets as [number, number];
  if (size * typeBytes[type] !== end - begin) {
    throw refused(
      file.path,
      `gives ${shown(name)} ${end - begin} bytes, but its shape [${shape}] in ${type} needs ${size * typeBytes[type]}`,
    );
  }
  return { name, type, shape, size, offset: dataStart + begin, bytes: end - begin, file };
}

/** Tensors must not overlap, and must end where the file ends. */
function checkPlaces(file: string, tensors: StoredTensor[], dataStart: number, fileBytes: number): void {
  tensors.sort((a, b) => a.offset - b.offset || a.bytes - b.bytes);
  let end = dataStart;
  for (const tensor of tensors) {
    if (tensor.offset < end) throw refused(file, `has ${shown(tensor.name)} overlapping the tensor before it`);
    end = tensor.offset + tensor.bytes;
  }
  if (end > fileBytes) throw cut(file, end, fileBytes);
  if (end < fileBytes) {
    throw refused(file, `has ${fileBytes} bytes, ${fileBytes - end} more than its header accounts for`);
  }
}

/** Fills `target` from a place in a file; one call reads at most 2 GB, and may read less than was asked for. UserError when it ends before. */
export function readFully(descriptor: number, file: string, target: Uint8Array, position: number): void {
  let done = 0;
  while (done < target.length) {
    const length = Math.min(target.length - done, 2 ** 30);
    const count = fs.readSync(descriptor, target, done, length, position + done);
    if (count === 0) throw cut(file, position + target.length, position + done);
    done += count;
  }
}

function cut(file: string, expected: number, found: number): UserError {
  return new UserError(
    'weights.cut',
    `${file} is cut short: ${expected} bytes are expected, ${found} are there.`,
    'Download the file again.',
  );
}

function refused(file: string, why: string): UserError {
  return new UserError('weights.refused', `${file} ${why}.`, 'Get the file again from where it was published.');
}

function isCountList(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((item) => Number.isSafeInteger(item) && item >= 0);
}

/** Names come from the file: bounded, and on one line. */
function shown(name: unknown): string {
  const text = JSON.stringify(name) ?? 'nothing';
  return text.length > 120 ? `${text.slice(0, 120)}…` : text;
}
