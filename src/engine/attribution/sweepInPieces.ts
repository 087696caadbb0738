import { pieceBatchBytes } from '../../protocol/limits.ts';
import { floatTensor } from '../runtime/session.ts';
import { type Batch, planBatches } from './batches.ts';
import { carryInPieces } from './carryInPieces.ts';
import { blocksOf, type DecoderTable } from './decoderTable.ts';
import { addEffects, type Target } from './descent.ts';
import type { PreparedSweep, RowTaker } from './directEffects.ts';
import { columnPlan } from './rowColumns.ts';
import { RowCutter } from './rowCut.ts';
import { Scratch } from './scratch.ts';
import { PrivateCopies } from './sharedMemory.ts';
import { writtenAt } from './sources.ts';
import type { SweepSteps } from './sweepSteps.ts';
import { pieceRanges, tokenBlock, type WrittenBlock } from './writtenBlock.ts';

/** How much is in memory at a time. */
export type PieceSizes = {
  /** Of the gradients and effects of the rows that are swept together, about. */
  readonly batchBytes: number;
  /** Positions whose sources, or keys of one head whose pattern, are there. */
  readonly positions: number;
};
const usualSizes: PieceSizes = { batchBytes: pieceBatchBytes, positions: 256 };

/**
 * Whether a prompt is too large for `sweep`: what its features write is not kept, or its attention patterns are not.
 */
export function needsPieces({ local, sources, sessions }: PreparedSweep): boolean {
  const hasTables = sources.tables.length > 0 && sessions.workers !== null;
  return (
    (sources.written.length === 0 && !hasTables) || local.run.layers.some(({ attnFactors }) => attnFactors !== null)
  );
}

/**
 * The direct effects that `sweep` gives, with memory that grows only linearly with the prompt: attention is carried
 * through some keys of a head at a time, and what features write is read again a few positions at a time.
 * @param onStep called before each layer of each batch with targets done so far; may throw to cancel
 */
export async function sweepInPieces(
  prepared: PreparedSweep,
  targets: readonly Target[],
  reading: (target: number) => Float32Array,
  rows: RowTaker,
  onStep: (done: number) => Promise<void>,
  sizes: PieceSizes = usualSizes,
): Promise<void> {
  const { sources, local } = prepared;
  const { dModel, dHead, nHeads } = local.model.dimensions;
  const perPosition = (dModel + 2 * nHeads * dHead) * 4;
  const atOnce = Math.max(1, Math.floor(sizes.batchBytes / (sources.nPos * perPosition + sources.count * 4)));
  const batches = planBatches(targets, sources.firstPos, { step: atOnce * sources.nPos, rows: atOnce });
  const cutter = new RowCutter(columnPlan(sources), rows.limits, rows.nodes);
  const longest = batches.reduce(
    (most, { positions, targets: { length } }) => Math.max(most, (positions.to - positions.from) * length),
    0,
  );
  const gradient = new Float32Array(longest * dModel);
  const effects = new Float32Array(
    batches.reduce((most, batch) => Math.max(most, batch.targets.length), 0) * sources.count,
  );
  const buffers = { gradient, effects, sizes, scratch: new Scratch(), copies: new PrivateCopies() };
  const steps = await prepared.sessions.steps();
  let done = 0;
  for (const batch of batches) {
    effects.fill(0);
    const onLayer = (share: number) => onStep(done + Math.floor(share * batch.targets.length));
    await sweepBatch({ ...prepared, steps }, targets, batch, reading, buffers, onLayer);
    batch.targets.forEach((target, row) => {
      rows.take(target, cutter.cut(targets[target], effects.subarray(row * sources.count, (row + 1) * sources.count)));
    });
    done += batch.targets.length;
  }
}

/** Arrays that all batches share. */
type Buffers = {
  /** [pos, row, dModel] with room for all rows */
  readonly gradient: Float32Array;
  /** [row, source column] */
  readonly effects: Float32Array;
  readonly sizes: PieceSizes;
  readonly scratch: Scratch;
  /** Of arrays that worker threads share, which ONNX Runtime does not take. */
  readonly copies: PrivateCopies;
};

async function sweepBatch(
  prepared: PreparedSweep & { readonly steps: SweepSteps },
  targets: readonly Target[],
  batch: Batch,
  reading: (target: number) => Float32Array,
  buffers: Buffers,
  onLayer: (share: number) => Promise<void>,
): Promise<void> {
  const { local } = prepared;
  const { dModel, nLayers } = local.model.dimensions;
  const { positions, topLayer } = batch;
  let nRows = 0;
  for (let layer = topLayer; layer >= 0; layer--) {
    await onLayer((topLayer - layer) / (topLayer + 1));
    const joined = rowsFrom(batch, targets, layer);
    makeRoom(buffers.gradient, positions.to - positions.from, nRows, joined, dModel);
    nRows = joined;
    const length = (positions.to - positions.from) * nRows * dModel;
    const state = { positions, nRows, gradient: buffers.gradient.subarray(0, length) };
    inject(state, targets, batch, layer, dModel, reading);
    if (layer < nLayers) await carryInPieces(prepared, layer, state, { ...buffers, atOnce: buffers.sizes.positions });
    for (const block of blocksBelow(prepared, layer, positions, buffers)) {
      await readOff(prepared, state, block, buffers);
    }
    if (layer > 0) await throughSkip(prepared, layer - 1, state, buffers);
  }
}

/** How many of a batch's rows take part from this layer down, rounded up so that the gradient is laid out anew seldom. */
function rowsFrom(batch: Batch, targets: readonly Target[], layer: number): number {
  const joined = batch.targets.findLastIndex((target) => targets[target].layer >= layer) + 1;
  const step = Math.ceil(batch.targets.length / 4);
  return Math.min(batch.targets.length, Math.ceil(joined / step) * step);
}

/** [pos, from, dModel] becomes [pos, to, dModel] in place, the new rows 0. */
function makeRoom(gradient: Float32Array, nPos: number, from: number, to: number, dModel: number): void {
  if (from === to) return;
  for (let pos = nPos - 1; pos >= 0; pos--) {
    const start = pos * to * dModel;
    gradient.copyWithin(start, pos * from * dModel, (pos + 1) * from * dModel);
    gradient.fill(0, start + from * dModel, start + to * dModel);
  }
}

/** Adds the readings of the batch's targets at this layer to the gradient there. */
function inject(
  { positions, nRows, gradient }: State,
  targets: readonly Target[],
  batch: Batch,
  layer: number,
  dModel: number,
  reading: (target: number) => Float32Array,
): void {
  batch.targets.forEach((target, row) => {
    if (targets[target].layer !== layer) return;
    const start = ((targets[target].pos - positions.from) * nRows + row) * dModel;
    const direction = reading(target);
    for (let i = 0; i < dModel; i++) gradient[start + i] += direction[i];
  });
}

type State = { readonly positions: Batch['positions']; readonly nRows: number; readonly gradient: Float32Array };

/** What is written just below a layer, by the MLP of the layer before it or the embedding, some positions at a time. */
function* blocksBelow(
  { local, sources }: PreparedSweep,
  layer: number,
  positions: Batch['positions'],
  { sizes, scratch }: Buffers,
): Generator<WrittenBlock> {
  if (layer === 0) {
    yield tokenBlock(sources, local.run.tokenVectors, positions.from);
    return;
  }
  // Special tokens at the start have no features and no errors.
  const own = { from: Math.max(positions.from, sources.firstPos), to: positions.to };
  const table: DecoderTable | undefined = sources.tables[layer - 1];
  if (table) {
    for (let from = own.from; from < own.to; from += sizes.positions) {
      yield* blocksOf(table, { from, to: Math.min(from + sizes.positions, own.to) }, scratch);
    }
    return;
  }
  for (const range of pieceRanges(sources, local.set, layer - 1, own, sizes.positions)) {
    const whole: WrittenBlock | undefined = sources.written[layer - 1];
    yield whole ? partOf(whole, range) : writtenAt(local, sources, layer - 1, range, scratch);
  }
}

function partOf(block: WrittenBlock, { from, to }: Batch['positions']): WrittenBlock {
  const { firstPos, width, columns, vectors, factors } = block;
  const [start, end] = [(from - firstPos) * width, (to - firstPos) * width];
  const dModel = vectors.length / columns.length;
  return {
    firstPos: from,
    nPos: to,
    width,
    vectors: vectors.subarray(start * dModel, end * dModel),
    factors: factors?.subarray(start, end) ?? null,
    columns: columns.subarray(start, end),
  };
}

/** The effects of a block that lies within the batch's positions, or begins with them. */
async function readOff(
  { local, sources, steps, work }: PreparedSweep & { readonly steps: SweepSteps },
  { positions, nRows, gradient }: State,
  block: WrittenBlock,
  { effects, scratch, copies }: Buffers,
): Promise<void> {
  const { dModel } = local.model.dimensions;
  const { width } = block;
  const nPos = Math.min(block.nPos, positions.to) - block.firstPos;
  const start = (block.firstPos - positions.from) * nRows * dModel;
  work.multiplications += nPos * nRows * width * dModel;
  const dots = scratch.floats('dots', nPos * nRows * width);
  await steps.dots.run(
    {
      gradient: floatTensor(gradient.subarray(start, start + nPos * nRows * dModel), [nPos, nRows, dModel]),
      vectors: floatTensor(copies.of('written', block.vectors.subarray(0, nPos * width * dModel)), [
        nPos,
        width,
        dModel,
      ]),
    },
    { dots: floatTensor(dots, [nPos, nRows, width]) },
  );
  addEffects(dots, nRows, block, sources.count, effects);
}

/** Through a layer's skip matrix, where the set has one; some positions at a time, in place. */
async function throughSkip(
  { local, steps }: PreparedSweep & { readonly steps: SweepSteps },
  layer: number,
  { positions, nRows, gradient }: State,
  { sizes: { positions: atOnce }, scratch, copies }: Buffers,
): Promise<void> {
  const skip = local.skipWeights(layer);
  if (!skip) return;
  const matrix = copies.of('skip', skip.matrix);
  const { dModel } = local.model.dimensions;
  const perPosition = nRows * dModel;
  for (let from = positions.from; from < positions.to; from += atOnce) {
    const nPos = Math.min(atOnce, positions.to - from);
    const part = gradient.subarray((from - positions.from) * perPosition, (from - positions.from + nPos) * perPosition);
    const next = scratch.floats('skipped', part.length);
    const dims = [nPos, nRows, dModel];
    await steps.skip.run(
      {
        gradient: floatTensor(part, dims),
        matrix: floatTensor(matrix, [dModel, dModel]),
        scale: floatTensor(skip.scale.subarray(from, from + nPos), [nPos, 1, 1]),
      },
      { carried: floatTensor(next, dims) },
    );
    part.set(next);
  }
}
