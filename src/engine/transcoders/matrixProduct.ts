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
import type { FloatTensor, FloatType } from './floatTensor.ts';
import type { StoredMatrix } from './transcoder.ts';

/** Bytes of a stored matrix that are multiplied at a time, while as many are read. */
const usualChunkBytes = 16 * 2 ** 20;

/** Where and how products are made. */
export type ProductOptions = {
  readonly provider?: Provider;
  /** As of a session; absent: ONNX Runtime's own choice. */
  readonly threads?: number;
  readonly chunkBytes?: number;
};

/**
 * Multiplies by matrices that stay in their files: read in chunks of rows, widened to float32 inside the graph.
 * One small session per stored type and orientation, made when first needed.
 */
export class MatrixProduct {
  readonly #sessions = new Map<string, Promise<Session>>();
  readonly #options: ProductOptions;
  readonly #chunkBytes: number;
  /** One is computed with while the other is read into. */
  #buffers: [ArrayBuffer, ArrayBuffer] = [new ArrayBuffer(0), new ArrayBuffer(0)];
  /** What is being read into the second buffer. */
  #ahead: { readonly tensor: FloatTensor; readonly from: number; readonly done: Promise<void> } | null = null;

  constructor(options: ProductOptions) {
    this.#options = options;
    this.#chunkBytes = options.chunkBytes ?? usualChunkBytes;
  }

  /**
   * y[pos, out] = Σ_in x[pos, in] · matrix[out, in] · scale + bias[out]
   * @param x     [pos, in]
   * @param bias  [out]; null: none
   * @param [next] the matrix that will be multiplied by next: its reading begins while this one computes
   */
  async apply(
    x: Float32Array,
    nPos: number,
    matrix: StoredMatrix,
    bias: Float32Array | null,
    next: StoredMatrix | null = null,
  ): Promise<Float32Array> {
    const [nRows, rowLength] = matrix.tensor.shape;
    const nOut = matrix.isTransposed ? rowLength : nRows;
    const y = new Float32Array(nPos * nOut);
    const scaled = matrix.scale === 1 ? x : x.map((value) => value * matrix.scale);
    const following = next?.tensor ?? null;
    if (matrix.isTransposed) await this.#applyTransposed(scaled, nPos, matrix, bias, y, following);
    else await this.#applyByRows(scaled, nPos, matrix, bias, y, following);
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
    next: FloatTensor | null,
  ): Promise<void> {
    const [nOut, nIn] = tensor.shape;
    const session = await this.#session(tensor.type, false);
    const rows = this.#rowsAtOnce(nIn);
    for (let from = 0; from < nOut; from += rows) {
      const count = Math.min(rows, nOut - from);
      const w = await this.#read(tensor, from, count);
      if (from + count < nOut) this.#readAhead(tensor, from + count);
      else if (next) this.#readAhead(next, 0);
      const part = await session.run({
        x: floatTensor(x, [nPos, nIn]),
        w,
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
    next: FloatTensor | null,
  ): Promise<void> {
    const [nIn, nOut] = tensor.shape;
    const session = await this.#session(tensor.type, true);
    const rows = this.#rowsAtOnce(nOut);
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
      const w = await this.#read(tensor, from, count);
      if (from + count < nIn) this.#readAhead(tensor, from + count);
      else if (next) this.#readAhead(next, 0);
      const part = await session.run({
        x: floatTensor(columns, [nPos, count]),
        w,
        c: floatTensor(y, [nPos, nOut]),
      });
      y.set(floatsOf(part.y));
      part.y.dispose();
    }
  }

  /** Rows of a stored matrix. */
  async #read(tensor: FloatTensor, firstRow: number, nRows: number): Promise<Tensor> {
    const rowLength = tensor.shape[1];
    const dims = [nRows, rowLength];
    const [from, count] = [firstRow * rowLength, nRows * rowLength];
    const ahead = this.#ahead;
    this.#ahead = null;
    if (ahead?.tensor === tensor && ahead.from === from) {
      await ahead.done;
      this.#buffers.reverse();
    } else {
      // Nothing may still be written to a buffer that is used again.
      await ahead?.done.catch(() => {});
      if (tensor.type === 'F64') return floatTensor(tensor.floats(from, count), dims);
      const buffer = this.#room(0, count * bytesPer(tensor));
      if (isHalf(tensor.type)) tensor.bytes(from * 2, new Uint8Array(buffer, 0, count * 2));
      else tensor.floats(from, count, new Float32Array(buffer, 0, count));
    }
    if (isHalf(tensor.type)) return halfTensor(new Uint16Array(this.#buffers[0], 0, count), dims);
    return floatTensor(new Float32Array(this.#buffers[0], 0, count), dims);
  }

  /** Begins to read as many rows as are read at once. */
  #readAhead(tensor: FloatTensor, firstRow: number): void {
    if (!tensor.load || tensor.type === 'F64' || this.#ahead) return;
    const [nRows, rowLength] = tensor.shape;
    const from = firstRow * rowLength;
    const count = Math.min(this.#rowsAtOnce(rowLength), nRows - firstRow) * rowLength;
    const bytes = count * bytesPer(tensor);
    const done = tensor.load(from * bytesPer(tensor), new Uint8Array(this.#room(1, bytes), 0, bytes));
    // Whoever needs it hears of an error.
    done.catch(() => {});
    this.#ahead = { tensor, from, done };
  }

  /** One of the buffers, with room for so many bytes. */
  #room(index: 0 | 1, bytes: number): ArrayBuffer {
    if (this.#buffers[index].byteLength < bytes) this.#buffers[index] = new ArrayBuffer(bytes);
    return this.#buffers[index];
  }

  #rowsAtOnce(rowLength: number): number {
    return Math.max(1, Math.floor(this.#chunkBytes / (rowLength * 4)));
  }

  #session(type: FloatType, isTransposed: boolean): Promise<Session> {
    const key = `${type === 'F64' ? 'F32' : type} ${isTransposed}`;
    const known = this.#sessions.get(key);
    if (known) return known;
    const { provider, threads } = this.#options;
    const made = createSession(productGraph(type, isTransposed), { provider, threads });
    this.#sessions.set(key, made);
    return made;
  }
}

function isHalf(type: FloatType): boolean {
  return type === 'BF16' || type === 'F16';
}

function bytesPer(tensor: FloatTensor): number {
  return isHalf(tensor.type) ? 2 : 4;
}

function productGraph(type: FloatType, isTransposed: boolean): Uint8Array {
  const graph = new GraphBuilder();
  const x = graph.input('x', 'float32', ['pos', 'in']);
  const stored = graph.input('w', isHalf(type) ? 'uint16' : 'float32', isTransposed ? ['in', 'out'] : ['out', 'in']);
  const c = graph.input('c', 'float32', ['rows', 'out']);
  const w = isHalf(type)
    ? graph.node('Cast', [graph.node('BitCast', [stored], { to: type === 'BF16' ? 16 : 10 })], { to: 1 })
    : stored;
  graph.node('Gemm', [x, w, c], { transB: isTransposed ? 0 : 1 }, 'y');
  graph.output('y', 'float32', ['pos', 'out']);
  return graph.encode();
}
