import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { mostSweepThreads } from '../../protocol/limits.ts';
import type { ModelDimensions } from '../model/languageModel.ts';
import type { Batch } from './batches.ts';
import type { Target } from './descent.ts';
import type { CutRow, RowLimits } from './rowCut.ts';
import type { SharedSweep } from './sharedSweep.ts';
import { type FromWorker, type ToWorker, type WorkerStart, WorkerState } from './workerMessages.ts';

/** Of a worker's memory for short-lived objects: it makes few, and what is reserved for them is soon used. */
const maxYoungGenerationSizeMb = 4;

/** How many batches can be swept at once on this machine. */
export function workerCount(): number {
  return Math.min(os.availableParallelism(), mostSweepThreads);
}

/** What a worker makes of a job. */
export type Swept = { readonly rows: readonly CutRow[]; readonly multiplications: number };

/**
 * Threads that sweep batches, each alone on a core: two batches on two cores take far less time than one after the other
 * on both, whose every product would end when the slower core ends.
 */
export class AttributionWorkers {
  readonly #state = new WorkerState();
  readonly #lanes: Lane[];
  readonly #onExit = () => this.#state.waitUntilIdle();

  constructor(count: number, dimensions: ModelDimensions) {
    const start: WorkerStart = { dimensions, memory: this.#state.memory };
    this.#lanes = Array.from({ length: count }, () => new Lane(start));
    process.once('exit', this.#onExit);
  }

  /** How many batches are swept at once. */
  get count(): number {
    return this.#lanes.length;
  }

  /**
   * Sweeps batches of one prompt, as many at a time as there are workers. When `next` or `done` throws, the rest is
   * given up and the error passed on.
   * @param next gives what to sweep; null: there is none left
   * @param done takes what came of it
   */
  async sweep<Job extends SweepJob>(
    prompt: SharedSweep,
    limits: RowLimits,
    next: () => Promise<Job | null>,
    done: (job: Job, swept: Swept) => void,
  ): Promise<void> {
    const run = async (lane: Lane) => {
      lane.begin(prompt, limits);
      try {
        for (let job = await next(); job; job = await next()) {
          done(job, await lane.sweep(job));
        }
      } catch (error) {
        // The others stop at their next layer; the first error is the one that counts.
        this.#state.isStopped = true;
        throw error;
      } finally {
        lane.end();
      }
    };
    let first: { error: unknown } | null = null;
    const note = (error: unknown) => {
      first ??= { error };
    };
    await Promise.all(this.#lanes.map((lane) => run(lane).catch(note)));
    this.#state.isStopped = false;
    if (first !== null) throw (first as { error: unknown }).error;
  }

  /** Ends the workers. */
  [Symbol.dispose](): void {
    process.off('exit', this.#onExit);
    for (const lane of this.#lanes) lane[Symbol.dispose]();
  }
}

/** Batches to sweep side by side. */
export type SweepJob = {
  readonly batches: readonly Batch[];
  /** By row, as the batches number them. */
  readonly targets: readonly Target[];
  readonly directions: Float32Array;
};

/** One worker, with at most one job at a time. Keeps the process alive only while it is used. */
class Lane {
  readonly #worker: Worker;
  #waiting: { resolve: (swept: Swept) => void; reject: (error: Error) => void } | null = null;
  #failure: Error | null = null;

  constructor(start: WorkerStart) {
    this.#worker = new Worker(workerFile(), { workerData: start, resourceLimits: { maxYoungGenerationSizeMb } });
    this.#worker.on('message', (message: FromWorker) => this.#take(message));
    this.#worker.on('error', (error) => this.#fail(error instanceof Error ? error : new Error(String(error))));
    this.#worker.on('exit', (code) => this.#fail(new Error(`a thread of the sweep ended with code ${code}`)));
    this.#worker.unref();
  }

  begin(prompt: SharedSweep, limits: RowLimits): void {
    this.#worker.ref();
    this.#post({ type: 'prompt', prompt, limits });
  }

  sweep({ batches, targets, directions }: SweepJob): Promise<Swept> {
    return new Promise((resolve, reject) => {
      if (this.#failure) throw this.#failure;
      this.#waiting = { resolve, reject };
      this.#post({ type: 'batches', batches, targets, directions });
    });
  }

  end(): void {
    this.#post({ type: 'forget' });
    this.#worker.unref();
  }

  [Symbol.dispose](): void {
    this.#post({ type: 'close' });
  }

  #post(message: ToWorker): void {
    this.#worker.postMessage(message, message.type === 'batches' ? [message.directions.buffer as ArrayBuffer] : []);
  }

  #take(message: FromWorker): void {
    if (message.type === 'ready') return;
    const waiting = this.#waiting;
    this.#waiting = null;
    if (message.type === 'swept') waiting?.resolve(message);
    else waiting?.reject(new Error(message.message));
  }

  #fail(error: Error): void {
    this.#failure = error;
    this.#waiting?.reject(error);
    this.#waiting = null;
  }
}

/** The worker's entry beside this file: a bundle beside the bundle, or the source beside the source. */
function workerFile(): string {
  const own = fileURLToPath(import.meta.url);
  return path.join(path.dirname(own), `attributionWorker${path.extname(own)}`);
}
