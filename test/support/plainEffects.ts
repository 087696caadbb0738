import type { LocalModel } from '../../src/engine/attribution/localModel.ts';
import type { Sources } from '../../src/engine/attribution/sources.ts';
import { errorColumn, type SourceColumns, tokenColumn } from '../../src/engine/attribution/writtenBlock.ts';
import { decoderRows, encoderRows } from '../../src/engine/transcoders/featureRows.ts';
import { wholeTensor } from '../../src/engine/transcoders/floatTensor.ts';
import { readingScale, writingScale } from '../../src/engine/transcoders/tapPoint.ts';

/** A column that stands for all error vectors at once. */
export const allErrors = -2;

/** What each source adds to the residual stream, by layer: after the layer's attention (mid) and before it (pre). */
export type Carried = { readonly mid: Float64Array[]; readonly pre: Float64Array[] };

/**
 * The reference for the sweep, the other way round and with plain loops in float64: one source is written to the
 * residual stream and carried up through the frozen network, layer by layer. Effects are then read off with dot products.
 */
export function carryUp(local: LocalModel, sources: Sources, column: number): Carried {
  const { nLayers, dModel } = local.model.dimensions;
  const { nPos } = local.run;
  let stream = new Float64Array(nPos * dModel);
  const mid: Float64Array[] = [];
  const pre: Float64Array[] = [];
  addEmbedding(local, sources, column, stream);
  for (let layer = 0; layer < nLayers; layer++) {
    pre.push(stream.slice());
    stream = throughAttention(local, layer, stream);
    mid.push(stream.slice());
    const before = stream.slice();
    addSkip(local, layer, before, stream);
    addWritten(local, sources, column, layer, stream);
  }
  pre.push(stream);
  return { mid, pre };
}

/** The effect of a carried source on an active feature, or of any number of them. */
export function effectOnFeature(local: LocalModel, columns: SourceColumns, carried: Carried, target: number): number {
  const { active } = columns;
  const [layer, pos] = [active.layer[target], active.pos[target]];
  const { dModel } = local.set;
  const row = encoderRows(local.set.layers[layer].encoder, [active.feature[target]], dModel);
  const { scale, gain } = readingScale(local.set.inputHook, local.model, local.run, layer);
  let sum = 0;
  for (let i = 0; i < dModel; i++) {
    sum += row[i] * carried.mid[layer][pos * dModel + i] * (scale ? scale[pos] : 1) * (gain ? gain[i] : 1);
  }
  return sum;
}

/** The effect of a carried source on a direction read after the final norm at the last position. */
export function effectOnOutput(local: LocalModel, carried: Carried, vector: Float32Array): number {
  const { dModel } = local.set;
  const pos = local.run.nPos - 1;
  const gain = local.model.weights.model('finalNorm');
  let sum = 0;
  for (let i = 0; i < dModel; i++) {
    sum += vector[i] * gain[i] * local.run.finalNormScale[pos] * carried.pre.at(-1)![pos * dModel + i];
  }
  return sum;
}

function addEmbedding(local: LocalModel, sources: Sources, column: number, stream: Float64Array): void {
  const { dModel } = local.set;
  for (let pos = 0; pos < local.run.nPos; pos++) {
    if (column !== tokenColumn(sources, pos)) continue;
    for (let i = 0; i < dModel; i++) stream[pos * dModel + i] += local.run.tokenVectors[pos * dModel + i];
  }
}

/** x[q] + Σ_head Σ_k pattern[head, q, k] · output_head · value_head · (gain ⊙ x[k] · scale[k]), normed after where it is. */
function throughAttention(local: LocalModel, layer: number, stream: Float64Array): Float64Array<ArrayBuffer> {
  const { dModel, nHeads, nKeyValueHeads, dHead } = local.model.dimensions;
  const { attnPattern, attnNormScale, postAttnNormScale } = local.run.layers[layer];
  const { nPos } = local.run;
  const weights = local.model.weights;
  const value = weights.layer(layer, 'value')!;
  const output = weights.layer(layer, 'attnOutput')!;
  const gain = weights.layer(layer, 'attnNorm')!;
  const postGain = weights.layer(layer, 'postAttnNorm');
  const values = new Float64Array(nPos * nKeyValueHeads * dHead);
  for (let pos = 0; pos < nPos; pos++) {
    for (let j = 0; j < nKeyValueHeads * dHead; j++) {
      let sum = 0;
      for (let i = 0; i < dModel; i++) sum += value[j * dModel + i] * gain[i] * stream[pos * dModel + i];
      values[pos * nKeyValueHeads * dHead + j] = sum * attnNormScale[pos];
    }
  }
  const result = new Float64Array(stream);
  for (let query = 0; query < nPos; query++) {
    const mixed = new Float64Array(nHeads * dHead);
    for (let head = 0; head < nHeads; head++) {
      const group = Math.floor(head / (nHeads / nKeyValueHeads));
      for (let key = 0; key <= query; key++) {
        const share = attnPattern[(head * nPos + query) * nPos + key];
        for (let i = 0; i < dHead; i++) {
          mixed[head * dHead + i] += share * values[(key * nKeyValueHeads + group) * dHead + i];
        }
      }
    }
    for (let i = 0; i < dModel; i++) {
      let sum = 0;
      for (let j = 0; j < nHeads * dHead; j++) sum += output[i * nHeads * dHead + j] * mixed[j];
      result[query * dModel + i] += sum * (postAttnNormScale ? postAttnNormScale[query] * postGain![i] : 1);
    }
  }
  return result;
}

function addSkip(local: LocalModel, layer: number, before: Float64Array, stream: Float64Array): void {
  const { skip } = local.set.layers[layer];
  if (!skip) return;
  const { dModel } = local.set;
  const matrix = wholeTensor(skip.tensor);
  const reading = readingScale(local.set.inputHook, local.model, local.run, layer);
  const writing = writingScale(local.set.outputHook, local.model, local.run, layer);
  for (let pos = 0; pos < local.run.nPos; pos++) {
    for (let i = 0; i < dModel; i++) {
      let sum = 0;
      for (let j = 0; j < dModel; j++) {
        const entry = skip.isTransposed ? matrix[j * dModel + i] : matrix[i * dModel + j];
        sum += entry * before[pos * dModel + j] * (reading.scale?.[pos] ?? 1) * (reading.gain?.[j] ?? 1);
      }
      stream[pos * dModel + i] += sum * (writing.scale?.[pos] ?? 1) * (writing.gain?.[i] ?? 1);
    }
  }
}

/** Activation · decoder row for a feature that writes to this layer; the error vector for this layer's errors. */
function addWritten(local: LocalModel, sources: Sources, column: number, layer: number, stream: Float64Array): void {
  const { dModel } = local.set;
  const { active } = sources;
  const { scale, gain } = writingScale(local.set.outputHook, local.model, local.run, layer);
  const add = (pos: number, vector: Float32Array, factor: number) => {
    for (let i = 0; i < dModel; i++) {
      stream[pos * dModel + i] += vector[i] * factor * (scale?.[pos] ?? 1) * (gain?.[i] ?? 1);
    }
  };
  if (column >= 0 && column < active.count) {
    const slot = local.set.layers[active.layer[column]].slots.find((each) => each.writeLayer === layer);
    if (slot) add(active.pos[column], decoderRows(slot, [active.feature[column]], dModel), active.activation[column]);
    return;
  }
  for (let pos = 0; pos < local.run.nPos; pos++) {
    if (column === allErrors || column === errorColumn(sources, layer, pos))
      add(pos, sources.errors[layer].subarray(pos * dModel, (pos + 1) * dModel), 1);
  }
}
