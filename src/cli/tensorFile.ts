import fs from 'node:fs';
import path from 'node:path';
import { SafetensorsFile, type StoredTensor } from '../engine/model/safetensors.ts';
import { UserError } from '../protocol/errors.ts';

export type NamedTensor = {
  readonly shape: readonly number[];
  readonly data: Float32Array | Int32Array | Uint8Array;
};
export type Tensors = ReadonlyMap<string, NamedTensor>;

/** Result files are read whole; these are far below it. */
const maxBytes = 2 ** 31;

/** Reads every tensor of a small file: F32, I32 and U8. */
export function readTensors(file: string): Map<string, NamedTensor> {
  using stored = new SafetensorsFile(file);
  return new Map([...stored.tensors].map(([name, tensor]) => [name, readTensor(tensor)]));
}

/** Writes tensors in the safetensors format, in the order of the map. */
export function writeTensors(file: string, tensors: Tensors): void {
  let offset = 0;
  const entries = [...tensors].map(([name, { shape, data }]) => {
    const begin = offset;
    offset += data.byteLength;
    return [name, { dtype: typeOf(data), shape, data_offsets: [begin, offset] }];
  });
  const header = Buffer.from(JSON.stringify(Object.fromEntries(entries)));
  const padded = Buffer.concat([header, Buffer.alloc((8 - (header.length % 8)) % 8, ' ')]);
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(BigInt(padded.length));
  fs.mkdirSync(path.dirname(path.resolve(file)), { recursive: true });
  const descriptor = fs.openSync(file, 'w');
  try {
    for (const part of [prefix, padded, ...[...tensors.values()].map(({ data }) => bytesOf(data))]) {
      for (let done = 0; done < part.length; )
        done += fs.writeSync(descriptor, part, done, Math.min(part.length - done, 2 ** 30));
    }
  } finally {
    fs.closeSync(descriptor);
  }
}

function readTensor(tensor: StoredTensor): NamedTensor {
  const { name, type, shape, file, bytes } = tensor;
  if (bytes > maxBytes) throw unreadable(file.path, name, `has ${bytes} bytes`);
  const body = new Uint8Array(bytes);
  file.read(tensor, body);
  if (type === 'F32') return { shape, data: new Float32Array(body.buffer) };
  if (type === 'I32') return { shape, data: new Int32Array(body.buffer) };
  if (type === 'U8') return { shape, data: body };
  throw unreadable(file.path, name, `is stored as ${type}`);
}

function unreadable(file: string, name: string, why: string): UserError {
  return new UserError(
    'tensors.refused',
    `${JSON.stringify(name.slice(0, 120))} in ${file} ${why}; F32, I32 and U8 are read, up to ${maxBytes} bytes.`,
    'Store it in one of these types.',
  );
}

function typeOf(data: NamedTensor['data']): string {
  if (data instanceof Float32Array) return 'F32';
  return data instanceof Int32Array ? 'I32' : 'U8';
}

function bytesOf(data: NamedTensor['data']): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}
