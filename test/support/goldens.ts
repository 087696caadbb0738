import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Reference results of the peer; the README in the folder says what every tensor means. */
export const goldensFolder = join(import.meta.dirname, '..', 'fixtures', 'goldens');

export type GoldenTensor = {
  readonly shape: readonly number[];
  readonly data: Float32Array | Int32Array | Uint8Array;
};

/** Names of the cases, sorted; with results of their own when `file` is given. */
export function goldenCases(file = 'case.json'): string[] {
  const names = readdirSync(goldensFolder).filter((name) => existsSync(join(goldensFolder, name, file)));
  if (names.length === 0) throw new Error(`no golden case has a ${file}`);
  return names.sort();
}

export function goldenJson(name: string, file: 'case.json' | 'golden.json'): Record<string, unknown> {
  return JSON.parse(readFileSync(join(goldensFolder, name, file), 'utf8'));
}

export function goldenTensors(name: string, file = 'golden.safetensors'): Map<string, GoldenTensor> {
  return tensorsIn(join(goldensFolder, name, file));
}

/** Reads a small, trusted safetensors file whole: a reader of its own, so that it can judge the engine's. */
export function tensorsIn(file: string): Map<string, GoldenTensor> {
  const bytes = readFileSync(file);
  const headerLength = Number(bytes.readBigUInt64LE(0));
  const header: Record<string, { dtype: string; shape: number[]; data_offsets: [number, number] }> = JSON.parse(
    bytes.toString('utf8', 8, 8 + headerLength),
  );
  const tensors = new Map<string, GoldenTensor>();
  for (const [key, { dtype, shape, data_offsets }] of Object.entries(header)) {
    if (key === '__metadata__') continue;
    const body = Uint8Array.from(
      bytes.subarray(8 + headerLength + data_offsets[0], 8 + headerLength + data_offsets[1]),
    );
    tensors.set(key, { shape, data: decode(dtype, body.buffer) });
  }
  return tensors;
}

export function floats(tensors: Map<string, GoldenTensor>, key: string): Float32Array {
  const data = tensors.get(key)?.data;
  if (!(data instanceof Float32Array)) throw new Error(`golden has no float tensor ${key}`);
  return data;
}

export function integers(tensors: Map<string, GoldenTensor>, key: string): Int32Array {
  const data = tensors.get(key)?.data;
  if (!(data instanceof Int32Array)) throw new Error(`golden has no integer tensor ${key}`);
  return data;
}

function decode(dtype: string, buffer: ArrayBuffer): Float32Array | Int32Array | Uint8Array {
  if (dtype === 'F32') return new Float32Array(buffer);
  if (dtype === 'I32') return new Int32Array(buffer);
  if (dtype === 'U8') return new Uint8Array(buffer);
  throw new Error(`golden tensor of type ${dtype}`);
}
