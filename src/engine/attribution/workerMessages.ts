import type { ModelDimensions } from '../model/languageModel.ts';
import type { Batch } from './batches.ts';
import type { Target } from './descent.ts';
import type { CutRow, RowLimits } from './rowCut.ts';
import type { SharedSweep } from './sharedSweep.ts';

export type WorkerStart = { readonly dimensions: ModelDimensions; readonly memory: SharedArrayBuffer };

export type ToWorker =
  /** What the batches that follow are about, and how much of their rows is kept; then: let go of it. */
  | { readonly type: 'prompt'; readonly prompt: SharedSweep; readonly limits: RowLimits }
  | { readonly type: 'forget' }
  | {
      readonly type: 'batches';
      /** To be swept side by side. */
      readonly batches: readonly Batch[];
      /** Of all batches' rows: those of the first, then of the next … */
      readonly targets: readonly Target[];
      /** [row, dModel] */
      readonly directions: Float32Array;
    }
  | { readonly type: 'close' };

export type FromWorker =
  | { readonly type: 'ready' }
  | { readonly type: 'swept'; readonly rows: readonly CutRow[]; readonly multiplications: number }
  | { readonly type: 'failed'; readonly message: string };

/** Milliseconds that a step of a worker may take to end when the process exits. */
const longestStep = 5000;

/**
 * What the main thread and the workers tell each other without messages. A process must not end while ONNX Runtime
 * computes in a worker: it would abort. So whoever ends it waits until no worker is busy.
 */
export class WorkerState {
  readonly memory: SharedArrayBuffer;
  /** [1: stop, number of busy workers] */
  readonly #cells: Int32Array;

  constructor(memory = new SharedArrayBuffer(8)) {
    this.memory = memory;
    this.#cells = new Int32Array(memory);
  }

  /** Workers give up what they do, until told otherwise. */
  set isStopped(value: boolean) {
    Atomics.store(this.#cells, 0, value ? 1 : 0);
  }

  throwIfStopped(): void {
    if (Atomics.load(this.#cells, 0) !== 0) throw new Error('stopped');
  }

  /** Does a piece of work that a process must not end in the middle of. */
  async busy<T>(work: () => Promise<T>): Promise<T> {
    Atomics.add(this.#cells, 1, 1);
    try {
      this.throwIfStopped();
      return await work();
    } finally {
      Atomics.sub(this.#cells, 1, 1);
      Atomics.notify(this.#cells, 1);
    }
  }

  /** Blocks this thread until the workers have stopped. */
  waitUntilIdle(): void {
    this.isStopped = true;
    for (let count = Atomics.load(this.#cells, 1); count > 0; count = Atomics.load(this.#cells, 1)) {
      if (Atomics.wait(this.#cells, 1, count, longestStep) === 'timed-out') return;
    }
  }
}
