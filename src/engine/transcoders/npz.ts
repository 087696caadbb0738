import fs from 'node:fs';
import { inflateRawSync } from 'node:zlib';
import { UserError } from '../../protocol/errors.ts';
import { type FloatTensor, type FloatType, floatsBy } from './floatTensor.ts';

/** A set's file has five arrays; more than this is no transcoder. */
const maxEntries = 1000;
/** Names and directory of so many entries stay far below this. */
const maxDirectoryBytes = 1 << 20;
/** An array's own header is about 128 bytes. */
const maxArrayHeaderBytes = 1 << 16;
/** Compressed arrays have to be held unpacked; what is published is stored uncompressed and read in place. */
const maxUnpackedBytes = 64 * 2 ** 20;

const typesByDescription: Readonly<Record<string, { readonly type: FloatType; readonly bytes: number }>> = {
  '<f2': { type: 'F16', bytes: 2 },
  '<f4': { type: 'F32', bytes: 4 },
  '<f8': { type: 'F64', bytes: 8 },
};

/**
 * An open .npz file: a zip archive of NumPy arrays. Stored arrays are read where they lie, compressed ones unpacked
 * when small. Every size and offset is checked against the file before it is used; UserError says what is wrong.
 */
export class NpzFile {
  readonly path: string;
  readonly tensors: ReadonlyMap<string, FloatTensor>;
  readonly #descriptor: number;
  #closed = false;

  constructor(file: string) {
    this.path = file;
    this.#descriptor = fs.openSync(file, 'r');
    try {
      const entries = readDirectory(this.#descriptor, file);
      this.tensors = new Map(entries.map((entry) => readArray(this.#descriptor, file, entry)));
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    fs.closeSync(this.#descriptor);
  }
}

type Entry = {
  readonly name: string;
  readonly isCompressed: boolean;
  readonly packedBytes: number;
  readonly bytes: number;
  readonly dataOffset: number;
};

/** Reads bytes at an offset: of the file, or of an unpacked array. */
type Read = (offset: number, target: Uint8Array) => void;

function readDirectory(descriptor: number, file: string): Entry[] {
  const fileBytes = fs.fstatSync(descriptor).size;
  const read = reader(descriptor, file, fileBytes);
  const { count, offset, bytes } = findDirectory(read, file, fileBytes);
  if (count > maxEntries || bytes > maxDirectoryBytes) {
    throw refused(file, `lists ${count} arrays in a directory of ${bytes} bytes`);
  }
  const directory = Buffer.alloc(bytes);
  read(offset, directory);
  const entries: Entry[] = [];
  let place = 0;
  for (let index = 0; index < count; index++) {
    if (place + 46 > bytes || directory.readUInt32LE(place) !== 0x02014b50) {
      throw refused(file, `has a directory that ends before its entry ${index + 1} of ${count}`);
    }
    const nameBytes = directory.readUInt16LE(place + 28);
    const extraBytes = directory.readUInt16LE(place + 30);
    const next = place + 46 + nameBytes + extraBytes + directory.readUInt16LE(place + 32);
    if (next > bytes) throw refused(file, `has an entry ${index + 1} that leaves the directory`);
    const extraStart = place + 46 + nameBytes;
    const name = directory.toString('utf8', place + 46, extraStart);
    entries.push(
      readEntry(read, file, fileBytes, name, directory.subarray(place, next), extraStart - place, extraBytes),
    );
    place = next;
  }
  return entries;
}

/** The archive's directory is named by a record at the file's end, followed by a comment of at most 65,535 bytes. */
function findDirectory(read: Read, file: string, fileBytes: number): { count: number; offset: number; bytes: number } {
  const tail = Buffer.alloc(Math.min(fileBytes, 22 + 65_535 + 20));
  read(fileBytes - tail.length, tail);
  for (let place = tail.length - 22; place >= 0; place--) {
    if (tail.readUInt32LE(place) !== 0x06054b50) continue;
    const found = {
      count: tail.readUInt16LE(place + 10),
      bytes: tail.readUInt32LE(place + 12),
      offset: tail.readUInt32LE(place + 16),
    };
    if (found.offset !== 0xffffffff && found.count !== 0xffff) return found;
    return findLargeDirectory(read, file, tail, place - 20);
  }
  throw refused(file, `is no zip archive (${fileBytes} bytes without a directory): it may be cut short`);
}

/** Archives past 4 GB have a second record, named by a locator just before the first. */
function findLargeDirectory(
  read: Read,
  file: string,
  tail: Buffer,
  locator: number,
): { count: number; offset: number; bytes: number } {
  if (locator < 0 || tail.readUInt32LE(locator) !== 0x07064b50) throw refused(file, 'has no directory');
  const record = Buffer.alloc(56);
  read(Number(tail.readBigUInt64LE(locator + 8)), record);
  if (record.readUInt32LE(0) !== 0x06064b50) throw refused(file, 'has a directory record that is damaged');
  return {
    count: Number(record.readBigUInt64LE(32)),
    bytes: Number(record.readBigUInt64LE(40)),
    offset: Number(record.readBigUInt64LE(48)),
  };
}

function readEntry(
  read: Read,
  file: string,
  fileBytes: number,
  name: string,
  record: Buffer,
  extraStart: number,
  extraBytes: number,
): Entry {
  const method = record.readUInt16LE(10);
  if (record.readUInt16LE(8) & 1) throw refused(file, `has ${shown(name)} encrypted`);
  if (method !== 0 && method !== 8) throw refused(file, `packs ${shown(name)} by method ${method}, which is not known`);
  const sizes = largeSizes(record, extraStart, extraBytes, [
    record.readUInt32LE(24),
    record.readUInt32LE(20),
    record.readUInt32LE(42),
  ]);
  const [bytes, packedBytes, headerOffset] = sizes;
  const header = Buffer.alloc(30);
  read(headerOffset, header);
  if (header.readUInt32LE(0) !== 0x04034b50)
    throw refused(file, `has no array where its directory puts ${shown(name)}`);
  const dataOffset = headerOffset + 30 + header.readUInt16LE(26) + header.readUInt16LE(28);
  if (dataOffset + packedBytes > fileBytes) {
    throw refused(file, `is cut short: ${shown(name)} ends at byte ${dataOffset + packedBytes} of ${fileBytes}`);
  }
  if (method === 0 && packedBytes !== bytes) throw refused(file, `gives two sizes for ${shown(name)}`);
  return { name, isCompressed: method === 8, packedBytes, bytes, dataOffset };
}

/** Sizes of 4 GB and more are marked by 0xffffffff and stand, in this order, in extra field 1. */
function largeSizes(record: Buffer, extraStart: number, extraBytes: number, sizes: number[]): number[] {
  if (!sizes.includes(0xffffffff)) return sizes;
  const end = extraStart + extraBytes;
  for (let place = extraStart; place + 4 <= end; place += 4 + record.readUInt16LE(place + 2)) {
    if (record.readUInt16LE(place) !== 1) continue;
    let next = place + 4;
    return sizes.map((size) => {
      if (size !== 0xffffffff || next + 8 > end) return size;
      next += 8;
      return Number(record.readBigUInt64LE(next - 8));
    });
  }
  return sizes;
}

function readArray(descriptor: number, file: string, entry: Entry): [string, FloatTensor] {
  const fileRead = reader(descriptor, file, fs.fstatSync(descriptor).size);
  const read: Read = entry.isCompressed
    ? unpacked(fileRead, file, entry)
    : (offset, target) => fileRead(entry.dataOffset + offset, target);
  const prefix = Buffer.alloc(12);
  if (entry.bytes < 12) throw refused(file, `has only ${entry.bytes} bytes of ${shown(entry.name)}`);
  read(0, prefix);
  if (prefix.toString('latin1', 0, 6) !== '\x93NUMPY')
    throw refused(file, `has ${shown(entry.name)}, which is no array`);
  const isFirstVersion = prefix[6] === 1;
  const headerStart = isFirstVersion ? 10 : 12;
  const headerBytes = isFirstVersion ? prefix.readUInt16LE(8) : prefix.readUInt32LE(8);
  if (headerBytes > maxArrayHeaderBytes || headerStart + headerBytes > entry.bytes) {
    throw refused(file, `gives ${shown(entry.name)} a header of ${headerBytes} bytes`);
  }
  const header = Buffer.alloc(headerBytes);
  read(headerStart, header);
  const { description, shape, isReversed } = parseArrayHeader(header.toString('latin1'), file, entry.name);
  const stored = typesByDescription[description];
  if (!stored) {
    throw refused(file, `stores ${shown(entry.name)} as ${shown(description)}; float16, float32 and float64 are read`);
  }
  const size = shape.reduce((product, count) => product * count, 1);
  const dataStart = headerStart + headerBytes;
  if (dataStart + size * stored.bytes !== entry.bytes) {
    throw refused(
      file,
      `gives ${shown(entry.name)} ${entry.bytes - dataStart} bytes, but its shape [${shape}] needs ${size * stored.bytes}`,
    );
  }
  const name = entry.name.replace(/\.npy$/, '');
  const bytes: FloatTensor['bytes'] = (from, target) => read(dataStart + from, target);
  const { type } = stored;
  const place = entry.isCompressed ? null : { descriptor, offset: entry.dataOffset + dataStart };
  return [name, { name, file, type, shape, isReversed, size, place, bytes, floats: floatsBy(type, bytes) }];
}

/** The header is a Python literal with exactly these three entries. */
function parseArrayHeader(
  header: string,
  file: string,
  name: string,
): { description: string; shape: number[]; isReversed: boolean } {
  const description = /'descr'\s*:\s*'([^']{1,8})'/.exec(header)?.[1];
  const order = /'fortran_order'\s*:\s*(True|False)/.exec(header)?.[1];
  const dims = /'shape'\s*:\s*\(([\d,\s]*)\)/.exec(header)?.[1];
  if (description === undefined || order === undefined || dims === undefined) {
    throw refused(file, `has a header of ${shown(name)} that is not understood`);
  }
  const shape = dims
    .split(',')
    .filter((dim) => dim.trim() !== '')
    .map(Number);
  if (shape.length > 8 || !shape.every((dim) => Number.isSafeInteger(dim)))
    throw refused(file, `gives ${shown(name)} no usable shape`);
  const isReversed = order === 'True' && shape.length > 1;
  return { description, shape: isReversed ? shape.reverse() : shape, isReversed };
}

function unpacked(fileRead: Read, file: string, entry: Entry): Read {
  if (entry.bytes > maxUnpackedBytes || entry.packedBytes > maxUnpackedBytes) {
    throw new UserError(
      'transcoders.compressed',
      `${file} has ${shown(entry.name)} compressed, ${entry.bytes} bytes unpacked; at most ${maxUnpackedBytes} are unpacked.`,
      'Save the arrays uncompressed (numpy.savez, not savez_compressed).',
    );
  }
  const packed = Buffer.alloc(entry.packedBytes);
  fileRead(entry.dataOffset, packed);
  let data: Buffer;
  try {
    data = inflateRawSync(packed, { maxOutputLength: entry.bytes + 1 });
  } catch {
    throw refused(file, `has ${shown(entry.name)} damaged: it does not unpack to ${entry.bytes} bytes`);
  }
  if (data.length !== entry.bytes) {
    throw refused(
      file,
      `has ${shown(entry.name)} damaged: it unpacks to ${data.length} bytes instead of ${entry.bytes}`,
    );
  }
  return (offset, target) => void data.copy(target, 0, offset, offset + target.length);
}

function reader(descriptor: number, file: string, fileBytes: number): Read {
  return (offset, target) => {
    if (!(offset >= 0 && offset + target.length <= fileBytes)) {
      throw refused(file, `is cut short: bytes ${offset} to ${offset + target.length} are needed of ${fileBytes}`);
    }
    for (let done = 0; done < target.length; ) {
      const count = fs.readSync(descriptor, target, done, Math.min(target.length - done, 2 ** 30), offset + done);
      if (count === 0) throw refused(file, `is cut short at byte ${offset + done}`);
      done += count;
    }
  };
}

function refused(file: string, why: string): UserError {
  return new UserError('transcoders.refused', `${file} ${why}.`, 'Get the file again from where it was published.');
}

function shown(name: string): string {
  return JSON.stringify(name.length > 120 ? `${name.slice(0, 120)}…` : name);
}
