import { GraphBuilder } from '../runtime/onnxModel.ts';
import {
  createSession,
  floatsOf,
  floatTensor,
  halfTensor,
  type Provider,
  type Session,
  type Tensor,
} from '../runtime/session.ts';
import type { FloatType } from './floatTensor.ts';
import type { StoredMatrix } from './transcoder.ts';

/** Bytes of a stored matrix that are in memory at a time. */
const chunkBytes = 16 * 2 ** 20;

/**
 * Multiplies by matrices that stay in their files: read in chunks of rows, widened to float32 inside the graph.
 * One small session per stored type and orientation, made when first needed.
 */
export class MatrixProduct {
  readonly #sessions = new Map<string, Promise<Session>>();
  readonly #provider: Provider;
  #buffer = new ArrayBuffer(0);

  constructor(provider: Provider) {
    this.#provider = provider;
  }

  /**
   * y[pos, out] = Σ_in x[pos, in] · matrix[out, in] · scale + bias[out]
   * @param x     [pos, in]
   * @param bias  [out]; null: none
   * @param [into] [pos, out] to write to
   */
  async apply(
    x: Float32Array,
    nPos: number,
    matrix: StoredMatrix,
    bias: Float32Array | null,
    into?: Float32Array,
  ): Promise<Float32Array> {
    const [nRows, rowLength] = matrix.tensor.shape;
    const nOut = matrix.isTransposed ? rowLength : nRows;
    const y = into ?? new Float32Array(nPos * nOut);
    const scaled = matrix.scale === 1 ? x : x.map((value) => value * matrix.scale);
    if (matrix.isTransposed) await this.#applyTransposed(scaled, nPos, matrix, bias, y);
    else await this.#applyByRows(scaled, nPos, matrix, bias, y);
    return y;
  }

  /** Frees the sessions. */
  [Symbol.dispose](): void {
    for (const session of this.#sessions.values()) void session.then((ready) => ready[Symbol.dispose]());
    this.#sessions.clear();
  }

  /** [out, in] as stored: each chunk of rows gives a range of outputs. */
  async #applyByRows(
    x: Float32Array,
    nPos: number,
    { tensor }: StoredMatrix,
    bias: Float32Array | null,
    y: Float32Array,
  ): Promise<void> {
    const [nOut, nIn] = tensor.shape;
    const session = await this.#session(tensor.type, false);
    const rows = Math.max(1, Math.floor(chunkBytes / (nIn * 4)));
    for (let from = 0; from < nOut; from += rows) {
      const count = Math.min(rows, nOut - from);
      const part = await session.run({
        x: floatTensor(x, [nPos, nIn]),
        w: this.#read(tensor, from * nIn, [count, nIn]),
        c: floatTensor(bias ? bias.subarray(from, from + count) : new Float32Array(count), [1, count]),
      });
      const values = floatsOf(part.y);
      for (let pos = 0; pos < nPos; pos++) {
        y.set(values.subarray(pos * count, (pos + 1) * count), pos * nOut + from);
      }
      part.y.dispose();
    }
  }

  /** [in, out] as stored: each chunk of rows adds to all outputs. */
  async #applyTransposed(
    x: Float32Array,
    nPos: number,
    { tensor }: StoredMatrix,
    bias: Float32Array | null,
    y: Float32Array,
  ): Promise<void> {
    const [nIn, nOut] = tensor.shape;
    const session = await this.#session(tensor.type, true);
    const rows = Math.max(1, Math.floor(chunkBytes / (nOut * 4)));
    for (let pos = 0; pos < nPos; pos++) {
      if (bias) y.set(bias, pos * nOut);
      else y.fill(0, pos * nOut, (pos + 1) * nOut);
    }
    for (let from = 0; from < nIn; from += rows) {
      const count = Math.min(rows, nIn - from);
      const columns = new Float32Array(nPos * count);
      for (let pos = 0; pos < nPos; pos++) {
        columns.set(x.subarray(pos * nIn + from, pos * nIn + from + count), pos * count);
      }
      const part = await session.run({
        x: floatTensor(columns, [nPos, count]),
        w: this.#read(tensor, from * nOut, [count, nOut]),
        c: floatTensor(y, [nPos, nOut]),
      });
      y.set(floatsOf(part.y));
      part.y.dispose();
    }
  }

  #read(tensor: StoredMatrix['tensor'], from: number, dims: readonly [number, number]): Tensor {
    const count = dims[0] * dims[1];
    const isHalf = tensor.type === 'BF16' || tensor.type === 'F16';
    const bytes = count * (isHalf ? 2 : 4);
    if (this.#buffer.byteLength < bytes) this.#buffer = new ArrayBuffer(bytes);
    if (!isHalf) return floatTensor(tensor.floats(from, count, new Float32Array(this.#buffer, 0, count)), dims);
    tensor.bytes(from * 2, new Uint8Array(this.#buffer, 0, bytes));
    return halfTensor(new Uint16Array(this.#buffer, 0, count), dims);
  }

  #session(type: FloatType, isTransposed: boolean): Promise<Session> {
    const key = `${type === 'F64' ? 'F32' : type} ${isTransposed}`;
    const known = this.#sessions.get(key);
    if (known) return known;
    const made = createSession(productGraph(type, isTransposed), { provider: this.#provider });
    this.#sessions.set(key, made);
    return made;
  }
}

function productGraph(type: FloatType, isTransposed: boolean): Uint8Array {
  const graph = new GraphBuilder();
  const x = graph.input('x', 'float32', ['pos', 'in']);
  const isHalf = type === 'BF16' || type === 'F16';
  const stored = graph.input('w', isHalf ? 'uint16' : 'float32', isTransposed ? ['in', 'out'] : ['out', 'in']);
  const c = graph.input('c', 'float32', ['rows', 'out']);
  const w = isHalf
    ? graph.node('Cast', [graph.node('BitCast', [stored], { to: type === 'BF16' ? 16 : 10 })], { to: 1 })
    : stored;
  graph.node('Gemm', [x, w, c], { transB: isTransposed ? 0 : 1 }, 'y');
  graph.output('y', 'float32', ['pos', 'out']);
  return graph.encode();
}
