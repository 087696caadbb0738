import process from 'node:process';
import type { ModelDimensions } from '../model/languageModel.ts';
import type { Provider } from '../runtime/session.ts';
import { sentSet } from '../transcoders/sentSet.ts';
import type { TranscoderSet } from '../transcoders/transcoder.ts';
import { AttributionWorkers, workerCount } from './attributionWorkers.ts';
import { stepSize } from './batches.ts';
import { keepsCarryWeights } from './carryWeights.ts';
import { PieceSessions } from './pieceSessions.ts';
import { createSteps, type SweepSteps } from './sweepSteps.ts';
import { ThreadChoice } from './threadChoice.ts';

/** Steps with fewer multiplications than this take less time than waking a second thread. */
const fewestForThreads = 30e6;

/** The steps on all threads and, once the machine turns out to be busy, on one. */
export class SweepSessions {
  readonly #dimensions: ModelDimensions;
  readonly #provider: Provider;
  readonly #choice: ThreadChoice | null;
  /** Where nothing is to choose: small steps take one thread, other devices what they like. */
  readonly #usesAll: boolean;
  #all: SweepSteps | null = null;
  #one: SweepSteps | null = null;
  #pieces: PieceSessions | null = null;
  /** Where batches are swept beside each other; null: in this thread. */
  readonly workers: AttributionWorkers | null;

  /**
   * @param nWorkers threads to sweep on; by default as many as make sense for the model, the device and the machine
   * @param set whose features these threads encode and gather, where they can read it; null: none
   */
  constructor(
    dimensions: ModelDimensions,
    provider: Provider,
    nWorkers: number = usefulWorkers(dimensions, provider),
    set: TranscoderSet | null = null,
  ) {
    this.workers = nWorkers > 1 ? new AttributionWorkers(nWorkers, dimensions, set && sentSet(set)) : null;
    this.#dimensions = dimensions;
    this.#provider = provider;
    const isSmall = hasSmallSteps(dimensions);
    this.#choice = isSmall || provider !== 'cpu' ? null : new ThreadChoice();
    this.#usesAll = !isSmall;
  }

  /** Steps for prompts that are swept in pieces. */
  get pieces(): PieceSessions {
    this.#pieces ??= new PieceSessions(this.#provider);
    return this.#pieces;
  }

  async steps(): Promise<SweepSteps> {
    if (this.#choice?.usesAll ?? this.#usesAll) {
      this.#all ??= await createSteps(this.#dimensions, { provider: this.#provider, threads: 0 });
      return this.#all;
    }
    this.#one ??= await createSteps(this.#dimensions, { provider: this.#provider, threads: 1 });
    return this.#one;
  }

  /** Runs a piece of the sweep and learns from how it went. */
  async measure<T>(work: (steps: SweepSteps) => Promise<T>): Promise<T> {
    const steps = await this.steps();
    const begun = performance.now();
    const before = process.cpuUsage();
    const result = await work(steps);
    const { user, system } = process.cpuUsage(before);
    this.#choice?.note(performance.now() - begun, (user + system) / 1000);
    return result;
  }

  [Symbol.dispose](): void {
    for (const steps of [this.#all, this.#one]) {
      for (const session of Object.values(steps ?? {})) session[Symbol.dispose]();
    }
    this.workers?.[Symbol.dispose]();
    this.#pieces?.[Symbol.dispose]();
    this.#pieces = null;
    this.#all = null;
    this.#one = null;
  }
}

function hasSmallSteps({ dModel, nHeads, dHead }: ModelDimensions): boolean {
  return stepSize * dModel * nHeads * dHead < fewestForThreads;
}

/** Small steps are done before a worker has heard of them; large models' weights would be in memory once per worker. */
function usefulWorkers(dimensions: ModelDimensions, provider: Provider): number {
  if (provider !== 'cpu' || hasSmallSteps(dimensions) || !keepsCarryWeights(dimensions)) return 1;
  return workerCount();
}
