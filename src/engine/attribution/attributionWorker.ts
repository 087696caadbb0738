import { parentPort, workerData } from 'node:worker_threads';
import { SweepBuffers, type SweepPrompt } from './descent.ts';
import { type CutRow, RowCutter, type RowLimits } from './rowCut.ts';
import { promptFromShared, type SharedSweep } from './sharedSweep.ts';
import { sweepBatches } from './sweepBatch.ts';
import { createSteps, type SweepSteps } from './sweepSteps.ts';
import { type FromWorker, type ToWorker, type WorkerStart, WorkerState } from './workerMessages.ts';

/**
 * A thread that sweeps batches on one core: what `AttributionWorkers` starts. It holds compiled steps and scratch buffers, and
 * a prompt only while that is swept.
 */
class AttributionWorker {
  readonly #state: WorkerState;
  readonly #steps: SweepSteps;
  #prompt: SweepPrompt | null = null;
  #cutter: RowCutter | null = null;
  #buffers = new SweepBuffers();

  constructor(state: WorkerState, steps: SweepSteps) {
    this.#state = state;
    this.#steps = steps;
  }

  setPrompt(shared: SharedSweep, limits: RowLimits): void {
    this.#prompt = promptFromShared(shared);
    this.#cutter = new RowCutter(shared.plan, limits);
  }

  forgetPrompt(): void {
    this.#prompt = null;
    this.#cutter = null;
    this.#buffers = new SweepBuffers();
  }

  async sweep({ targets, batches, directions }: Extract<ToWorker, { type: 'batches' }>): Promise<FromWorker> {
    const [prompt, cutter] = [this.#prompt, this.#cutter];
    if (!prompt || !cutter) throw new Error('batches came before their prompt');
    const { dModel } = prompt.dimensions;
    const work = { multiplications: 0 };
    const onLayer = () => this.#state.throwIfStopped();
    const reading = (row: number) => directions.subarray(row * dModel, (row + 1) * dModel);
    const sweep = { prompt, steps: this.#steps, buffers: this.#buffers, work, onLayer };
    const effects = await sweepBatches(sweep, targets, batches, reading);
    const { nColumns } = prompt;
    const rows = batches
      .flatMap((batch) => batch.targets)
      .map((target, row) => cutter.cut(targets[target], effects.subarray(row * nColumns, (row + 1) * nColumns)));
    return { type: 'swept', rows, multiplications: work.multiplications };
  }

  [Symbol.dispose](): void {
    for (const session of Object.values(this.#steps)) session[Symbol.dispose]();
  }
}

/** What moves to the other thread instead of being copied. */
function buffersOf(rows: readonly CutRow[]): ArrayBuffer[] {
  return rows
    .flatMap(({ values, columns }) => (columns ? [values, columns] : [values]))
    .map((array) => array.buffer as ArrayBuffer);
}

async function main(port: NonNullable<typeof parentPort>, { dimensions, memory }: WorkerStart): Promise<void> {
  const state = new WorkerState(memory);
  const answer = (message: FromWorker) =>
    port.postMessage(message, message.type === 'swept' ? buffersOf(message.rows) : []);
  const worker = await state.busy(
    async () => new AttributionWorker(state, await createSteps(dimensions, { threads: 1 })),
  );
  port.on('message', async (message: ToWorker) => {
    if (message.type === 'prompt') worker.setPrompt(message.prompt, message.limits);
    else if (message.type === 'forget') worker.forgetPrompt();
    else if (message.type === 'close') {
      worker[Symbol.dispose]();
      port.close();
    } else {
      const result = await state
        .busy(() => worker.sweep(message))
        .catch((error: Error): FromWorker => ({ type: 'failed', message: error.stack ?? error.message }));
      answer(result);
    }
  });
  answer({ type: 'ready' });
}

if (parentPort) void main(parentPort, workerData);
