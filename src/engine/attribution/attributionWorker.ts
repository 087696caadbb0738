import { parentPort, workerData } from 'node:worker_threads';
import { toWire } from '../../protocol/errors.ts';
import { type ActiveFeatures, Encoder, joinActive } from '../transcoders/encode.ts';
import { receivedSet, type SentSet } from '../transcoders/sentSet.ts';
import type { TranscoderSet } from '../transcoders/transcoder.ts';
import { SweepBuffers, type SweepPrompt } from './descent.ts';
import type { NodeColumns } from './nodeRows.ts';
import { RowCutter, type RowLimits } from './rowCut.ts';
import { Scratch } from './scratch.ts';
import { sharedFloats } from './sharedMemory.ts';
import { promptFromShared, type SharedSweep } from './sharedSweep.ts';
import { sweepBatches } from './sweepBatch.ts';
import { createSteps, type SweepSteps } from './sweepSteps.ts';
import {
  type Answers,
  type FromWorker,
  type Question,
  type ToWorker,
  type WorkerStart,
  WorkerState,
} from './workerMessages.ts';
import { writtenTo } from './written.ts';

/** Of an encoder, and of what it gives: both stay in the core's cache, and there are several threads. */
const encoderLimits = { chunkBytes: 2 ** 20, pieceSize: 2 ** 22 };

type To<Type extends Question['type']> = Extract<Question, { type: Type }>;

/**
 * A thread that encodes, gathers and sweeps on one core: what `AttributionWorkers` starts. It holds compiled steps and
 * scratch buffers, and a prompt only while that is swept.
 */
class AttributionWorker {
  readonly #state: WorkerState;
  readonly #steps: SweepSteps;
  readonly #set: TranscoderSet | null;
  readonly #encoder: Encoder | null;
  #prompt: SweepPrompt | null = null;
  #cutter: RowCutter | null = null;
  #buffers = new SweepBuffers();
  #scratch = new Scratch();

  constructor(state: WorkerState, steps: SweepSteps, set: SentSet | null) {
    this.#state = state;
    this.#steps = steps;
    this.#set = set && receivedSet(set);
    this.#encoder = this.#set && new Encoder(this.#set, { threads: 1, ...encoderLimits });
  }

  setPrompt(shared: SharedSweep, limits: RowLimits, nodes: NodeColumns | null): void {
    this.#prompt = promptFromShared(shared);
    this.#cutter = new RowCutter(shared.plan, limits, nodes, sharedFloats);
  }

  forgetPrompt(): void {
    this.#prompt = null;
    this.#cutter = null;
    this.#buffers = new SweepBuffers();
    this.#scratch = new Scratch();
  }

  async answer(question: Question): Promise<Answers[keyof Answers]> {
    this.#state.throwIfStopped();
    if (question.type === 'encode') return this.#encode(question);
    return question.type === 'gather' ? this.#gather(question) : this.#sweep(question);
  }

  async #encode({ layer, input, ranges }: To<'encode'>): Promise<ActiveFeatures> {
    if (!this.#encoder) throw new Error('a layer to encode without a set');
    const parts: ActiveFeatures[] = [];
    for (const { from, to } of ranges) {
      this.#state.throwIfStopped();
      parts.push(await this.#encoder.activeAt(layer, input, to, from));
    }
    return joinActive(parts);
  }

  #gather({ layer, columns, range, isTable }: To<'gather'>): Answers['gather'] {
    if (!this.#set) throw new Error('a layer to gather without a set');
    return writtenTo(columns, this.#set, layer, range, isTable, this.#scratch, sharedFloats);
  }

  async #sweep({ targets, batches, directions }: To<'batches'>): Promise<Answers['batches']> {
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
    return { rows, multiplications: work.multiplications };
  }

  [Symbol.dispose](): void {
    for (const session of Object.values(this.#steps)) session[Symbol.dispose]();
    this.#encoder?.[Symbol.dispose]();
  }
}

async function main(port: NonNullable<typeof parentPort>, { dimensions, memory, set }: WorkerStart): Promise<void> {
  const state = new WorkerState(memory);
  const send = (message: FromWorker) => port.postMessage(message);
  const worker = await state.busy(
    async () => new AttributionWorker(state, await createSteps(dimensions, { threads: 1 }), set),
  );
  const take = async (message: ToWorker): Promise<void> => {
    if (message.type === 'prompt') worker.setPrompt(message.prompt, message.limits, message.nodes);
    else if (message.type === 'forget') worker.forgetPrompt();
    else if (message.type === 'close') {
      worker[Symbol.dispose]();
      port.close();
    } else {
      try {
        const answer = await state.busy(() => worker.answer(message));
        send({ type: 'answer', answer });
      } catch (error) {
        send({ type: 'failed', error: toWire(error) });
      }
    }
  };
  // One after the other: they use the same buffers.
  let last: Promise<void> = Promise.resolve();
  port.on('message', (message: ToWorker) => {
    last = last.then(() => take(message));
  });
  send({ type: 'ready' });
}

if (parentPort) void main(parentPort, workerData);
