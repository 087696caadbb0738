import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { fromWire } from '../../protocol/errors.ts';
import { mostSweepThreads } from '../../protocol/limits.ts';
import type { ModelDimensions } from '../model/languageModel.ts';
import type { SentSet } from '../transcoders/sentSet.ts';
import type { RowTaker } from './directEffects.ts';
import type { SharedSweep } from './sharedSweep.ts';
import {
  type Answers,
  type BatchesToSweep,
  type FromWorker,
  type Question,
  type ToWorker,
  type WorkerStart,
  WorkerState,
} from './workerMessages.ts';

/** Of a worker's memory for short-lived objects: it makes few, and what is reserved for them is soon used. */
const maxYoungGenerationSizeMb = 4;

/** How many batches can be swept at once on this machine. */
export function workerCount(): number {
  return Math.min(os.availableParallelism(), mostSweepThreads);
}

/** What a worker makes of a job. */
export type Swept = Answers['batches'];

/** Questions that one worker is sent ahead: while it works on the first, the answer to come need not be taken at once. */
const mostAhead = 2;

/**
 * Threads that do an attribution's work, each alone on a core: two layers or batches on two cores take far less time than
 * one after the other on both, whose every product would end when the slower core ends.
 */
export class AttributionWorkers {
  /** Whether they can encode and gather features. */
  readonly hasSet: boolean;
  readonly #state = new WorkerState();
  readonly #lanes: Lane[];
  /** Questions that wait for a worker. */
  readonly #queue: { send: (lane: Lane) => void; reject: (error: Error) => void }[] = [];
  readonly #onExit = () => this.#state.waitUntilIdle();

  /** @param set whose features they encode and gather; null: none */
  constructor(count: number, dimensions: ModelDimensions, set: SentSet | null = null) {
    const start: WorkerStart = { dimensions, memory: this.#state.memory, set };
    this.hasSet = set !== null;
    this.#lanes = Array.from({ length: count }, () => new Lane(start));
    process.once('exit', this.#onExit);
  }

  /** How many batches are swept at once. */
  get count(): number {
    return this.#lanes.length;
  }

  /** Asks whichever worker has least to do, once it has little. Fails as the work does, or once `stop` was called. */
  async ask<Asked extends Question>(question: Asked): Promise<Answers[Asked['type']]> {
    const lane = this.#lanes.reduce((least, each) => (each.nAsked < least.nAsked ? each : least));
    if (lane.nAsked < mostAhead) return this.#askLane(lane, question);
    return new Promise((resolve, reject) => {
      this.#queue.push({ send: (free) => this.#askLane(free, question).then(resolve, reject), reject });
    });
  }

  async #askLane<Asked extends Question>(lane: Lane, question: Asked): Promise<Answers[Asked['type']]> {
    try {
      return await lane.ask(question);
    } finally {
      if (lane.nAsked < mostAhead) this.#queue.shift()?.send(lane);
    }
  }

  /** Gives up what was asked and is not answered; resolves when no worker is at it any more. */
  async stop(): Promise<void> {
    for (const { reject } of this.#queue.splice(0)) reject(new Error('stopped'));
    this.#state.isStopped = true;
    await Promise.all(this.#lanes.map((lane) => lane.untilIdle()));
    this.#state.isStopped = false;
  }

  /**
   * Sweeps batches of one prompt, as many at a time as there are workers. When `next` or `done` throws, the rest is
   * given up and the error passed on.
   * @param rows how much of each row is kept
   * @param next gives what to sweep; null: there is none left
   * @param done takes what came of it
   */
  async sweep<Job extends SweepJob>(
    prompt: SharedSweep,
    rows: RowsKept,
    next: () => Promise<Job | null>,
    done: (job: Job, swept: Swept) => void,
  ): Promise<void> {
    const run = async (lane: Lane) => {
      lane.begin(prompt, rows);
      try {
        for (let job = await next(); job; job = await next()) {
          const { batches, targets, directions } = job;
          done(job, await lane.ask({ type: 'batches', batches, targets, directions }));
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

type RowsKept = Pick<RowTaker, 'limits' | 'nodes'>;

/** Batches to sweep side by side. */
export type SweepJob = Pick<BatchesToSweep, 'batches' | 'targets' | 'directions'>;

/** One worker. Keeps the process alive only while it is used. */
class Lane {
  readonly #worker: Worker;
  /** Whoever asked, in order. */
  #asked: { resolve: (answer: never) => void; reject: (error: Error) => void }[] = [];
  #onIdle: (() => void)[] = [];
  #isSweeping = false;
  #failure: Error | null = null;

  constructor(start: WorkerStart) {
    this.#worker = new Worker(workerFile(), { workerData: start, resourceLimits: { maxYoungGenerationSizeMb } });
    this.#worker.on('message', (message: FromWorker) => this.#take(message));
    this.#worker.on('error', (error) => this.#fail(error instanceof Error ? error : new Error(String(error))));
    this.#worker.on('exit', (code) => this.#fail(new Error(`a thread of the attribution ended with code ${code}`)));
    this.#worker.unref();
  }

  /** Questions that are not answered yet. */
  get nAsked(): number {
    return this.#asked.length;
  }

  /** Answers come in the order of the questions. */
  ask<Asked extends Question>(question: Asked): Promise<Answers[Asked['type']]> {
    return new Promise((resolve, reject) => {
      if (this.#failure) throw this.#failure;
      this.#asked.push({ resolve, reject });
      this.#worker.ref();
      this.#post(question);
    });
  }

  untilIdle(): Promise<void> {
    return new Promise((resolve) => {
      this.#onIdle.push(resolve);
      this.#rest();
    });
  }

  begin(prompt: SharedSweep, { limits, nodes = null }: RowsKept): void {
    this.#isSweeping = true;
    this.#worker.ref();
    this.#post({ type: 'prompt', prompt, limits, nodes });
  }

  end(): void {
    this.#post({ type: 'forget' });
    this.#isSweeping = false;
    this.#rest();
  }

  [Symbol.dispose](): void {
    this.#post({ type: 'close' });
  }

  #post(message: ToWorker): void {
    // Nothing is moved: once a buffer has been, each access to any typed array checks whether its own was, for good.
    this.#worker.postMessage(message);
  }

  #take(message: FromWorker): void {
    if (message.type === 'ready') return;
    const asked = this.#asked.shift();
    if (message.type === 'answer') asked?.resolve(message.answer as never);
    else asked?.reject(fromWire(message.error));
    this.#rest();
  }

  #fail(error: Error): void {
    this.#failure = error;
    for (const { reject } of this.#asked.splice(0)) reject(error);
    this.#rest();
  }

  /** When nothing is left to do. */
  #rest(): void {
    if (this.#asked.length > 0) return;
    if (!this.#isSweeping) this.#worker.unref();
    for (const resolve of this.#onIdle.splice(0)) resolve();
  }
}

/** The worker's entry beside this file: a bundle beside the bundle, or the source beside the source. */
function workerFile(): string {
  const own = fileURLToPath(import.meta.url);
  return path.join(path.dirname(own), `attributionWorker${path.extname(own)}`);
}
