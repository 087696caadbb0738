import { floatTensor } from '../runtime/session.ts';
import type { Batch } from './batches.ts';
import type { CarryWeights } from './carryWeights.ts';
import { addEffects, addTokenEffects, appendRows, type BatchSweep, type Descent, type Target } from './descent.ts';
import { atOwnPositions, type EnteringRows, enter, enteringRows, isWorthItsOwnStep } from './enteringRows.ts';
import type { SkipWeights } from './localModel.ts';
import type { WrittenBlock } from './writtenBlock.ts';

/** What batches need of a layer, made once for all of them. */
type LayerParts = {
  /** Null after the last layer. */
  readonly weights: CarryWeights | null;
  /** Null: what is written comes in pieces, and is read off after the carry. */
  readonly block: WrittenBlock | null;
  /** Of the layer below, where the set has skip matrices. */
  readonly skip: SkipWeights | null;
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
    const range = { from: joined[0].batch.positions.from, to };
    const parts: LayerParts = {
      weights: layer < nLayers ? prompt.carryWeights(layer) : null,
      block: prompt.blockBelow(layer, range),
      skip: layer > 0 ? prompt.skipWeights(layer - 1) : null,
    };
    for (const descent of joined) {
      const entering = enteringRows(descent, targets, layer, dModel, reading);
      await throughAttention(sweep, layer, descent, entering, parts);
    }
    if (!parts.block) {
      for (const piece of prompt.piecesBelow(layer, range)) {
        for (const descent of joined) await readOff(sweep, descent, piece);
      }
    }
    if (parts.skip) for (const descent of joined) await throughSkip(sweep, descent, parts.skip);
  }
  return effects;
}

/** Carries a batch through a layer's attention, the rows that begin there with it: few with the others, many apart. */
async function throughAttention(
  sweep: BatchSweep,
  layer: number,
  descent: Descent,
  entering: EnteringRows,
  { weights, block: whole }: LayerParts,
): Promise<void> {
  const { positions } = descent.batch;
  const { dModel } = sweep.prompt.dimensions;
  const block = whole ?? sweep.buffers.nothing(positions, dModel);
  const isApart = weights !== null && isWorthItsOwnStep(entering, descent);
  if (!isApart) appendRows(descent, atOwnPositions(entering, positions, dModel), entering.nRows, dModel);
  if (!weights) await readOff(sweep, descent, block);
  else if (descent.state.nRows > 0) await carry(sweep, layer, descent, weights, block);
  if (isApart) await enter(sweep, layer, descent, entering, weights, block);
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
  const { special } = prompt;
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
  addTokenEffects(contributions, nRows, prompt, effects);
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

/** The effects of a block, once the gradient has been carried to where it is written. */
async function readOff(
  { prompt, steps, buffers, work }: BatchSweep,
  { state: { positions, nRows, gradient }, effects }: Descent,
  block: WrittenBlock,
): Promise<void> {
  const { dModel } = prompt.dimensions;
  const { width } = block;
  const nPos = Math.min(block.nPos, positions.to) - block.firstPos;
  if (nPos <= 0) return;
  const start = (block.firstPos - positions.from) * nRows * dModel;
  work.multiplications += nPos * nRows * width * dModel;
  const dots = buffers.dots(nPos * nRows * width);
  await steps.dots.run(
    {
      gradient: floatTensor(gradient.subarray(start, start + nPos * nRows * dModel), [nPos, nRows, dModel]),
      vectors: floatTensor(block.vectors.subarray(0, nPos * width * dModel), [nPos, width, dModel]),
    },
    { dots: floatTensor(dots, [nPos, nRows, width]) },
  );
  addEffects(dots, nRows, block, prompt.nColumns, effects);
}
