import type { PositionRange } from './localModel.ts';

type Place = { readonly layer: number; readonly pos: number };

/** A group of targets that are swept together, highest layer first. */
export type Batch = {
  /** Indices into the targets. */
  readonly targets: readonly number[];
  readonly topLayer: number;
  /** Positions that can matter to any of them: up to the last one's, less the special tokens at the start. */
  readonly positions: PositionRange;
};

/** Rows × positions of one step: enough for thick products, few enough for the cache and for close-fitting batches. */
export const stepSize = 1024;
/** How large a batch may be: rows × positions, and rows. */
export type BatchLimits = { readonly step: number; readonly rows: number };
/** Fewer rows at once than this leave the products too thin. */
const fewestRows = 16;
/** A batch is not cut into smaller ones than this for the sake of a free core. */
const fewestShared = 4;

/**
 * Cuts targets into batches of like position and layer. Position tiles of several widths are tried and the cheapest plan
 * taken: narrow tiles waste few positions, wide ones make few batches.
 */
export function planBatches(
  targets: readonly Place[],
  firstPos: number,
  limits: BatchLimits = { step: stepSize, rows: Number.POSITIVE_INFINITY },
): Batch[] {
  // Only outputs of a prompt that is nothing but special tokens sit there: they are swept over every position.
  const from = targets.every(({ pos }) => pos >= firstPos) ? firstPos : 0;
  const lastPos = targets.reduce((last, { pos }) => Math.max(last, pos), 0);
  let best: Batch[] = [];
  let bestCost = Number.POSITIVE_INFINITY;
  for (let width = lastPos + 1 - from; width >= 1; width = width === 1 ? 0 : Math.ceil(width / 2)) {
    const plan = planWithTiles(targets, from, width, limits);
    const cost = plan.reduce((sum, batch) => sum + batchCost(batch, targets), 0);
    if (cost < bestCost) {
      best = plan;
      bestCost = cost;
    }
  }
  return best;
}

/** Cuts the largest batches in two until there are as many as can be swept at once, or none is worth cutting. */
export function shareOut(batches: readonly Batch[], targets: readonly Place[], atOnce: number): Batch[] {
  const parts = [...batches];
  while (parts.length < atOnce) {
    parts.sort((a, b) => b.targets.length - a.targets.length);
    const largest = parts[0];
    const middle = Math.ceil((largest?.targets.length ?? 0) / 2);
    if (middle < fewestShared) break;
    const halves = [largest.targets.slice(0, middle), largest.targets.slice(middle)];
    parts.splice(0, 1, ...halves.map((half) => ({ ...largest, targets: half, topLayer: targets[half[0]].layer })));
  }
  return parts;
}

/** Batches that are swept side by side: what a layer takes is read once for all of them, and each has gradients in memory. */
const mostTogether = 8;
/** Groups per worker at least, where there are batches enough: with fewer the workers would end at different times. */
const groupsPerWorker = 4;

/**
 * Puts neighbours together, in order, to be swept side by side.
 * @param mostRows so many rows at most, where there is more than one batch
 */
export function groupBatches(batches: readonly Batch[], nWorkers: number, mostRows: number): Batch[][] {
  const size = Math.max(1, Math.min(mostTogether, Math.floor(batches.length / (nWorkers * groupsPerWorker))));
  const groups: Batch[][] = [];
  let rows = 0;
  for (const batch of batches) {
    const last = groups.at(-1);
    rows += batch.targets.length;
    if (last && last.length < size && rows <= mostRows) last.push(batch);
    else {
      groups.push([batch]);
      rows = batch.targets.length;
    }
  }
  return groups;
}

/** Products, plus what a step costs however small it is. Rows count from their own layer down: they join there. */
export function batchCost(batch: Batch, targets: readonly Place[]): number {
  const nPos = batch.positions.to - batch.positions.from;
  const rowLayers = batch.targets.reduce((sum, target) => sum + targets[target].layer + 1, 0);
  return rowLayers * nPos + (batch.topLayer + 1) * 64;
}

function planWithTiles(targets: readonly Place[], from: number, width: number, limits: BatchLimits): Batch[] {
  const tile = (target: number) => Math.floor((targets[target].pos - from) / width);
  const order = Uint32Array.from(targets, (_, index) => index).sort(
    (a, b) => tile(b) - tile(a) || targets[b].layer - targets[a].layer || targets[b].pos - targets[a].pos || a - b,
  );
  const batches: Batch[] = [];
  let current: number[] = [];
  const close = () => {
    if (current.length === 0) return;
    const to = 1 + current.reduce((last, target) => Math.max(last, targets[target].pos), 0);
    batches.push({ targets: current, topLayer: targets[current[0]].layer, positions: { from, to } });
    current = [];
  };
  for (const target of order) {
    const fitting = Math.max(fewestRows, Math.floor(limits.step / ((tile(target) + 1) * width)));
    const most = Math.min(fitting, limits.rows);
    if (current.length >= most || (current.length > 0 && tile(current[0]) !== tile(target))) close();
    current.push(target);
  }
  close();
  return batches;
}
