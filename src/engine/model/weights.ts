import { mostHeldModelBytes } from '../../protocol/limits.ts';
import { floatTensor, halfTensor, type Tensor } from '../runtime/session.ts';
import type { ModelConfig } from './config.ts';
import type { LayerRole } from './families.ts';
import type { LayerWeight, ModelWeight, Weights } from './languageModel.ts';
import type { ModelLayout } from './layout.ts';
import { readFloats, type StoredTensor } from './safetensors.ts';

/** How a graph takes a matrix: as float32, or as the sixteen-bit values that the file holds. */
export type MatrixType = 'float32' | 'float16' | 'bfloat16';

/** A matrix ready to be fed, valid until the next one of the same role is asked for. */
export type Matrix = { readonly type: MatrixType; readonly tensor: Tensor };

/** Models above it (about a billion parameters) are read from their files even for many runs in a row. */
const mostHeldBytes = 4 * 2 ** 30;

/**
 * A model's weights where they lie. Matrices are read into one buffer per role, which all layers share; while they are
 * held, each is widened to float32 once and kept.
 */
export class WeightStore implements Weights {
  readonly #config: ModelConfig;
  readonly #layout: ModelLayout;
  readonly #buffers = new Map<string, ArrayBuffer>();
  /** By buffer: what is being read into it. */
  readonly #reads = new Map<string, { readonly stored: StoredTensor; readonly done: Promise<Matrix> }>();
  readonly #held = new Map<StoredTensor, Float32Array>();
  readonly #gains = new Map<StoredTensor, Float32Array>();
  #holds: number;

  /** @param heldBytes weights that take no more than this as float32 are kept so */
  constructor(config: ModelConfig, layout: ModelLayout, heldBytes = mostHeldModelBytes) {
    this.#config = config;
    this.#layout = layout;
    this.#holds = floatBytes(layout) <= heldBytes ? 1 : 0;
  }

  /** Keeps every matrix that is used in memory until the result is disposed of: for many runs of the same model. */
  hold(): Disposable {
    if (floatBytes(this.#layout) > mostHeldBytes) return { [Symbol.dispose]: () => {} };
    this.#holds++;
    let isOpen = true;
    return {
      [Symbol.dispose]: () => {
        if (!isOpen) return;
        isOpen = false;
        if (--this.#holds === 0) this.#held.clear();
      },
    };
  }

  /** Null when the layer has no such tensor. */
  stored(layer: number, role: LayerRole): StoredTensor | null {
    return this.#layout.layers[layer]?.tensors.get(role) ?? null;
  }

  layer(layer: number, role: LayerWeight, target?: Float32Array): Float32Array | null {
    const stored = this.stored(layer, role);
    if (!stored) return null;
    const values = stored.shape.length === 1 ? this.gain(layer, role) : this.#held.get(stored);
    if (!values) return readFloats(stored, 0, stored.size, target);
    if (!target) return values;
    target.set(values!);
    return target;
  }

  model(role: ModelWeight, from?: number, to?: number, target?: Float32Array): Float32Array {
    const stored = this.#layout[role];
    if (role === 'finalNorm') return this.#gain(stored!);
    const [rows, width] = stored.shape as [number, number];
    const [first, last] = [from ?? 0, to ?? rows];
    if (!(first >= 0 && first <= last && last <= rows))
      throw new Error(`rows ${first} to ${last} of ${rows} of the ${role}`);
    const held = this.#held.get(stored)?.subarray(first * width, last * width);
    if (!held) return readFloats(stored, first * width, (last - first) * width, target);
    if (!target) return held;
    target.set(held);
    return target;
  }

  /** The type in which `matrix` gives this tensor, without reading it. */
  matrixType(stored: StoredTensor): MatrixType {
    if (this.#holds > 0 || stored.type === 'F32') return 'float32';
    return stored.type === 'F16' ? 'float16' : 'bfloat16';
  }

  /** A layer's projection, to be fed to a graph. Several may be asked for at a time, of different roles. */
  async matrix(layer: number, role: LayerRole): Promise<Matrix> {
    const stored = this.stored(layer, role);
    if (!stored) throw new Error(`layer ${layer} has no ${role}`);
    return this.#matrix(stored, role, 0, stored.shape[0]!);
  }

  /**
   * Begins to read projections that `matrix` will be asked for next, while something else is computed. Their buffers must
   * be free by now; what is not asked for after all is read in vain.
   */
  readAhead(layer: number, roles: readonly LayerRole[]): void {
    if (this.#holds > 0) return;
    for (const role of roles) {
      const stored = this.stored(layer, role);
      // Two readings into the same buffer would mix.
      if (!stored || this.#reads.has(role)) continue;
      const done = this.#load(stored, role, 0, stored.shape[0]!);
      // Whoever asks for it hears of an error.
      done.catch(() => {});
      this.#reads.set(role, { stored, done });
    }
  }

  /**
   * The unembedding some rows at a time, to be fed to a graph. Each part is good until the next is asked for, which is
   * read meanwhile.
   */
  async *unembedding(rowsAtOnce: number): AsyncGenerator<Matrix & { readonly from: number; readonly to: number }> {
    const { unembedding } = this.#layout;
    const nRows = unembedding.shape[0]!;
    const part = (from: number, buffer: number) => {
      const read = this.#matrix(unembedding, `unembedding ${buffer}`, from, Math.min(nRows, from + rowsAtOnce));
      // Whoever takes it hears of an error.
      read.catch(() => {});
      return read;
    };
    let next = part(0, 0);
    let buffer = 0;
    try {
      for (let from = 0; from < nRows; from += rowsAtOnce) {
        const matrix = await next;
        buffer = 1 - buffer;
        if (from + rowsAtOnce < nRows) next = part(from + rowsAtOnce, buffer);
        yield { ...matrix, from, to: Math.min(nRows, from + rowsAtOnce) };
      }
    } finally {
      // Nothing may still be written to a buffer that is used again.
      await next.catch(() => {});
    }
  }

  /** A vector of a layer (norm gain as the factor that multiplies, bias, sinks), kept once read; null when absent. */
  gain(layer: number, role: LayerRole): Float32Array | null {
    const stored = this.stored(layer, role);
    if (!stored) return null;
    return /Norm$/.test(role) ? this.#gain(stored) : this.#vector(stored);
  }

  /** A buffer of that many float32 that belongs to `use` and is handed out again and again. */
  scratch(use: string, size: number): Float32Array {
    return new Float32Array(this.#buffer(use, size * 4), 0, size);
  }

  get layout(): ModelLayout {
    return this.#layout;
  }

  async #matrix(stored: StoredTensor, use: string, from: number, to: number): Promise<Matrix> {
    const width = stored.shape[1]!;
    const dims = [to - from, width];
    if (this.#holds > 0) {
      const values = this.#held.get(stored) ?? readFloats(stored);
      this.#held.set(stored, values);
      return { type: 'float32', tensor: floatTensor(values.subarray(from * width, to * width), dims) };
    }
    const read = this.#reads.get(use);
    this.#reads.delete(use);
    if (read?.stored === stored) return read.done;
    await read?.done.catch(() => {});
    return this.#load(stored, use, from, to);
  }

  async #load(stored: StoredTensor, use: string, from: number, to: number): Promise<Matrix> {
    const width = stored.shape[1]!;
    const dims = [to - from, width];
    const count = (to - from) * width;
    const bytesPer = stored.type === 'F32' ? 4 : 2;
    const buffer = this.#buffer(use, count * bytesPer);
    await stored.file.load(stored, new Uint8Array(buffer, 0, count * bytesPer), from * width * bytesPer);
    const type = this.matrixType(stored);
    if (type === 'float32') return { type, tensor: floatTensor(new Float32Array(buffer, 0, count), dims) };
    return { type, tensor: halfTensor(new Uint16Array(buffer, 0, count), dims) };
  }

  #gain(stored: StoredTensor): Float32Array {
    let gain = this.#gains.get(stored);
    if (!gain) {
      const offset = this.#config.family.normGainOffset;
      gain = readFloats(stored).map((value) => value + offset);
      this.#gains.set(stored, gain);
    }
    return gain;
  }

  #vector(stored: StoredTensor): Float32Array {
    const vector = this.#gains.get(stored) ?? readFloats(stored);
    this.#gains.set(stored, vector);
    return vector;
  }

  #buffer(use: string, bytes: number): ArrayBuffer {
    const known = this.#buffers.get(use);
    if (known && known.byteLength >= bytes) return known;
    const buffer = new ArrayBuffer(bytes);
    this.#buffers.set(use, buffer);
    return buffer;
  }
}

/** Bytes of all matrices as float32; experts count as too many, they are never held. */
function floatBytes(layout: ModelLayout): number {
  let size = layout.embedding.size + layout.unembedding.size;
  for (const layer of layout.layers) {
    for (const tensor of layer.tensors.values()) size += tensor.size;
  }
  return size * 4;
}
