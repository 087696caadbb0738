import { createRequire } from 'node:module';
import path from 'node:path';
import process from 'node:process';
import { InferenceSession, listSupportedBackends, Tensor as OrtTensor } from 'onnxruntime-node';

/** Where a session runs, by the names ONNX Runtime gives its execution providers. */
export type Provider = 'cpu' | 'cuda' | 'webgpu' | 'dml' | 'coreml';

/** A tensor as sessions take and give it. On a card its data can't be read directly. */
export type Tensor = OrtTensor;

export type SessionOptions = {
  readonly provider?: Provider;
  /** Threads of one operator; 0 or absent: ONNX Runtime's own choice (one per physical core). */
  readonly threads?: number;
  /** Leave these results on the card, by output name: they can be fed to the next run without a copy. */
  readonly keepOnDevice?: readonly string[];
};

/**
 * A float32 tensor on the host. `data` may be a view of a larger array and is not copied; memory that threads share is
 * refused, because ONNX Runtime takes it under some versions of Node only.
 */
export function floatTensor(data: Float32Array, dims: readonly number[]): Tensor {
  if (data.buffer instanceof SharedArrayBuffer) throw new Error('a tensor of shared memory: it needs a private copy');
  checkSize(data, dims);
  return new OrtTensor('float32', data, dims);
}

/** Sixteen-bit storage (bfloat16 or float16 bits): graphs turn it to its type by BitCast. */
export function halfTensor(data: Uint16Array, dims: readonly number[]): Tensor {
  checkSize(data, dims);
  return new OrtTensor('uint16', data, dims);
}

export function byteTensor(data: Uint8Array, dims: readonly number[]): Tensor {
  checkSize(data, dims);
  return new OrtTensor('uint8', data, dims);
}

export function integerTensor(data: readonly number[] | Int32Array | Uint32Array, dims: readonly number[]): Tensor {
  checkSize(data, dims);
  return new OrtTensor('int64', BigInt64Array.from(data as ArrayLike<number>, BigInt), dims);
}

/** The numbers of a float32 tensor on the host: a view, valid as long as the tensor is kept. */
export function floatsOf(tensor: Tensor): Float32Array {
  if (!(tensor.data instanceof Float32Array)) throw new Error(`expected a float32 tensor, got ${tensor.type}`);
  return tensor.data;
}

/**
 * One compiled graph. `run` blocks the process's event loop while it computes; callers yield between runs.
 */
export class Session {
  readonly #session: InferenceSession;
  #released = false;

  constructor(session: InferenceSession) {
    this.#session = session;
  }

  /**
   * @param feeds   a tensor for every input of the graph
   * @param results names of the outputs that are wanted (all when absent), or tensors to write them into
   */
  async run(
    feeds: Readonly<Record<string, Tensor>>,
    results?: readonly string[] | Readonly<Record<string, Tensor | null>>,
  ): Promise<Record<string, Tensor>> {
    const outputs = results ? await this.#session.run(feeds, results) : await this.#session.run(feeds);
    return outputs as Record<string, Tensor>;
  }

  /** Frees what the session holds. Disposing twice is harmless. */
  [Symbol.dispose](): void {
    if (this.#released) return;
    this.#released = true;
    void this.#session.release();
  }
}

/**
 * Compiles a graph written by `GraphBuilder`.
 * Throws what ONNX Runtime throws: a provider that is missing, or libraries it can't load.
 */
export async function createSession(model: Uint8Array, options: SessionOptions = {}): Promise<Session> {
  const provider = options.provider ?? 'cpu';
  // CUDA's libraries would round products to 10 bits of fraction on newer cards; set before they are loaded.
  if (provider === 'cuda') process.env.NVIDIA_TF32_OVERRIDE ??= '0';
  const keepOnDevice = Object.fromEntries((options.keepOnDevice ?? []).map((name) => [name, 'gpu-buffer' as const]));
  const session = await InferenceSession.create(model, {
    executionProviders: provider === 'cpu' ? ['cpu'] : [provider, 'cpu'],
    intraOpNumThreads: options.threads ?? 0,
    graphOptimizationLevel: 'all',
    // Shapes vary from run to run: planning memory for each costs 5 to 10 %.
    enableMemPattern: false,
    logSeverityLevel: 3,
    ...(options.keepOnDevice?.length ? { preferredOutputLocation: keepOnDevice } : {}),
    // Threads that wait by spinning take the cores from whoever has work: on a busy machine a product of two threads
    // took twice the processor time and up to three times as long; on a quiet one sleeping costs nothing measurable.
    extra: { session: { intra_op: { allow_spinning: '0' } } },
  });
  return new Session(session);
}

/** Providers that this build of ONNX Runtime knows; whether they can be used shows only when a session is made. */
export function supportedProviders(): Provider[] {
  const known: readonly string[] = ['cpu', 'cuda', 'webgpu', 'dml', 'coreml'];
  return listSupportedBackends().flatMap(({ name }) => (known.includes(name) ? [name as Provider] : []));
}

/** Where ONNX Runtime's own libraries lie; providers' libraries are looked for beside them. */
export function libraryFolder(): string {
  const main = createRequire(import.meta.url).resolve('onnxruntime-node');
  return path.join(path.dirname(main), '..', 'bin', 'napi-v6', process.platform, process.arch);
}

function checkSize(data: { readonly length: number }, dims: readonly number[]): void {
  const size = dims.reduce((product, dim) => product * dim, 1);
  if (data.length !== size) throw new Error(`a tensor of shape [${dims}] needs ${size} numbers, got ${data.length}`);
}
