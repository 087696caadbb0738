import { parentPort, workerData } from 'node:worker_threads';
import { promptFromShared, type SharedSweep } from './sharedSweep.ts';
import { SweepBuffers, type SweepPrompt, sweepBatches } from './sweepBatch.ts';
import { createSteps, type SweepSteps } from './sweepSteps.ts';
import { type FromWorker, type ToWorker, type WorkerStart, WorkerState } from './workerMessages.ts';

/**
 * A thread that sweeps batches on one core: what `SweepWorkers` starts. It holds compiled steps and scratch buffers, and
 * a prompt only while that is swept.
 */
class SweepWorker {
  readonly #state: WorkerState;
  readonly #steps: SweepSteps;
  #prompt: SweepPrompt | null = null;
  #buffers = new SweepBuffers();

  constructor(state: WorkerState, steps: SweepSteps) {
    this.#state = state;
    this.#steps = steps;
  }

  setPrompt(shared: SharedSweep | null): void {
    this.#prompt = shared && promptFromShared(shared);
    if (!shared) this.#buffers = new SweepBuffers();
  }

  async sweep({ targets, batches, directions, effects }: Extract<ToWorker, { type: 'batches' }>): Promise<FromWorker> {
    const prompt = this.#prompt;
    if (!prompt) throw new Error('batches came before their prompt');
    const { dModel } = prompt.dimensions;
    const work = { multiplications: 0 };
    const onLayer = () => this.#state.throwIfStopped();
    const reading = (row: number) => directions.subarray(row * dModel, (row + 1) * dModel);
    const sweep = { prompt, steps: this.#steps, buffers: this.#buffers, work, onLayer };
    if (effects) this.#buffers.giveEffects(effects);
    await sweepBatches(sweep, targets, batches, reading);
    return { type: 'swept', effects: this.#buffers.takeEffects(), multiplications: work.multiplications };
  }

  [Symbol.dispose](): void {
    for (const session of Object.values(this.#steps)) session[Symbol.dispose]();
  }
}

async function main(port: NonNullable<typeof parentPort>, { dimensions, memory }: WorkerStart): Promise<void> {
  const state = new WorkerState(memory);
  const answer = (message: FromWorker) =>
    port.postMessage(message, message.type === 'swept' ? [message.effects.buffer as ArrayBuffer] : []);
  const worker = await state.busy(async () => new SweepWorker(state, await createSteps(dimensions, { threads: 1 })));
  port.on('message', async (message: ToWorker) => {
    if (message.type === 'prompt') worker.setPrompt(message.prompt);
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
