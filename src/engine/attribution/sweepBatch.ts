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

/** Two arrays that a batch's gradient goes to and fro between. */
class GradientPair {
  readonly #arrays = [new Float32Array(0), new Float32Array(0)];

  /** The one that is not `current`. */
  other(current: Float32Array | null, length: number): Float32Array {
    const index = this.#arrays[0].buffer === current?.buffer ? 1 : 0;
    if (this.#arrays[index].length < length) this.#arrays[index] = new Float32Array(length);
    return this.#arrays[index].subarray(0, length);
  }
}

/** Arrays reused between batches: gradients, the dots of one layer, the effects of the batches that are swept together. */
export class SweepBuffers {
  readonly #gradients: GradientPair[] = [];
  #dots = new Float32Array(0);
  #effects: Float32Array = new Float32Array(0);

  /** Those of the batch at this place among the ones that are swept together. */
  gradients(place: number): GradientPair {
    this.#gradients[place] ??= new GradientPair();
    return this.#gradients[place];
  }

  dots(length: number): Float32Array {
    if (this.#dots.length < length) this.#dots = new Float32Array(length);
    return this.#dots.subarray(0, length);
  }

  effects(length: number): Float32Array {
    if (this.#effects.length < length) this.#effects = new Float32Array(length);
    return this.#effects.subarray(0, length).fill(0);
  }

  /** Takes an array to use for the effects of the next batches. */
  giveEffects(array: Float32Array): void {
    this.#effects = array;
  }

  /** Lets go of the array that the last batches' effects are in. */
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

/** What batches need of a layer, made once for all of them. */
type LayerParts = {
  /** Null after the last layer. */
  readonly weights: CarryWeights | null;
  readonly block: WrittenBlock;
  /** Of the layer below, where the set has skip matrices. */
  readonly skip: SkipWeights | null;
};

/** A batch on its way down. */
type Descent = {
  readonly batch: Batch;
  readonly gradients: GradientPair;
  /** [batch row, source column] */
  readonly effects: Float32Array;
  state: SweepState;
};

/**
 * Direct effects of all sources on the targets of some batches, which go down side by side so that what a layer takes is
 * read once for all.
 * @param batches whose positions begin at the same one
 * @returns effects [row of the first batch, then of the next …, source column], overwritten by the next call
 */
export async function sweepBatches(
  sweep: BatchSweep,
  targets: readonly Target[],
  batches: readonly Batch[],
  reading: (target: number) => Float32Array,
): Promise<Float32Array> {
  const { prompt, buffers, onLayer } = sweep;
  const { nColumns } = prompt;
  const { dModel, nLayers } = prompt.dimensions;
  const nRows = batches.reduce((sum, batch) => sum + batch.targets.length, 0);
  const effects = buffers.effects(nRows * nColumns);
  let row = 0;
  const descents = batches.map((batch, place): Descent => {
    const gradients = buffers.gradients(place);
    const own = effects.subarray(row * nColumns, (row + batch.targets.length) * nColumns);
    row += batch.targets.length;
    const state = { positions: batch.positions, nRows: 0, gradient: gradients.other(null, 0) };
    return { batch, gradients, effects: own, state };
  });
  const topLayer = batches.reduce((top, batch) => Math.max(top, batch.topLayer), 0);
  for (let layer = topLayer; layer >= 0; layer--) {
    onLayer?.();
    const joined = descents.filter(({ batch }) => batch.topLayer >= layer);
    const to = joined.reduce((most, { batch }) => Math.max(most, batch.positions.to), 0);
    const parts: LayerParts = {
      weights: layer < nLayers ? prompt.carryWeights(layer) : null,
      block: prompt.blockBelow(layer, { from: joined[0].batch.positions.from, to }),
      skip: layer > 0 ? prompt.skipWeights(layer - 1) : null,
    };
    for (const descent of joined) {
      withRowsOf(descent, rowsFrom(descent.batch, targets, layer), dModel);
      inject(descent.state, targets, descent.batch, layer, dModel, reading);
      if (parts.weights) await carry(sweep, layer, descent, parts.weights, parts.block);
      else await readOff(sweep, descent, parts.block);
      if (parts.skip) await throughSkip(sweep, descent, parts.skip);
    }
  }
  return effects;
}

/** Where a batch is on its way down: rows join when their layer is reached. */
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

/** Makes room in the gradient for more rows, which are 0. */
function withRowsOf(descent: Descent, nRows: number, dModel: number): void {
  const { state, gradients } = descent;
  if (nRows === state.nRows) return;
  const nPos = state.positions.to - state.positions.from;
  const gradient = gradients.other(state.gradient, nPos * nRows * dModel).fill(0);
  for (let pos = 0; pos < nPos; pos++) {
    const own = state.gradient.subarray(pos * state.nRows * dModel, (pos + 1) * state.nRows * dModel);
    gradient.set(own, pos * nRows * dModel);
  }
  descent.state = { ...state, nRows, gradient };
}

/**
 * One layer's attention, what special tokens contribute by being looked at there, and the effects of what is written
 * just below.
 */
async function carry(
  { prompt, steps, buffers, work }: BatchSweep,
  layer: number,
  descent: Descent,
  { output, value }: CarryWeights,
  block: WrittenBlock,
): Promise<void> {
  const { effects, gradients, state } = descent;
  const { positions, nRows, gradient } = state;
  const { dModel, nKeyValueHeads, nHeads, dHead } = prompt.dimensions;
  const nPos = positions.to - positions.from;
  const nQueries = (nHeads / nKeyValueHeads) * nPos;
  const dims = [nPos, nRows, dModel];
  const next = gradients.other(gradient, gradient.length);
  descent.state = { ...state, gradient: next };
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
    return;
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
}

/** Through a layer's skip matrix. */
async function throughSkip({ prompt, steps }: BatchSweep, descent: Descent, skip: SkipWeights): Promise<void> {
  const { state, gradients } = descent;
  const { positions, nRows, gradient } = state;
  const { dModel } = prompt.dimensions;
  const nPos = positions.to - positions.from;
  const dims = [nPos, nRows, dModel];
  const next = gradients.other(gradient, gradient.length);
  await steps.skip.run(
    {
      gradient: floatTensor(gradient, dims),
      matrix: floatTensor(skip.matrix, [dModel, dModel]),
      scale: floatTensor(skip.scale.subarray(positions.from, positions.to), [nPos, 1, 1]),
    },
    { carried: floatTensor(next, dims) },
  );
  descent.state = { ...state, gradient: next };
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
  { state: { positions, nRows, gradient }, effects }: Descent,
  block: WrittenBlock,
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
