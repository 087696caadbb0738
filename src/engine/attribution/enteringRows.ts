import { floatTensor } from '../runtime/session.ts';
import type { CarryWeights } from './carryWeights.ts';
import { addEffects, addTokenEffects, appendRows, type BatchSweep, type Descent, type Target } from './descent.ts';
import type { PositionRange } from './localModel.ts';
import type { WrittenBlock } from './writtenBlock.ts';

/** Rows of a batch that begin at a layer. Each has a gradient at its own position only. */
export type EnteringRows = {
  readonly nRows: number;
  /** [nRows] */
  readonly positions: readonly number[];
  /** [nRows, dModel] */
  readonly directions: Float32Array;
};

/** The rows of a batch that begin at the layer: they come next behind those that are on their way. */
export function enteringRows(
  { batch, state }: Descent,
  targets: readonly Target[],
  layer: number,
  dModel: number,
  reading: (target: number) => Float32Array,
): EnteringRows {
  const own = batch.targets.slice(state.nRows).filter((target) => targets[target].layer === layer);
  const directions = new Float32Array(own.length * dModel);
  for (const [row, target] of own.entries()) directions.set(reading(target), row * dModel);
  return { nRows: own.length, positions: own.map((target) => targets[target].pos), directions };
}

/** Rows × positions from which a step of its own takes less time than carrying so many zeros along. */
const worthOwnStep = 192;

/** Whether rows are carried through the layer at which they begin by themselves: alone or many. */
export function isWorthItsOwnStep({ nRows }: EnteringRows, { state: { positions, nRows: nBefore } }: Descent): boolean {
  return nRows > 0 && (nBefore === 0 || nRows * (positions.to - positions.from) >= worthOwnStep);
}

/** [pos, nRows, dModel] each row's direction at its own position, 0 elsewhere */
export function atOwnPositions(
  { nRows, positions, directions }: EnteringRows,
  { from, to }: PositionRange,
  dModel: number,
): Float32Array {
  const gradient = new Float32Array((to - from) * nRows * dModel);
  positions.forEach((pos, row) => {
    gradient.set(directions.subarray(row * dModel, (row + 1) * dModel), ((pos - from) * nRows + row) * dModel);
  });
  return gradient;
}

/**
 * Carries rows back through the attention of the layer at which they begin, with the effects on them of what is written
 * just below and of special tokens that are looked at there, and puts them behind the batch's other rows.
 */
export async function enter(
  { prompt, steps, buffers, work }: BatchSweep,
  layer: number,
  descent: Descent,
  { nRows, positions, directions }: EnteringRows,
  { output, value }: CarryWeights,
  block: WrittenBlock,
): Promise<void> {
  const { dModel, nHeads, nKeyValueHeads, dHead } = prompt.dimensions;
  const { positions: range, nRows: nBefore } = descent.state;
  const { nColumns, special } = prompt;
  const nPos = range.to - range.from;
  const effects = descent.effects.subarray(nBefore * nColumns, (nBefore + nRows) * nColumns);
  const carried = buffers.entering(nPos * nRows * dModel);
  const dots = buffers.dots(nPos * nRows * block.width);
  const lookedFrom = (pos: number, keys: PositionRange) => prompt.carryPattern(layer, { from: pos, to: pos + 1 }, keys);
  const pattern = waysBack(positions, range, nHeads, nKeyValueHeads, lookedFrom);
  const feeds = {
    direction: floatTensor(directions, [nRows, dModel]),
    pattern: floatTensor(pattern, [nRows, nPos, nHeads + 1]),
    output: floatTensor(output, [nHeads, dModel, dHead]),
    value: floatTensor(value, [nKeyValueHeads * dHead, dModel]),
    vectors: floatTensor(block.vectors.subarray(0, nPos * block.width * dModel), [nPos, block.width, dModel]),
  };
  const results = {
    carried: floatTensor(carried, [nPos, nRows, dModel]),
    dots: floatTensor(dots, [nPos, nRows, block.width]),
  };
  work.multiplications += nRows * dModel * (2 * nHeads * dHead + nPos * (nHeads + 1 + block.width));
  if (range.from === 0) await steps.enter.run(feeds, results);
  else {
    const { count } = special;
    const groups = nHeads / nKeyValueHeads;
    const specialPattern = new Float32Array(nRows * nHeads * count);
    for (const [row, pos] of positions.entries()) {
      specialPattern.set(lookedFrom(pos, { from: 0, to: count }), row * nHeads * count);
    }
    const contributions = new Float32Array(nRows * count);
    await steps.enterSpecial.run(
      {
        ...feeds,
        specialPattern: floatTensor(specialPattern, [nRows, nKeyValueHeads, count, groups]),
        specialValues: floatTensor(special.values[layer], [nKeyValueHeads * count * dHead, count]),
      },
      { ...results, special: floatTensor(contributions, [nRows, count]) },
    );
    addTokenEffects(contributions, nRows, prompt, effects);
  }
  addEffects(dots, nRows, block, nColumns, effects);
  appendRows(descent, carried, nRows, dModel);
}

/**
 * [row, key, head] what each row's position looks at; behind the heads one way more, that of the direction itself: 1 at
 * the row's own position.
 * @param lookedFrom the pattern of one query, as `carryPattern` lays it out
 */
function waysBack(
  positions: readonly number[],
  keys: PositionRange,
  nHeads: number,
  nKeyValueHeads: number,
  lookedFrom: (pos: number, keys: PositionRange) => Float32Array,
): Float32Array {
  const groups = nHeads / nKeyValueHeads;
  const nKeys = keys.to - keys.from;
  const nWays = nHeads + 1;
  const ways = new Float32Array(positions.length * nKeys * nWays);
  positions.forEach((pos, row) => {
    // Rows of like position stand together.
    if (row > 0 && positions[row - 1] === pos) {
      ways.copyWithin(row * nKeys * nWays, (row - 1) * nKeys * nWays, row * nKeys * nWays);
      return;
    }
    const pattern = lookedFrom(pos, keys);
    for (let key = 0; key < nKeys; key++) {
      for (let head = 0; head < nHeads; head++) {
        const kvHead = Math.floor(head / groups);
        ways[(row * nKeys + key) * nWays + head] = pattern[(kvHead * nKeys + key) * groups + (head % groups)];
      }
    }
    ways[(row * nKeys + pos - keys.from) * nWays + nHeads] = 1;
  });
  return ways;
}
