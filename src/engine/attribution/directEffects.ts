import { floatTensor } from '../runtime/session.ts';
import { type Batch, planBatches } from './batches.ts';
import type { LocalModel, PositionRange } from './localModel.ts';
import type { Sources } from './sources.ts';
import { carrySpecialTokens, type SpecialTokens } from './specialTokens.ts';
import type { SweepSessions, SweepSteps } from './sweepSessions.ts';
import { tokenBlock, tokenColumn, type WrittenBlock } from './writtenBlock.ts';

/**
 * One target whose sources' effects are wanted: a direction [dModel] read from the residual stream before the MLP of
 * `layer` at `pos`; `layer` = nLayers: after the last layer.
 */
export type Target = { readonly layer: number; readonly pos: number };

/**
 * Direct effects of every source on each target:
 *   effects[target, source] = Σ_writeLayer Σ_dModel gradient[target, pos(source), dModel] · written[source, dModel]
 * where the gradient starts at the target's direction and is carried down through frozen attention, layer by layer.
 * Targets are swept in batches of like position and layer, over the positions and layers that can matter only.
 * @param reading gives a target's gradient at its place [dModel]
 * @param deliver takes each target's effects [source column]; the array is reused afterwards
 * @param onBatch called before each batch with targets done so far; may throw to cancel
 */
export async function sweep(
  prepared: PreparedSweep,
  targets: readonly Target[],
  reading: (target: number) => Float32Array,
  deliver: (target: number, effects: Float32Array) => void,
  onBatch: (done: number) => Promise<void>,
): Promise<void> {
  let done = 0;
  const buffers = new SweepBuffers();
  const { count } = prepared.sources;
  for (const batch of planBatches(targets, prepared.sources.firstPos)) {
    await onBatch(done);
    const effects = await prepared.sessions.measure((steps) =>
      sweepBatch({ ...prepared, steps }, targets, batch, reading, buffers),
    );
    batch.targets.forEach((target, row) => {
      deliver(target, effects.subarray(row * count, (row + 1) * count));
    });
    done += batch.targets.length;
  }
}

/** Everything about one prompt that every batch of its sweep uses. */
export type PreparedSweep = {
  readonly local: LocalModel;
  readonly sources: Sources;
  readonly sessions: SweepSessions;
  readonly special: SpecialTokens;
  /** Multiplications of the sweep's matrix products so far: what a benchmark holds against the machine's best rate. */
  readonly work: { multiplications: number };
};

export async function prepareSweep(
  local: LocalModel,
  sources: Sources,
  sessions: SweepSessions,
): Promise<PreparedSweep> {
  const special = await carrySpecialTokens(
    local,
    Math.min(sources.firstPos, sources.nPos),
    (await sessions.steps()).product,
  );
  return { local, sources, sessions, special, work: { multiplications: 0 } };
}

/** Arrays reused between batches: two gradients, the dots of one layer, the effects of one batch. */
class SweepBuffers {
  #gradients = [new Float32Array(0), new Float32Array(0)];
  #dots = new Float32Array(0);
  #effects = new Float32Array(0);

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
}

/** A prepared sweep with the steps that a batch takes. */
type BatchSweep = PreparedSweep & { readonly steps: SweepSteps };

/** @returns effects [batch row, source column] */
async function sweepBatch(
  prepared: BatchSweep,
  targets: readonly Target[],
  batch: Batch,
  reading: (target: number) => Float32Array,
  buffers: SweepBuffers,
): Promise<Float32Array> {
  const { local, sources } = prepared;
  const { dModel, nLayers } = local.model.dimensions;
  const { positions, topLayer } = batch;
  const effects = buffers.effects(batch.targets.length * sources.count);
  let state: SweepState = { positions, nRows: 0, gradient: buffers.other(null, 0) };
  for (let layer = topLayer; layer >= 0; layer--) {
    state = withRowsOf(state, rowsFrom(batch, targets, layer), dModel, buffers);
    inject(state, targets, batch, layer, dModel, reading);
    const block = blockBelow(sources, local.run.tokenVectors, layer, positions);
    if (layer < nLayers) state = await carry(prepared, layer, state, block, buffers, effects);
    else await readOff(prepared, state, block, buffers, effects);
    if (layer > 0) state = await throughSkip(prepared, layer - 1, state, buffers);
  }
  return effects;
}

/** What is written just below a layer: by the MLP of the layer before it, or the embedding. */
function blockBelow(
  sources: Sources,
  tokenVectors: Float32Array,
  layer: number,
  { from, to }: PositionRange,
): WrittenBlock {
  const block = layer > 0 ? sources.written[layer - 1] : tokenBlock(sources, tokenVectors, from);
  if (block.firstPos === from) return block;
  // A prompt of nothing but special tokens: no position has features or errors.
  const span = to - from;
  const dModel = tokenVectors.length / sources.nPos;
  const vectors = new Float32Array(span * dModel);
  return { firstPos: from, nPos: sources.nPos, width: 1, vectors, columns: new Int32Array(span).fill(-1) };
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
  { local, sources, steps, special, work }: BatchSweep,
  layer: number,
  state: SweepState,
  block: WrittenBlock,
  buffers: SweepBuffers,
  effects: Float32Array,
): Promise<SweepState> {
  const { positions, nRows, gradient } = state;
  const { dModel, nKeyValueHeads, nHeads, dHead } = local.model.dimensions;
  const nPos = positions.to - positions.from;
  const nQueries = (nHeads / nKeyValueHeads) * nPos;
  const dims = [nPos, nRows, dModel];
  const { output, value } = local.carryWeights(layer);
  const next = buffers.other(gradient, gradient.length);
  const feeds = {
    gradient: floatTensor(gradient, dims),
    pattern: floatTensor(local.carryPattern(layer, positions, positions), [nKeyValueHeads, nPos, nQueries]),
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
    addEffects(dots, nRows, block, sources.count, effects);
    return { ...state, gradient: next };
  }
  const { count } = special;
  const pattern = local.carryPattern(layer, positions, { from: 0, to: count });
  const contributions = new Float32Array(nRows * count);
  await steps.carrySpecial.run(
    {
      ...feeds,
      specialPattern: floatTensor(pattern, [nKeyValueHeads, count, nQueries]),
      specialValues: floatTensor(special.values[layer], [nKeyValueHeads * count * dHead, count]),
    },
    { ...results, special: floatTensor(contributions, [nRows, count]) },
  );
  addEffects(dots, nRows, block, sources.count, effects);
  for (let row = 0; row < nRows; row++) {
    for (let token = 0; token < count; token++) {
      effects[row * sources.count + tokenColumn(sources, token)] += contributions[row * count + token];
    }
  }
  return { ...state, gradient: next };
}

/** Through a layer's skip matrix, where the set has one. */
async function throughSkip(
  { local, steps }: BatchSweep,
  layer: number,
  state: SweepState,
  buffers: SweepBuffers,
): Promise<SweepState> {
  const skip = local.skipWeights(layer);
  if (!skip) return state;
  const { positions, nRows, gradient } = state;
  const { dModel } = local.model.dimensions;
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
  { local, sources, steps, work }: BatchSweep,
  { positions, nRows, gradient }: SweepState,
  block: WrittenBlock,
  buffers: SweepBuffers,
  effects: Float32Array,
): Promise<void> {
  const { dModel } = local.model.dimensions;
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
  addEffects(dots, nRows, block, sources.count, effects);
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
