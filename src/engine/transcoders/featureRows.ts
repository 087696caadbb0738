import type { FloatTensor } from './floatTensor.ts';
import type { DecoderSlot, StoredMatrix } from './transcoder.ts';

/** Numbers in memory at a time while columns are picked. */
const chunkSize = 2 ** 22;

/**
 * Decoder rows of the given features for one layer they write to.
 * @param features ascending, so that the file is read forwards
 * @returns [features.length, dModel]
 */
export function decoderRows(slot: DecoderSlot, features: ArrayLike<number>, dModel: number): Float32Array {
  if (slot.isTransposed) return columns(slot.tensor, features, dModel);
  const rows = new Float32Array(features.length * dModel);
  for (let index = 0; index < features.length; index++) {
    const row = rows.subarray(index * dModel, (index + 1) * dModel);
    if (index > 0 && features[index] === features[index - 1])
      row.set(rows.subarray((index - 1) * dModel, index * dModel));
    else slot.tensor.floats(features[index] * slot.stride + slot.offset, dModel, row);
  }
  return rows;
}

/**
 * Encoder rows of the given features: the direction each reads. Stored [feature, dModel] they are read one by one;
 * stored [dModel, feature] the whole matrix passes through memory a few rows at a time.
 * @returns [features.length, dModel]
 */
export function encoderRows(encoder: StoredMatrix, features: ArrayLike<number>, dModel: number): Float32Array {
  const { tensor, isTransposed } = encoder;
  if (isTransposed) return columns(tensor, features, dModel);
  const rows = new Float32Array(features.length * dModel);
  for (let index = 0; index < features.length; index++) {
    tensor.floats(features[index] * dModel, dModel, rows.subarray(index * dModel, (index + 1) * dModel));
  }
  return rows;
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
