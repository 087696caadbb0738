import { decoderRows, writtenAmounts } from '../transcoders/featureRows.ts';
import type { TranscoderSet } from '../transcoders/transcoder.ts';
import type { LocalModel, PositionRange } from './localModel.ts';
import { addScaled } from './scaledRows.ts';
import type { Scratch } from './scratch.ts';
import {
  byFeature,
  errorColumn,
  type Places,
  rowsAtOnce,
  type SourceColumns,
  slotsOf,
  type WrittenBlock,
  widthOf,
} from './writtenBlock.ts';

/** The vectors of a block that is made of a table take about this much. */
const blockBytes = 16 * 2 ** 20;

/**
 * What is written at one place in the stack, each decoder row once however often its feature fires: what long prompts
 * write takes far less memory so. `blocksOf` makes blocks of it.
 */
export type DecoderTable = Places & {
  readonly dModel: number;
  /** [row, dModel] errors by position from `firstPos` on, then decoder rows; they enter the residual stream times factors */
  readonly rows: Float32Array;
  /** [nPos − firstPos, width] the row of each place */
  readonly rowOf: Uint32Array;
  /** [nPos − firstPos, width] */
  readonly factors: Float32Array;
};

/** What the tables of a prompt take in memory: a decoder row per feature that fires, for each layer it writes to. */
export function bytesOfTables({ active, nLayers, nPos, featureStart }: SourceColumns, set: TranscoderSet): number {
  let rows = 0;
  for (let layer = 0; layer < nLayers; layer++) {
    const fires = new Uint8Array(set.nFeatures);
    let count = 0;
    for (let index = featureStart[layer * nPos]; index < featureStart[(layer + 1) * nPos]; index++) {
      if (fires[active.feature[index]]) continue;
      fires[active.feature[index]] = 1;
      count++;
    }
    rows += count * set.layers[layer].slots.length + nPos;
  }
  return rows * set.dModel * 4;
}

/**
 * The table of a layer, its errors still 0.
 * @param newFloats gives the arrays
 * @param sums [position of the range, dModel] gets what is written there added
 */
export function featureTable(
  columns: SourceColumns,
  set: TranscoderSet,
  writeLayer: number,
  { from: firstPos, to }: PositionRange,
  scratch: Scratch,
  newFloats: (length: number) => Float32Array,
  sums: Float64Array,
): DecoderTable {
  const { active, nPos, featureStart } = columns;
  const { dModel } = set;
  const span = to - firstPos;
  const width = widthOf(columns, set, writeLayer, { from: firstPos, to });
  const rowOf = new Uint32Array(newFloats(span * width).buffer);
  const factors = newFloats(span * width);
  const places = new Int32Array(newFloats(span * width).buffer).fill(-1);
  const next = new Uint32Array(span).fill(1);
  const slots = slotsOf(set, writeLayer).map(({ layer, slot }) => {
    const first = featureStart[layer * nPos + firstPos];
    const order = byFeature(active, first, featureStart[layer * nPos + to] - first);
    return { slot, order, features: distinct(order, active.feature) };
  });
  const rows = newFloats((span + slots.reduce((sum, { features }) => sum + features.length, 0)) * dModel);
  let nRows = span;
  for (const { slot, order, features } of slots) {
    for (let from = 0; from < features.length; from += rowsAtOnce) {
      const part = features.subarray(from, from + rowsAtOnce);
      const read = decoderRows(slot, part, dModel, scratch.floats('decoder rows', part.length * dModel));
      rows.set(read, (nRows + from) * dModel);
    }
    const amounts = writtenAmounts(
      slot,
      order.map((index) => active.feature[index]),
      Float32Array.from(order, (index) => active.activation[index]),
    );
    let known = 0;
    for (let i = 0; i < order.length; i++) {
      const index = order[i];
      if (active.feature[index] !== features[known]) known++;
      const pos = active.pos[index] - firstPos;
      const place = pos * width + next[pos]++;
      places[place] = index;
      rowOf[place] = nRows + known;
      factors[place] = amounts[i];
      addScaled(rows, (nRows + known) * dModel, amounts[i], sums, pos * dModel, dModel);
    }
    nRows += features.length;
  }
  return { firstPos, nPos: to, width, dModel, rows, rowOf, factors, columns: places };
}

/** The table with the errors of its layer, as it all enters the residual stream. In place. @param error [pos, dModel] */
export function withErrorRows(
  local: LocalModel,
  columns: SourceColumns,
  table: DecoderTable,
  layer: number,
  error: Float32Array,
): DecoderTable {
  const { firstPos, nPos, width, dModel, rows, rowOf, factors } = table;
  const span = nPos - firstPos;
  const { scale, gain } = local.writingScale(layer);
  for (let place = span * dModel; gain && place < rows.length; place++) rows[place] *= gain[place % dModel];
  for (let place = 0; scale && place < factors.length; place++)
    factors[place] *= scale[firstPos + Math.floor(place / width)];
  for (let row = 0; row < span; row++) {
    const pos = firstPos + row;
    const own = rows.subarray(row * dModel, (row + 1) * dModel);
    own.set(error.subarray(pos * dModel, (pos + 1) * dModel));
    local.scaleWriting(layer, pos, own);
    rowOf[row * width] = row;
    factors[row * width] = 1;
    table.columns[row * width] = errorColumn(columns, layer, pos);
  }
  return table;
}

/** What is written at some positions, a few at a time, the rows in memory of this thread; each good until the next. */
export function* blocksOf(
  table: DecoderTable,
  { from, to }: PositionRange,
  scratch: Scratch,
  mostBytes = blockBytes,
): Generator<WrittenBlock> {
  const atOnce = Math.max(1, Math.floor(mostBytes / (table.width * table.dModel * 4)));
  for (let first = from; first < to; first += atOnce) {
    yield blockOf(table, { from: first, to: Math.min(first + atOnce, to) }, scratch);
  }
}

function blockOf(table: DecoderTable, { from, to }: PositionRange, scratch: Scratch): WrittenBlock {
  const { firstPos, width, dModel, rows, rowOf, factors, columns } = table;
  const [start, end] = [(from - firstPos) * width, (to - firstPos) * width];
  const vectors = scratch.floats('table', (end - start) * dModel);
  for (let place = start; place < end; place++) {
    if (columns[place] < 0) continue;
    const row = rowOf[place] * dModel;
    vectors.set(rows.subarray(row, row + dModel), (place - start) * dModel);
  }
  const part = { factors: factors.subarray(start, end), columns: columns.subarray(start, end) };
  return { firstPos: from, nPos: to, width, vectors, ...part };
}

/** The features of an order by feature, each once. */
function distinct(order: Uint32Array, feature: Uint32Array): Uint32Array {
  const features: number[] = [];
  for (const index of order) if (features.at(-1) !== feature[index]) features.push(feature[index]);
  return Uint32Array.from(features);
}
