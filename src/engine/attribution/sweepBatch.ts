import type { ModelDimensions } from '../model/languageModel.ts';
import { floatTensor } from '../runtime/session.ts';
import type { Batch } from './batches.ts';
import type { CarryWeights } from './carryWeights.ts';
import type { PositionRange, SkipWeights } from './localModel.ts';
import type { SpecialTokens } from './specialTokens.ts';
import type { SweepSteps } from './sweepSteps.ts';
import type { WrittenBlock } from './writtenBlock.ts';

/**
 * One target whose sources' effects are wanted: a direction [dModel] read from the residual stream before the MLP of
 * `layer` at `pos`; `layer` = nLayers: after the last layer.
 */
export type Target = { readonly layer: number; readonly pos: number };

/** What a batch needs of a prompt, wherever it lies. Arrays are good until the same is asked for another layer. */
export type SweepPrompt = {
  readonly dimensions: ModelDimensions;
  /** Number of source columns, and the column of the first token. */
  readonly nColumns: number;
  readonly firstTokenColumn: number;
  readonly special: SpecialTokens;
  readonly carryWeights: (layer: number) => CarryWeights;
  /** As `LocalModel.carryPattern`. */
  readonly carryPattern: (layer: number, queries: PositionRange, keys: PositionRange) => Float32Array;
  readonly skipWeights: (layer: number) => SkipWeights | null;
  /** What is written just below a layer, from the first of the positions on. */
  readonly blockBelow: (layer: number, positions: PositionRange) => WrittenBlock;
};

/** Arrays reused between batches: two gradients, the dots of one layer, the effects of one batch. */
export class SweepBuffers {
  #gradients = [new Float32Array(0), new Float32Array(0)];
  #dots = new Float32Array(0);
  #effects: Float32Array = new Float32Array(0);

  /** The gradient array that is not `current`. */
  other(current: Float32Array | null, length: number): Float32Array {
    const index = this.#gradients[0].buffer === current?.buffer ? 1 : 0;
    if (this.#gradients[index].length < length) this.#gradients[index] = new Float32Array(length);
    return this.#gradients[index].subarray(0, length);
  }

  dots(length: number): Float32Array {
    if (this.#dots.length < length) this.#dots = new Float32Array(length);
    return this.#dots.subarray(0, length);
  }

  effects(length: number): Float32Array {
    if (this.#effects.length < length) this.#effects = new Float32Array(length);
    return this.#effects.subarray(0, length).fill(0);
  }

  /** Takes an array to use for the effects of the next batch. */
  giveEffects(array: Float32Array): void {
    this.#effects = array;
  }

  /** Lets go of the array that the last batch's effects are in. */
  takeEffects(): Float32Array {
    const array = this.#effects;
    this.#effects = new Float32Array(0);
    return array;
  }
}

/** What the steps of a batch work with. */
type BatchSweep = {
  readonly prompt: SweepPrompt;
  readonly steps: SweepSteps;
  readonly buffers: SweepBuffers;
  /** Multiplications of the matrix products so far. */
  readonly work: { multiplications: number };
  /** Called before each layer; may throw to stop. */
  readonly onLayer?: () => void;
};

/**
 * Direct effects of all sources on the targets of one batch.
 * @returns effects [batch row, source column], overwritten by the next batch
 */
export async function sweepBatch(
  sweep: BatchSweep,
  targets: readonly Target[],
  batch: Batch,
  reading: (target: number) => Float32Array,
): Promise<Float32Array> {
  const { prompt, buffers, onLayer } = sweep;
  const { dModel, nLayers } = prompt.dimensions;
  const { positions, topLayer } = batch;
  const effects = buffers.effects(batch.targets.length * prompt.nColumns);
  let state: SweepState = { positions, nRows: 0, gradient: buffers.other(null, 0) };
  for (let layer = topLayer; layer >= 0; layer--) {
    onLayer?.();
    state = withRowsOf(state, rowsFrom(batch, targets, layer), dModel, buffers);
    inject(state, targets, batch, layer, dModel, reading);
    const block = prompt.blockBelow(layer, positions);
    if (layer < nLayers) state = await carry(sweep, layer, state, block, effects);
    else await readOff(sweep, state, block, effects);
    if (layer > 0) state = await throughSkip(sweep, layer - 1, state);
  }
  return effects;
}

/** A batch on its way down: rows join when their layer is reached. */
type SweepState = {
  readonly positions: PositionRange;
  readonly nRows: number;
  /** [pos, nRows, dModel] */
  readonly gradient: Float32Array;
};

/** How many of a batch's rows take part from this layer down, rounded up so that the gradient is laid out anew seldom. */
export function rowsFrom(batch: Batch, targets: readonly Target[], layer: number): number {
  const joined = batch.targets.findLastIndex((target) => targets[target].layer >= layer) + 1;
  const step = Math.ceil(batch.targets.length / 4);
  return Math.min(batch.targets.length, Math.ceil(joined / step) * step);
}

/** The same gradient with room for more rows, which are 0. */
function withRowsOf(state: SweepState, nRows: number, dModel: number, buffers: SweepBuffers): SweepState {
  if (nRows === state.nRows) return state;
  const nPos = state.positions.to - state.positions.from;
  const gradient = buffers.other(state.gradient, nPos * nRows * dModel).fill(0);
  for (let pos = 0; pos < nPos; pos++) {
    const own = state.gradient.subarray(pos * state.nRows * dModel, (pos + 1) * state.nRows * dModel);
    gradient.set(own, pos * nRows * dModel);
  }
  return { ...state, nRows, gradient };
}

/**
 * One layer's attention, what special tokens contribute by being looked at there, and the effects of what is written
 * just below.
 */
async function carry(
  { prompt, steps, buffers, work }: BatchSweep,
  layer: number,
  state: SweepState,
  block: WrittenBlock,
  effects: Float32Array,
): Promise<SweepState> {
  const { positions, nRows, gradient } = state;
  const { dModel, nKeyValueHeads, nHeads, dHead } = prompt.dimensions;
  const nPos = positions.to - positions.from;
  const nQueries = (nHeads / nKeyValueHeads) * nPos;
  const dims = [nPos, nRows, dModel];
  const { output, value } = prompt.carryWeights(layer);
  const next = buffers.other(gradient, gradient.length);
  const feeds = {
    gradient: floatTensor(gradient, dims),
    pattern: floatTensor(prompt.carryPattern(layer, positions, positions), [nKeyValueHeads, nPos, nQueries]),
    output: floatTensor(output, [nHeads, dModel, dHead]),
    value: floatTensor(value, [nKeyValueHeads * dHead, dModel]),
    vectors: floatTensor(block.vectors.subarray(0, nPos * block.width * dModel), [nPos, block.width, dModel]),
  };
  work.multiplications += nPos * nRows * dHead * ((nHeads + nKeyValueHeads) * dModel + nKeyValueHeads * nQueries);
  work.multiplications += nPos * nRows * block.width * dModel;
  const dots = buffers.dots(nPos * nRows * block.width);
  const results = { carried: floatTensor(next, dims), dots: floatTensor(dots, [nPos, nRows, block.width]) };
  if (positions.from === 0) {
    await steps.carry.run(feeds, results);
    addEffects(dots, nRows, block, prompt.nColumns, effects);
    return { ...state, gradient: next };
  }
  const { special, nColumns, firstTokenColumn } = prompt;
  const { count } = special;
  const pattern = prompt.carryPattern(layer, positions, { from: 0, to: count });
  const contributions = new Float32Array(nRows * count);
  await steps.carrySpecial.run(
    {
      ...feeds,
      specialPattern: floatTensor(pattern, [nKeyValueHeads, count, nQueries]),
      specialValues: floatTensor(special.values[layer], [nKeyValueHeads * count * dHead, count]),
    },
    { ...results, special: floatTensor(contributions, [nRows, count]) },
  );
  addEffects(dots, nRows, block, prompt.nColumns, effects);
  for (let row = 0; row < nRows; row++) {
    for (let token = 0; token < count; token++) {
      effects[row * nColumns + firstTokenColumn + token] += contributions[row * count + token];
    }
  }
  return { ...state, gradient: next };
}

/** Through a layer's skip matrix, where the set has one. */
async function throughSkip(
  { prompt, steps, buffers }: BatchSweep,
  layer: number,
  state: SweepState,
): Promise<SweepState> {
  const skip = prompt.skipWeights(layer);
  if (!skip) return state;
  const { positions, nRows, gradient } = state;
  const { dModel } = prompt.dimensions;
  const nPos = positions.to - positions.from;
  const dims = [nPos, nRows, dModel];
  const next = buffers.other(gradient, gradient.length);
  await steps.skip.run(
    {
      gradient: floatTensor(gradient, dims),
      matrix: floatTensor(skip.matrix, [dModel, dModel]),
      scale: floatTensor(skip.scale.subarray(positions.from, positions.to), [nPos, 1, 1]),
    },
    { carried: floatTensor(next, dims) },
  );
  return { ...state, gradient: next };
}

/** Adds the readings of the batch's targets at this layer to the gradient there. */
export function inject(
  { positions, nRows, gradient }: SweepState,
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

/** The effects of what is written just below, where no attention lies between. */
async function readOff(
  { prompt, steps, buffers, work }: BatchSweep,
  { positions, nRows, gradient }: SweepState,
  block: WrittenBlock,
  effects: Float32Array,
): Promise<void> {
  const { dModel } = prompt.dimensions;
  const { width } = block;
  const nPos = positions.to - positions.from;
  work.multiplications += nPos * nRows * width * dModel;
  const dots = buffers.dots(nPos * nRows * width);
  await steps.dots.run(
    {
      gradient: floatTensor(gradient, [nPos, nRows, dModel]),
      vectors: floatTensor(block.vectors.subarray(0, nPos * width * dModel), [nPos, width, dModel]),
    },
    { dots: floatTensor(dots, [nPos, nRows, width]) },
  );
  addEffects(dots, nRows, block, prompt.nColumns, effects);
}

/** effects[row, column] += dots[pos, row, place of the column at pos] */
export function addEffects(
  dots: Float32Array,
  nRows: number,
  { columns, width }: WrittenBlock,
  nColumns: number,
  effects: Float32Array,
): void {
  const nPos = dots.length / (nRows * width);
  for (let pos = 0; pos < nPos; pos++) {
    for (let row = 0; row < nRows; row++) {
      const from = (pos * nRows + row) * width;
      const to = row * nColumns;
      for (let place = 0; place < width; place++) {
        const column = columns[pos * width + place];
        if (column >= 0) effects[to + column] += dots[from + place];
      }
    }
  }
}
