import type { ModelDimensions } from '../model/languageModel.ts';
import { GraphBuilder } from '../runtime/onnxModel.ts';
import { createSession, floatTensor, type Provider, type Session } from '../runtime/session.ts';
import { type Batch, planBatches, stepSize } from './batches.ts';
import type { LocalModel, PositionRange } from './localModel.ts';
import { type Sources, tokenBlock, tokenColumn, type WrittenBlock } from './sources.ts';
import { carrySpecialTokens, type SpecialTokens } from './specialTokens.ts';

/**
 * One target whose sources' effects are wanted: a direction [dModel] read from the residual stream before the MLP of
 * `layer` at `pos`; `layer` = nLayers: after the last layer.
 */
export type Target = { readonly layer: number; readonly pos: number };

/** The compiled steps of the sweep; the same for every layer and prompt of a model. */
export type SweepSessions = {
  /** Without, and with, special tokens at the start. */
  readonly carry: Session;
  readonly carrySpecial: Session;
  readonly dots: Session;
  readonly skip: Session;
  readonly product: Session;
  readonly [Symbol.dispose]: () => void;
};

/** Steps with fewer multiplications than this take less time than waking a second thread. */
const fewestForThreads = 30e6;

export async function createSweepSessions(dimensions: ModelDimensions, provider: Provider): Promise<SweepSessions> {
  const { dModel, nHeads, dHead } = dimensions;
  const threads = stepSize * dModel * nHeads * dHead < fewestForThreads ? 1 : 0;
  const options = { provider, threads };
  const sessions = {
    carry: await createSession(carryGraph(dimensions, false), options),
    carrySpecial: await createSession(carryGraph(dimensions, true), options),
    dots: await createSession(dotsGraph(dimensions), options),
    skip: await createSession(skipGraph(dimensions), options),
    product: await createSession(productGraph(), options),
  };
  const all = Object.values(sessions);
  return {
    ...sessions,
    [Symbol.dispose]: () => {
      for (const session of all) session[Symbol.dispose]();
    },
  };
}

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
    const effects = await sweepBatch(prepared, targets, batch, reading, buffers);
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
  const special = await carrySpecialTokens(local, Math.min(sources.firstPos, sources.nPos), sessions.product);
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

/** @returns effects [batch row, source column] */
async function sweepBatch(
  prepared: PreparedSweep,
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
    if (layer < nLayers) state = await carry(prepared, layer, state, buffers, effects);
    const block = layer > 0 ? sources.written[layer - 1] : tokenBlock(sources, local.run.tokenVectors, positions.from);
    await addDots(prepared, state, block, buffers, effects);
    if (layer > 0) state = await throughSkip(prepared, layer - 1, state, buffers);
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
function rowsFrom(batch: Batch, targets: readonly Target[], layer: number): number {
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

/** One layer's attention, and what special tokens contribute by being looked at there. */
async function carry(
  { local, sources, sessions, special, work }: PreparedSweep,
  layer: number,
  state: SweepState,
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
    output: floatTensor(output, [dModel, nHeads * dHead]),
    value: floatTensor(value, [nKeyValueHeads * dHead, dModel]),
  };
  work.multiplications += nPos * nRows * dHead * ((nHeads + nKeyValueHeads) * dModel + nKeyValueHeads * nQueries);
  const carried = floatTensor(next, dims);
  if (positions.from === 0) {
    await sessions.carry.run(feeds, { carried });
    return { ...state, gradient: next };
  }
  const { count } = special;
  const pattern = local.carryPattern(layer, positions, { from: 0, to: count });
  const contributions = new Float32Array(nRows * count);
  await sessions.carrySpecial.run(
    {
      ...feeds,
      specialPattern: floatTensor(pattern, [nKeyValueHeads, count, nQueries]),
      specialValues: floatTensor(special.values[layer], [nKeyValueHeads * count * dHead, count]),
    },
    { carried, special: floatTensor(contributions, [nRows, count]) },
  );
  for (let row = 0; row < nRows; row++) {
    for (let token = 0; token < count; token++) {
      effects[row * sources.count + tokenColumn(sources, token)] += contributions[row * count + token];
    }
  }
  return { ...state, gradient: next };
}

/** Through a layer's skip matrix, where the set has one. */
async function throughSkip(
  { local, sessions }: PreparedSweep,
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
  await sessions.skip.run(
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
function inject(
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

/** effects[row, column] += gradient[pos, row] · vectors[pos, column], for the block's positions up to the batch's last. */
async function addDots(
  { local, sources, sessions, work }: PreparedSweep,
  { positions, nRows, gradient }: SweepState,
  block: WrittenBlock,
  buffers: SweepBuffers,
  effects: Float32Array,
): Promise<void> {
  const { dModel } = local.model.dimensions;
  const { firstPos, width } = block;
  const span = positions.to - firstPos;
  if (span <= 0) return;
  work.multiplications += span * nRows * width * dModel;
  const dots = buffers.dots(span * nRows * width);
  const start = (firstPos - positions.from) * nRows * dModel;
  await sessions.dots.run(
    {
      gradient: floatTensor(gradient.subarray(start), [span, nRows, dModel]),
      vectors: floatTensor(block.vectors.subarray(0, span * width * dModel), [span, width, dModel]),
    },
    { dots: floatTensor(dots, [span, nRows, width]) },
  );
  for (let pos = 0; pos < span; pos++) {
    const columns = block.columns.subarray(pos * width, (pos + 1) * width);
    for (let row = 0; row < nRows; row++) {
      const from = (pos * nRows + row) * width;
      const to = row * sources.count;
      for (let place = 0; place < width; place++) {
        if (columns[place] >= 0) effects[to + columns[place]] += dots[from + place];
      }
    }
  }
}

/**
 * Back through one layer's attention, positions first so that "positions up to p" is a prefix:
 *   carried[k, row] = gradient[k, row] + Σ_head Σ_q pattern[head, q, k] · (gradient[q, row] · output_head) · value_head
 * Queries that share keys and values are summed in the inner dimension of the middle product. With special tokens, a
 * second result gives their effects through this layer: special[row, token].
 */
function carryGraph({ dModel, nHeads, nKeyValueHeads, dHead }: ModelDimensions, hasSpecial: boolean): Uint8Array {
  const graph = new GraphBuilder();
  const groups = nHeads / nKeyValueHeads;
  const gradient = graph.input('gradient', 'float32', ['pos', 'row', dModel]);
  const pattern = graph.input('pattern', 'float32', [nKeyValueHeads, 'pos', 'query']);
  const output = graph.input('output', 'float32', [dModel, nHeads * dHead]);
  const value = graph.input('value', 'float32', [nKeyValueHeads * dHead, dModel]);
  const shape = graph.node('Shape', [gradient]);
  const [nPos, nRows] = [0, 1].map((axis) =>
    graph.node('Slice', [shape, graph.integers([axis]), graph.integers([axis + 1])]),
  );
  const reshape = (x: string, dims: readonly string[]) =>
    graph.node('Reshape', [x, graph.node('Concat', dims, { axis: 0 })]);
  const flat = graph.node('Reshape', [gradient, graph.integers([-1, dModel])]);
  const atHeads = reshape(graph.node('MatMul', [flat, output]), [
    nPos,
    nRows,
    graph.integers([nKeyValueHeads, groups, dHead]),
  ]);
  const byQuery = reshape(graph.node('Transpose', [atHeads], { perm: [2, 3, 0, 1, 4] }), [
    graph.integers([nKeyValueHeads]),
    graph.node('Mul', [nPos, graph.integers([groups])]),
    graph.integers([-1]),
  ]);
  const byKey = reshape(graph.node('MatMul', [pattern, byQuery]), [
    graph.integers([nKeyValueHeads]),
    nPos,
    nRows,
    graph.integers([dHead]),
  ]);
  const atValues = graph.node('Reshape', [
    graph.node('Transpose', [byKey], { perm: [1, 2, 0, 3] }),
    graph.integers([-1, nKeyValueHeads * dHead]),
  ]);
  if (hasSpecial) {
    const specialPattern = graph.input('specialPattern', 'float32', [nKeyValueHeads, 'token', 'query']);
    const specialValues = graph.input('specialValues', 'float32', ['read', 'token']);
    const looked = reshape(graph.node('MatMul', [specialPattern, byQuery]), [
      graph.integers([nKeyValueHeads]),
      graph.integers([-1]),
      nRows,
      graph.integers([dHead]),
    ]);
    const byRow = reshape(graph.node('Transpose', [looked], { perm: [2, 0, 1, 3] }), [nRows, graph.integers([-1])]);
    graph.node('MatMul', [byRow, specialValues], {}, 'special');
    graph.output('special', 'float32', ['row', 'token']);
  }
  const back = reshape(graph.node('MatMul', [atValues, value]), [nPos, nRows, graph.integers([dModel])]);
  graph.node('Add', [gradient, back], {}, 'carried');
  graph.output('carried', 'float32', ['pos', 'row', dModel]);
  return graph.encode();
}

function dotsGraph({ dModel }: ModelDimensions): Uint8Array {
  const graph = new GraphBuilder();
  const gradient = graph.input('gradient', 'float32', ['pos', 'row', dModel]);
  const vectors = graph.input('vectors', 'float32', ['pos', 'source', dModel]);
  graph.node('FusedMatMul', [gradient, vectors], { transB: 1 }, 'dots', 'com.microsoft');
  graph.output('dots', 'float32', ['pos', 'row', 'source']);
  return graph.encode();
}

function skipGraph({ dModel }: ModelDimensions): Uint8Array {
  const graph = new GraphBuilder();
  const gradient = graph.input('gradient', 'float32', ['pos', 'row', dModel]);
  const matrix = graph.input('matrix', 'float32', [dModel, dModel]);
  const scale = graph.input('scale', 'float32', ['pos', 1, 1]);
  const through = graph.node('Mul', [graph.node('MatMul', [gradient, matrix]), scale]);
  graph.node('Add', [gradient, through], {}, 'carried');
  graph.output('carried', 'float32', ['pos', 'row', dModel]);
  return graph.encode();
}

function productGraph(): Uint8Array {
  const graph = new GraphBuilder();
  const x = graph.input('x', 'float32', ['row', 'in']);
  const w = graph.input('w', 'float32', ['out', 'in']);
  graph.node('Gemm', [x, w], { transB: 1 }, 'y');
  graph.output('y', 'float32', ['row', 'out']);
  return graph.encode();
}
