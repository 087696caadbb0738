import os from 'node:os';
import process from 'node:process';
import { UserError } from '../../protocol/errors.ts';
import type { ForwardResult, LanguageModel } from '../model/languageModel.ts';
import { type ActiveFeatures, type Encoder, joinActive } from '../transcoders/encode.ts';
import { decoderRows } from '../transcoders/featureRows.ts';
import { featureInput, featureOutput } from '../transcoders/tapPoint.ts';
import type { TranscoderSet } from '../transcoders/transcoder.ts';
import type { LocalModel } from './localModel.ts';

/** Decoder rows read at a time. */
const rowsAtOnce = 2048;

/** What is written to the residual stream at one place in the stack, by position. */
export type WrittenBlock = {
  /** Positions before it have nothing. */
  readonly firstPos: number;
  readonly nPos: number;
  /** Sources per position; positions with fewer are filled up with zeros. */
  readonly width: number;
  /** [nPos − firstPos, width, dModel] as it enters the residual stream */
  readonly vectors: Float32Array;
  /** [nPos − firstPos, width] the source's column; −1 where filled up. */
  readonly columns: Int32Array;
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

/** Everything on a prompt that can have an effect, and what the transcoders leave unexplained. */
export type Sources = SourceColumns & {
  /** By layer written, at the residual stream after that layer's MLP. */
  readonly written: readonly WrittenBlock[];
  /** By layer: [pos, dModel] what the transcoders give at the output hook. */
  readonly reconstruction: readonly Float32Array[];
  /** By layer: [pos, dModel] what the model gives there less the reconstruction; 0 at special positions. */
  readonly errors: readonly Float32Array[];
};

export function errorColumn(columns: SourceColumns, layer: number, pos: number): number {
  return columns.active.count + layer * columns.nPos + pos;
}

export function tokenColumn(columns: SourceColumns, pos: number): number {
  return columns.active.count + columns.nLayers * columns.nPos + pos;
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
    columns: Int32Array.from({ length: span }, (_, index) => tokenColumn(columns, firstPos + index)),
  };
}

/** Encodes every layer: the features that are on. `onLayer` is called before each and may throw to cancel. */
export async function findActiveFeatures(
  model: LanguageModel,
  set: TranscoderSet,
  encoder: Encoder,
  run: ForwardResult,
  firstPos: number,
  onLayer: (layer: number) => Promise<void>,
): Promise<ActiveFeatures> {
  const parts: ActiveFeatures[] = [];
  for (let layer = 0; layer < set.layers.length; layer++) {
    await onLayer(layer);
    parts.push(await encoder.activeAt(layer, featureInput(set.inputHook, model, run, layer), run.nPos, firstPos));
  }
  return joinActive(parts);
}

/** Reads the active features' decoder rows and takes the transcoders' output apart from the model's. */
export async function gatherSources(
  local: LocalModel,
  encoder: Encoder,
  active: ActiveFeatures,
  firstPos: number,
  onLayer: (layer: number) => Promise<void>,
): Promise<Sources> {
  const { run, set } = local;
  const nLayers = set.layers.length;
  checkMemory(bytesOfSources(active, set), availableBytes(), active.count);
  const columns: SourceColumns = {
    active,
    nLayers,
    nPos: run.nPos,
    firstPos,
    count: active.count + nLayers * run.nPos + run.nPos,
    featureStart: featureStarts(active, nLayers, run.nPos),
  };
  const written: WrittenBlock[] = [];
  const reconstruction: Float32Array[] = [];
  const errors: Float32Array[] = [];
  for (let layer = 0; layer < nLayers; layer++) {
    await onLayer(layer);
    const block = featureBlock(columns, set, layer);
    const decoded = await reconstruct(local, encoder, block, layer);
    const error = errorVectors(featureOutput(set.outputHook, run, layer), decoded, firstPos, set.dModel);
    addErrors(columns, block, layer, error);
    for (let place = 0; place < block.columns.length; place++) {
      const pos = firstPos + Math.floor(place / block.width);
      local.scaleWriting(layer, pos, block.vectors.subarray(place * set.dModel, (place + 1) * set.dModel));
    }
    written.push(block);
    reconstruction.push(decoded);
    errors.push(error);
  }
  return { ...columns, written, reconstruction, errors };
}

/** What the decoder rows of all active features take in memory, for every layer they write to. */
function bytesOfSources(active: ActiveFeatures, set: TranscoderSet): number {
  let rows = 0;
  for (const layer of active.layer) rows += set.layers[layer].slots.length;
  return rows * set.dModel * 4;
}

/** UserError when the sources would not fit, before anything is read. */
export function checkMemory(needed: number, available: number, count: number): void {
  if (needed <= available) return;
  const gigabytes = (bytes: number) => `${(bytes / 1e9).toFixed(1)} GB`;
  throw new UserError(
    'trace.tooLarge',
    `${count} features are active on this prompt; what they write takes ${gigabytes(needed)}, and ${gigabytes(available)} are free.`,
    'Trace a shorter prompt, choose a sparser or per-layer transcoder set, or close other programs.',
  );
}

/** What may be used: newer versions of Node know what the system could free, older ones only what is free. */
function availableBytes(): number {
  const known: unknown = Reflect.get(process, 'availableMemory');
  return typeof known === 'function' ? Number(known.call(process)) : os.freemem();
}

/** Activation · decoder row of every feature that writes to the layer; the first place of each position is left free. */
function featureBlock(columns: SourceColumns, set: TranscoderSet, writeLayer: number): WrittenBlock {
  const { active, nPos, firstPos, featureStart } = columns;
  const { dModel } = set;
  const slots = set.layers.slice(0, writeLayer + 1).flatMap(({ slots: all }, layer) => {
    const slot = all.find((each) => each.writeLayer === writeLayer);
    return slot ? [{ layer, slot }] : [];
  });
  const used = new Uint32Array(nPos).fill(1);
  for (const { layer } of slots) {
    for (let pos = 0; pos < nPos; pos++)
      used[pos] += featureStart[layer * nPos + pos + 1] - featureStart[layer * nPos + pos];
  }
  const width = used.reduce((most, count) => Math.max(most, count), 1);
  const span = Math.max(nPos - firstPos, 0);
  const vectors = new Float32Array(span * width * dModel);
  const places = new Int32Array(span * width).fill(-1);
  const next = new Uint32Array(nPos).fill(1);
  for (const { layer, slot } of slots) {
    const first = featureStart[layer * nPos];
    const order = Uint32Array.from({ length: featureStart[(layer + 1) * nPos] - first }, (_, index) => first + index);
    order.sort((a, b) => active.feature[a] - active.feature[b]);
    for (let from = 0; from < order.length; from += rowsAtOnce) {
      const part = order.subarray(from, from + rowsAtOnce);
      const rows = decoderRows(
        slot,
        Uint32Array.from(part, (index) => active.feature[index]),
        dModel,
      );
      part.forEach((index, row) => {
        const place = (active.pos[index] - firstPos) * width + next[active.pos[index]]++;
        places[place] = index;
        const activation = active.activation[index];
        for (let i = 0; i < dModel; i++) vectors[place * dModel + i] = rows[row * dModel + i] * activation;
      });
    }
  }
  return { firstPos, nPos, width, vectors, columns: places };
}

/** [pos, dModel] bias + what the features write + skip, at the output hook. */
async function reconstruct(
  local: LocalModel,
  encoder: Encoder,
  block: WrittenBlock,
  layer: number,
): Promise<Float32Array> {
  const { model, run, set } = local;
  const { dModel } = set;
  const decoded = new Float32Array(run.nPos * dModel);
  const sum = new Float64Array(dModel);
  for (let pos = 0; pos < run.nPos; pos++) {
    sum.set(set.decoderBias[layer]);
    for (
      let place = (pos - block.firstPos) * block.width;
      pos >= block.firstPos && place < (pos - block.firstPos + 1) * block.width;
      place++
    ) {
      if (block.columns[place] < 0) continue;
      for (let i = 0; i < dModel; i++) sum[i] += block.vectors[place * dModel + i];
    }
    decoded.set(sum, pos * dModel);
  }
  if (set.layers[layer].skip) {
    await encoder.addSkip(layer, featureInput(set.inputHook, model, run, layer), run.nPos, decoded);
  }
  return decoded;
}

function errorVectors(output: Float32Array, decoded: Float32Array, firstPos: number, dModel: number): Float32Array {
  const error = new Float32Array(output.length);
  for (let place = firstPos * dModel; place < output.length; place++) error[place] = output[place] - decoded[place];
  return error;
}

function addErrors(columns: SourceColumns, block: WrittenBlock, layer: number, error: Float32Array): void {
  const dModel = error.length / columns.nPos;
  for (let pos = block.firstPos; pos < columns.nPos; pos++) {
    const place = (pos - block.firstPos) * block.width;
    block.columns[place] = errorColumn(columns, layer, pos);
    block.vectors.set(error.subarray(pos * dModel, (pos + 1) * dModel), place * dModel);
  }
}

function featureStarts(active: ActiveFeatures, nLayers: number, nPos: number): Uint32Array {
  const start = new Uint32Array(nLayers * nPos + 1);
  for (let index = 0; index < active.count; index++) start[active.layer[index] * nPos + active.pos[index] + 1]++;
  for (let place = 0; place < nLayers * nPos; place++) start[place + 1] += start[place];
  return start;
}
