import { mostEffectBytes } from '../../protocol/limits.ts';
import type { AttributionWorkers } from './attributionWorkers.ts';
import { type Batch, batchCost, groupBatches, planBatches, shareOut } from './batches.ts';
import { SweepBuffers, type SweepPrompt, type Target } from './descent.ts';
import type { LocalModel, PositionRange } from './localModel.ts';
import type { NodeColumns } from './nodeRows.ts';
import { columnPlan } from './rowColumns.ts';
import { type CutRow, RowCutter, type RowLimits } from './rowCut.ts';
import { sharedFloats } from './sharedMemory.ts';
import { type SharedSweep, sharedSweep, withPrivateCopies } from './sharedSweep.ts';
import type { Sources } from './sources.ts';
import type { SpecialTokens } from './specialTokens.ts';
import { sweepBatches } from './sweepBatch.ts';
import type { SweepSessions } from './sweepSessions.ts';
import { tokenBlock, tokenColumn, type WrittenBlock } from './writtenBlock.ts';

/**
 * Direct effects of every source on each target:
 *   effects[target, source] = Σ_writeLayer Σ_dModel gradient[target, pos(source), dModel] · written[source, dModel]
 * where the gradient starts at the target's direction and is carried down through frozen attention, layer by layer.
 * Targets are swept in batches of like position and layer, over the positions and layers that can matter only.
 * @param reading gives a target's gradient at its place [dModel]
 * @param rows how much of each target's effects is kept, and what takes them
 * @param onBatch called before each batch with targets done so far; may throw to cancel
 */
export async function sweep(
  prepared: PreparedSweep,
  targets: readonly Target[],
  reading: (target: number) => Float32Array,
  rows: RowTaker,
  onBatch: (done: number) => Promise<void>,
): Promise<void> {
  const { sessions, sources } = prepared;
  const batches = planBatches(targets, sources.firstPos);
  prepared.shared ??= sharedSweep(prepared);
  const job = { targets, batches, reading, rows, onBatch };
  if (prepared.shared && sessions.workers) await sweepInWorkers(prepared, prepared.shared, sessions.workers, job);
  else await sweepHere(prepared, job);
}

/** Who takes the effects on targets, and how much of them. */
export type RowTaker = {
  readonly limits: RowLimits;
  /** Where rows are read again and again; absent or null: not known yet. */
  readonly nodes?: NodeColumns | null;
  readonly take: (target: number, row: CutRow) => void;
};

type SweepJobs = {
  readonly targets: readonly Target[];
  readonly batches: readonly Batch[];
  readonly reading: (target: number) => Float32Array;
  readonly rows: RowTaker;
  readonly onBatch: (done: number) => Promise<void>;
};

/** Group after group, each product on all threads. */
async function sweepHere(
  prepared: PreparedSweep,
  { targets, batches, reading, rows, onBatch }: SweepJobs,
): Promise<void> {
  const { sessions, work, sources } = prepared;
  const { count } = sources;
  const cutter = new RowCutter(columnPlan(sources), rows.limits, rows.nodes);
  const prompt = promptOf(prepared);
  const buffers = new SweepBuffers();
  let done = 0;
  for (const group of groupBatches(batches, 1, rowsTogether(prepared))) {
    await onBatch(done);
    const effects = await sessions.measure((steps) =>
      sweepBatches({ prompt, steps, buffers, work }, targets, group, reading),
    );
    const swept = group.flatMap((batch) => batch.targets);
    swept.forEach((target, row) => {
      rows.take(target, cutter.cut(targets[target], effects.subarray(row * count, (row + 1) * count)));
    });
    done += swept.length;
  }
}

/** As many groups at a time as there are workers. */
async function sweepInWorkers(
  prepared: PreparedSweep,
  shared: SharedSweep,
  workers: AttributionWorkers,
  { targets, batches, reading, rows, onBatch }: SweepJobs,
): Promise<void> {
  const { dModel } = shared.dimensions;
  // The largest first, so that the workers end at about the same time.
  const sorted = shareOut(batches, targets, workers.count).toSorted(
    (a, b) => batchCost(b, targets) - batchCost(a, targets),
  );
  const left = groupBatches(sorted, workers.count, rowsTogether(prepared));
  const nextJob = async () => {
    const group = left.shift();
    if (!group) return null;
    const places = group.flatMap((batch) => batch.targets);
    const directions = sharedFloats(places.length * dModel);
    for (const [row, target] of places.entries()) directions.set(reading(target), row * dModel);
    let row = 0;
    const numbered = group.map((batch) => ({ ...batch, targets: batch.targets.map(() => row++) }));
    return { batches: numbered, targets: places.map((target) => targets[target]), directions, places };
  };
  // The next one is made ready while the workers are busy with others.
  let ahead: ReturnType<typeof nextJob> | null = null;
  const makeReady = () => {
    ahead ??= nextJob();
    // Whoever takes it hears of an error.
    ahead.catch(() => {});
    return ahead;
  };
  let done = 0;
  await workers.sweep(
    shared,
    rows,
    async () => {
      await onBatch(done);
      const job = makeReady();
      ahead = null;
      setImmediate(makeReady);
      return job;
    },
    ({ places }, swept) => {
      prepared.work.multiplications += swept.multiplications;
      swept.rows.forEach((row, index) => {
        rows.take(places[index], row);
      });
      done += places.length;
    },
  );
}

/** Rows whose effects are in memory of a thread at a time. */
function rowsTogether({ sources }: PreparedSweep): number {
  return Math.floor(mostEffectBytes / (sources.count * 4));
}

/** A prompt as it lies in this thread's memory, or where worker threads see it too. */
function promptOf({ local, sources, special }: PreparedSweep): SweepPrompt {
  return withPrivateCopies({
    dimensions: local.model.dimensions,
    nColumns: sources.count,
    firstTokenColumn: tokenColumn(sources, 0),
    special,
    carryWeights: (layer) => local.carryWeights(layer),
    carryPattern: (layer, queries, keys) => local.carryPattern(layer, queries, keys),
    skipWeights: (layer) => local.skipWeights(layer),
    blockBelow: (layer, positions) => blockBelow(sources, local.run.tokenVectors, layer, positions),
    piecesBelow: () => [],
  });
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
  const columns = new Int32Array(span).fill(-1);
  return { firstPos: from, nPos: sources.nPos, width: 1, vectors, factors: null, columns };
}

/** Everything about one prompt that every batch of its sweep uses. */
export type PreparedSweep = {
  readonly local: LocalModel;
  readonly sources: Sources;
  readonly sessions: SweepSessions;
  readonly special: SpecialTokens;
  /** Multiplications of the sweep's matrix products so far: what a benchmark holds against the machine's best rate. */
  readonly work: { multiplications: number };
  /** The same for worker threads, once they were needed. */
  shared: SharedSweep | null;
};

export function prepareSweep(
  local: LocalModel,
  sources: Sources,
  sessions: SweepSessions,
  special: SpecialTokens,
): PreparedSweep {
  return { local, sources, sessions, special, work: { multiplications: 0 }, shared: null };
}
