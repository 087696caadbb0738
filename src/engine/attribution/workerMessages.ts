import type { WireError } from '../../protocol/errors.ts';
import type { ModelDimensions } from '../model/languageModel.ts';
import type { ActiveFeatures } from '../transcoders/encode.ts';
import type { SentSet } from '../transcoders/sentSet.ts';
import type { Batch } from './batches.ts';
import type { Target } from './descent.ts';
import type { PositionRange } from './localModel.ts';
import type { NodeColumns } from './nodeRows.ts';
import type { CutRow, RowLimits } from './rowCut.ts';
import type { SharedSweep } from './sharedSweep.ts';
import type { Written } from './written.ts';
import type { SourceColumns } from './writtenBlock.ts';

export type WorkerStart = {
  readonly dimensions: ModelDimensions;
  readonly memory: SharedArrayBuffer;
  /** Null: no features are encoded or gathered there. */
  readonly set: SentSet | null;
};

/** What is answered. */
export type Question =
  /** Which features of a layer are on at some positions; `input` as encoders read it. */
  | {
      readonly type: 'encode';
      readonly layer: number;
      readonly input: Float32Array;
      readonly ranges: readonly PositionRange[];
    }
  /** What is written to a layer at some positions. */
  | {
      readonly type: 'gather';
      readonly layer: number;
      readonly columns: SourceColumns;
      readonly range: PositionRange;
      readonly isTable: boolean;
    }
  | BatchesToSweep;

export type BatchesToSweep = {
  readonly type: 'batches';
  /** To be swept side by side. */
  readonly batches: readonly Batch[];
  /** Of all batches' rows: those of the first, then of the next … */
  readonly targets: readonly Target[];
  /** [row, dModel] in shared memory */
  readonly directions: Float32Array;
};

// What is large in messages lies in shared memory.

export type ToWorker =
  | Question
  /** What the batches that follow are about, and how much of their rows is kept; then: let go of it. */
  | {
      readonly type: 'prompt';
      readonly prompt: SharedSweep;
      readonly limits: RowLimits;
      readonly nodes: NodeColumns | null;
    }
  | { readonly type: 'forget' }
  | { readonly type: 'close' };

/** By the type of the question. */
export type Answers = {
  readonly encode: ActiveFeatures;
  readonly gather: Written;
  readonly batches: { readonly rows: readonly CutRow[]; readonly multiplications: number };
};

export type FromWorker =
  | { readonly type: 'ready' }
  /** To the first question that is not answered yet. */
  | { readonly type: 'answer'; readonly answer: Answers[keyof Answers] }
  | { readonly type: 'failed'; readonly error: WireError };

/** Milliseconds that a step of a worker may take to end when the process exits. */
const longestStep = 5000;

/** What workers are told: to go on, to give up what they do, or that the process ends. */
const orders = { goOn: 0, stop: 1, end: 2 } as const;

/**
 * What the main thread and the workers tell each other without messages. A process must not end while ONNX Runtime
 * computes in a worker: it would abort. So whoever ends it waits until no worker is busy.
 */
export class WorkerState {
  readonly memory: SharedArrayBuffer;
  /** [order, number of busy workers] */
  readonly #cells: Int32Array;

  constructor(memory = new SharedArrayBuffer(8)) {
    this.memory = memory;
    this.#cells = new Int32Array(memory);
  }

  /** Workers give up what they do, until told otherwise. */
  set isStopped(value: boolean) {
    Atomics.store(this.#cells, 0, value ? orders.stop : orders.goOn);
  }

  throwIfStopped(): void {
    if (Atomics.load(this.#cells, 0) !== orders.goOn) throw new Error('stopped');
  }

  /** Does a piece of work that a process must not end in the middle of. */
  async busy<T>(work: () => Promise<T>): Promise<T> {
    Atomics.add(this.#cells, 1, 1);
    try {
      if (Atomics.load(this.#cells, 0) === orders.end) throw new Error('the process ends');
      return await work();
    } finally {
      Atomics.sub(this.#cells, 1, 1);
      Atomics.notify(this.#cells, 1);
    }
  }

  /** Blocks this thread until the workers have stopped: the process ends. */
  waitUntilIdle(): void {
    Atomics.store(this.#cells, 0, orders.end);
    for (let count = Atomics.load(this.#cells, 1); count > 0; count = Atomics.load(this.#cells, 1)) {
      if (Atomics.wait(this.#cells, 1, count, longestStep) === 'timed-out') return;
    }
  }
}
