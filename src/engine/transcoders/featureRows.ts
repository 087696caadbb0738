import { type FloatTensor, wholeTensor } from './floatTensor.ts';
import { readRows } from './readRows.ts';
import type { DecoderSlot, StoredMatrix } from './transcoder.ts';

/** Numbers in memory at a time while columns are picked. */
const chunkSize = 2 ** 22;

/**
 * Decoder rows of the given features for one layer they write to, with the slot's scale and gains.
 * @param features ascending, so that near rows are read together
 * @param [into] where they may be written
 * @returns [features.length, dModel]
 */
export function decoderRows(
  slot: DecoderSlot,
  features: ArrayLike<number>,
  dModel: number,
  into?: Float32Array,
): Float32Array {
  const rows = slot.isTransposed ? columns(slot.tensor, features, dModel) : storedRows(slot, features, dModel, into);
  if (slot.scale === 1 && slot.gain === null) return rows;
  const gain = slot.gain && wholeTensor(slot.gain);
  for (let index = 0; index < features.length; index++) {
    scaleInPlace(rows.subarray(index * dModel, (index + 1) * dModel), slot.scale * (gain?.[features[index]] ?? 1));
  }
  return rows;
}

/** What each feature's decoder row is multiplied by when it writes: its activation, and the slot's bias while it is on. */
export function writtenAmounts(
  { onBias }: DecoderSlot,
  features: ArrayLike<number>,
  activations: ArrayLike<number>,
): Float32Array {
  const amounts = Float32Array.from(activations);
  if (!onBias) return amounts;
  const bias = wholeTensor(onBias);
  return amounts.map((activation, index) => (activation > 0 ? activation + bias[features[index]] : activation));
}

function storedRows(
  slot: DecoderSlot,
  features: ArrayLike<number>,
  dModel: number,
  rows: Float32Array = new Float32Array(features.length * dModel),
): Float32Array {
  const starts = Float64Array.from(features, (feature) => feature * slot.stride + slot.offset);
  readRows(slot.tensor, starts, dModel, rows);
  return rows;
}

/**
 * Encoder rows of the given features: the direction each reads. Stored [feature, dModel] they are read one by one;
 * stored [dModel, feature] the whole matrix passes through memory a few rows at a time.
 * @returns [features.length, dModel]
 */
export function encoderRows(encoder: StoredMatrix, features: ArrayLike<number>, dModel: number): Float32Array {
  const { tensor, isTransposed, scale } = encoder;
  const rows = isTransposed ? columns(tensor, features, dModel) : new Float32Array(features.length * dModel);
  if (!isTransposed) {
    const starts = Float64Array.from(features, (feature) => feature * dModel);
    readRows(tensor, starts, dModel, rows);
  }
  if (scale !== 1) scaleInPlace(rows, scale);
  return rows;
}

function scaleInPlace(values: Float32Array, by: number): void {
  for (let index = 0; index < values.length; index++) values[index] *= by;
}

/** Columns of a matrix stored [dModel, feature], as rows [features.length, dModel]. */
function columns(tensor: FloatTensor, features: ArrayLike<number>, dModel: number): Float32Array {
  const rows = new Float32Array(features.length * dModel);
  const nFeatures = tensor.shape[1];
  const rowsAtOnce = Math.max(1, Math.min(dModel, Math.floor(chunkSize / nFeatures)));
  const chunk = new Float32Array(rowsAtOnce * nFeatures);
  for (let from = 0; from < dModel; from += rowsAtOnce) {
    const count = Math.min(rowsAtOnce, dModel - from);
    tensor.floats(from * nFeatures, count * nFeatures, chunk);
    for (let index = 0; index < features.length; index++) {
      for (let k = 0; k < count; k++) rows[index * dModel + from + k] = chunk[k * nFeatures + features[index]];
    }
  }
  return rows;
}
