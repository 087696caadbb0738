import type { ActiveFeatures } from '../transcoders/encode.ts';
import { decoderRows, writtenAmounts } from '../transcoders/featureRows.ts';
import type { DecoderSlot, TranscoderSet } from '../transcoders/transcoder.ts';
import type { PositionRange } from './localModel.ts';
import { writeAndAdd, writeScaled } from './scaledRows.ts';
import type { Scratch } from './scratch.ts';

/** Decoder rows read at a time. */
export const rowsAtOnce = 2048;
/** Vectors of a block that is made for some positions only take about this much. */
const pieceBytes = 64 * 2 ** 20;

/** Where the sources of some positions stand. */
export type Places = {
  /** Positions before it have nothing. */
  readonly firstPos: number;
  readonly nPos: number;
  /** Sources per position; places of positions with fewer hold nothing that counts. */
  readonly width: number;
  /** [nPos − firstPos, width] the source's column; −1 where filled up. */
  readonly columns: Int32Array;
};

/** What is written to the residual stream at one place in the stack, by position. */
export type WrittenBlock = Places & {
  /** [nPos − firstPos, width, dModel] as it enters the residual stream */
  readonly vectors: Float32Array;
  /** [nPos − firstPos, width] what the vectors are to be multiplied by; null: they are as they are. */
  readonly factors: Float32Array | null;
};

/** Columns of effects: active features in their order, then errors (layer · nPos + pos), then tokens. */
export type SourceColumns = {
  readonly active: ActiveFeatures;
  readonly nLayers: number;
  readonly nPos: number;
  /** Positions before it have no features and no errors. */
  readonly firstPos: number;
  readonly count: number;
  /** [nLayers · nPos + 1] where the features of (layer, pos) begin. */
  readonly featureStart: Uint32Array;
};

export function errorColumn(columns: SourceColumns, layer: number, pos: number): number {
  return columns.active.count + layer * columns.nPos + pos;
}

export function tokenColumn(columns: SourceColumns, pos: number): number {
  return columns.active.count + columns.nLayers * columns.nPos + pos;
}

/** @param firstPos positions before it are special tokens */
export function sourceColumns(active: ActiveFeatures, nLayers: number, nPos: number, firstPos: number): SourceColumns {
  const featureStart = new Uint32Array(nLayers * nPos + 1);
  for (let index = 0; index < active.count; index++) featureStart[active.layer[index] * nPos + active.pos[index] + 1]++;
  for (let place = 0; place < nLayers * nPos; place++) featureStart[place + 1] += featureStart[place];
  return { active, nLayers, nPos, firstPos, count: active.count + nLayers * nPos + nPos, featureStart };
}

/** The tokens' embeddings from a position on, as they enter the residual stream. */
export function tokenBlock(columns: SourceColumns, tokenVectors: Float32Array, firstPos: number): WrittenBlock {
  const span = columns.nPos - firstPos;
  const dModel = tokenVectors.length / columns.nPos;
  return {
    firstPos,
    nPos: columns.nPos,
    width: 1,
    vectors: tokenVectors.subarray(firstPos * dModel),
    factors: null,
    columns: Int32Array.from({ length: span }, (_, index) => tokenColumn(columns, firstPos + index)),
  };
}

/**
 * What every feature that writes to the layer writes at the positions; each one's first place is left free.
 * @param [into.newVectors] gives the array for the vectors; absent: they are in `scratch`, good until the next block
 * @param [into.sums] [position of the range, dModel] gets what is written there added
 */
export function featureBlock(
  columns: SourceColumns,
  set: TranscoderSet,
  writeLayer: number,
  { from: firstPos, to }: PositionRange,
  scratch: Scratch,
  { newVectors, sums }: { readonly newVectors?: (length: number) => Float32Array; readonly sums?: Float64Array } = {},
): WrittenBlock {
  const { active, nPos, featureStart } = columns;
  const { dModel } = set;
  const width = widthOf(columns, set, writeLayer, { from: firstPos, to });
  const span = Math.max(to - firstPos, 0);
  const size = span * width * dModel;
  const vectors = newVectors?.(size) ?? scratch.floats('written', size);
  const places = new Int32Array(span * width).fill(-1);
  const next = new Uint32Array(span).fill(1);
  if (span === 0) return { firstPos, nPos: to, width, vectors, factors: null, columns: places };
  for (const { layer, slot } of slotsOf(set, writeLayer)) {
    const first = featureStart[layer * nPos + firstPos];
    const count = featureStart[layer * nPos + to] - first;
    const order = byFeature(active, first, count);
    for (let from = 0; from < order.length; from += rowsAtOnce) {
      const part = order.subarray(from, from + rowsAtOnce);
      const features = part.map((index) => active.feature[index]);
      const rows = decoderRows(slot, features, dModel, scratch.floats('decoder rows', features.length * dModel));
      const amounts = writtenAmounts(
        slot,
        features,
        Float32Array.from(part, (index) => active.activation[index]),
      );
      part.forEach((index, row) => {
        const pos = active.pos[index] - firstPos;
        const place = pos * width + next[pos]++;
        places[place] = index;
        if (sums) {
          writeAndAdd(rows, row * dModel, amounts[row], vectors, place * dModel, sums, pos * dModel, dModel);
        } else writeScaled(rows, row * dModel, amounts[row], vectors, place * dModel, dModel);
      });
    }
  }
  return { firstPos, nPos: to, width, vectors, factors: null, columns: places };
}

/** Indices first … first + count − 1 in the order of their features, so that files are read forwards. */
export function byFeature({ feature }: ActiveFeatures, first: number, count: number): Uint32Array {
  // Numbers sort many times faster than a comparison.
  const keys = new Float64Array(count);
  for (let index = 0; index < count; index++) keys[index] = feature[first + index] * 2 ** 24 + index;
  keys.sort();
  const order = new Uint32Array(count);
  for (let index = 0; index < count; index++) order[index] = first + (keys[index] % 2 ** 24);
  return order;
}

/** Cuts positions into ranges of at most `atOnce` whose blocks at this layer fit into `pieceBytes`. */
export function pieceRanges(
  columns: SourceColumns,
  set: TranscoderSet,
  writeLayer: number,
  { from, to }: PositionRange,
  atOnce = 256,
): PositionRange[] {
  const used = placesAt(columns, set, writeLayer);
  const mostPlaces = pieceBytes / (set.dModel * 4);
  const ranges: PositionRange[] = [];
  let start = from;
  let width = 0;
  for (let pos = from; pos < to; pos++) {
    width = Math.max(width, used[pos]);
    const span = pos + 1 - start;
    if (span > 1 && (span > atOnce || span * width > mostPlaces)) {
      ranges.push({ from: start, to: pos });
      start = pos;
      width = used[pos];
    }
  }
  if (to > start) ranges.push({ from: start, to });
  return ranges;
}

/** The most sources at one of the positions, the error among them. */
export function widthOf(
  columns: SourceColumns,
  set: TranscoderSet,
  writeLayer: number,
  { from, to }: PositionRange,
): number {
  return placesAt(columns, set, writeLayer)
    .slice(from, to)
    .reduce((most, used) => Math.max(most, used), 1);
}

/** [nPos] sources at each position of what is written to a layer, the error among them */
function placesAt({ nPos, featureStart }: SourceColumns, set: TranscoderSet, writeLayer: number): Uint32Array {
  const used = new Uint32Array(nPos).fill(1);
  for (const { layer } of slotsOf(set, writeLayer)) {
    for (let pos = 0; pos < nPos; pos++) {
      used[pos] += featureStart[layer * nPos + pos + 1] - featureStart[layer * nPos + pos];
    }
  }
  return used;
}

export function slotsOf(
  set: TranscoderSet,
  writeLayer: number,
): { readonly layer: number; readonly slot: DecoderSlot }[] {
  return set.layers.slice(0, writeLayer + 1).flatMap(({ slots }, layer) => {
    const slot = slots.find((each) => each.writeLayer === writeLayer);
    return slot ? [{ layer, slot }] : [];
  });
}
