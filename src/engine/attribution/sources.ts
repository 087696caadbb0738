import os from 'node:os';
import process from 'node:process';
import { UserError } from '../../protocol/errors.ts';
import { mostWrittenBytes, mostWrittenShare, worthTables } from '../../protocol/limits.ts';
import type { ForwardResult, LanguageModel } from '../model/languageModel.ts';
import { type ActiveFeatures, type Encoder, joinActive } from '../transcoders/encode.ts';
import { featureInput, featureOutput } from '../transcoders/tapPoint.ts';
import type { TranscoderSet } from '../transcoders/transcoder.ts';
import { bytesOfTables, type DecoderTable, withErrorRows } from './decoderTable.ts';
import type { FeatureThreads } from './featureThreads.ts';
import type { LocalModel, PositionRange } from './localModel.ts';
import { Scratch } from './scratch.ts';
import { sharedFloats } from './sharedMemory.ts';
import { canBeShared } from './sharedSweep.ts';
import { type Written, writtenTo } from './written.ts';
import {
  errorColumn,
  featureBlock,
  pieceRanges,
  type SourceColumns,
  sourceColumns,
  type WrittenBlock,
} from './writtenBlock.ts';

/** Everything on a prompt that can have an effect, and what the transcoders leave unexplained. */
export type Sources = SourceColumns & {
  /**
   * By layer written, at the residual stream after that layer's MLP. Empty where that would take too much memory, or
   * much more than need be: then there are `tables`, or `writtenAt` makes parts of it.
   */
  readonly written: readonly WrittenBlock[];
  /** In its stead, where that takes less: by layer written. Else empty. */
  readonly tables: readonly DecoderTable[];
  /** Whether what features write fits into memory whole: then rows of effects are kept whole too. */
  readonly fitsWhole: boolean;
  /** By layer: [pos, dModel] what the transcoders give at the output hook. */
  readonly reconstruction: readonly Float32Array[];
  /** By layer: [pos, dModel] what the model gives there less the reconstruction; 0 at special positions. */
  readonly errors: readonly Float32Array[];
};

export type GatherOptions = {
  /** Where what is kept is gathered; absent or null: in this thread. */
  readonly threads?: FeatureThreads | null;
  /** Of what features write that may be kept, and the same, each decoder row once. */
  readonly mostBytes?: number;
  readonly mostTableBytes?: number;
  /** Memory that is free, in bytes. */
  readonly available?: number;
};

/**
 * Encodes every layer: the features that are on. `onLayer` is called before each and may throw to cancel.
 * @param mask [nPos] 1 where features are sources of their own; null: everywhere
 */
export async function findActiveFeatures(
  model: LanguageModel,
  set: TranscoderSet,
  encoder: Encoder,
  run: ForwardResult,
  firstPos: number,
  onLayer: (layer: number) => Promise<void>,
  mask: Uint8Array | null = null,
): Promise<ActiveFeatures> {
  const ranges = rangesToEncode(mask, firstPos, run.nPos);
  const parts: ActiveFeatures[] = [];
  for (let layer = 0; layer < set.layers.length; layer++) {
    await onLayer(layer);
    const input = featureInput(set.inputHook, model, run, layer);
    for (const [index, { from, to }] of ranges.entries()) {
      const next = index + 1 < ranges.length ? layer : layer + 1;
      parts.push(await encoder.activeAt(layer, input, to, from, next));
    }
  }
  return joinActive(parts);
}

/** Where features are sources of their own: all positions from the first, or the runs of ones of a mask. */
export function rangesToEncode(mask: Uint8Array | null, firstPos: number, nPos: number): PositionRange[] {
  return mask ? rangesOf(mask, firstPos) : [{ from: firstPos, to: nPos }];
}

/** Runs of ones from `firstPos` on. */
function rangesOf(mask: Uint8Array, firstPos: number): PositionRange[] {
  const ranges: PositionRange[] = [];
  for (let pos = firstPos; pos < mask.length; pos++) {
    if (!mask[pos]) continue;
    const from = pos;
    while (pos < mask.length && mask[pos]) pos++;
    ranges.push({ from, to: pos });
  }
  return ranges;
}

/**
 * Reads the active features' decoder rows and takes the transcoders' output apart from the model's. Where features are
 * no sources of their own, their layer's error holds all that the MLP writes but bias and skip.
 */
export async function gatherSources(
  local: LocalModel,
  encoder: Encoder,
  active: ActiveFeatures,
  firstPos: number,
  onLayer: (layer: number) => Promise<void>,
  {
    threads = null,
    mostBytes = mostWrittenBytes,
    mostTableBytes = mostBytes,
    available = availableBytes(),
  }: GatherOptions = {},
): Promise<Sources> {
  const { run, set } = local;
  const nLayers = set.layers.length;
  const columns = sourceColumns(active, nLayers, run.nPos, firstPos);
  const most = mostWrittenShare * available;
  const writtenBytes = bytesOfWritten(active, set);
  const fitsWhole = writtenBytes <= Math.min(mostBytes, most);
  const tableBytes = fitsWhole && !canBeShared(local) ? Number.POSITIVE_INFINITY : bytesOfTables(columns, set);
  // Tables take far less memory where the same features fire again and again, and a little more time: all there is where
  // the whole does not fit.
  const isWorthTables = !fitsWhole || tableBytes <= worthTables * writtenBytes;
  const isTables = isWorthTables && tableBytes <= Math.min(mostTableBytes, most);
  const isKept = fitsWhole && !isTables;
  // Reconstruction and errors are kept in any case.
  const kept = isKept ? writtenBytes : isTables ? tableBytes : 0;
  checkMemory(2 * nLayers * run.nPos * set.dModel * 4 + kept, available, active.count);
  const all = { from: Math.min(firstPos, run.nPos), to: run.nPos };
  const written: WrittenBlock[] = [];
  const tables: DecoderTable[] = [];
  const reconstruction: Float32Array[] = [];
  const errors: Float32Array[] = [];
  const scratch = new Scratch();
  const newArray = local.isShared ? sharedFloats : (length: number) => new Float32Array(length);
  const isWhole = isKept || isTables;
  const gathered = isWhole ? (threads?.gather(columns, all, isTables) ?? null) : null;
  const gatheredHere = (layer: number, range: PositionRange) =>
    writtenTo(columns, set, layer, range, isTables, scratch, isWhole ? newArray : null);
  for (let layer = 0; layer < nLayers; layer++) {
    await onLayer(layer);
    const decoded = new Float32Array(run.nPos * set.dModel);
    for (let pos = 0; pos < all.from; pos++) decoded.set(set.decoderBias[layer], pos * set.dModel);
    const vectors: Written['vectors'][] = [];
    for (const range of isWhole ? [all] : pieceRanges(columns, set, layer, all)) {
      const written = gathered ? await gathered(layer) : gatheredHere(layer, range);
      decoded.set(written.sums, range.from * set.dModel);
      if (isWhole) vectors.push(written.vectors);
    }
    if (set.layers[layer].skip) {
      await encoder.addSkip(layer, featureInput(set.inputHook, local.model, run, layer), run.nPos, decoded);
    }
    const error = errorVectors(featureOutput(set.outputHook, run, layer), decoded, firstPos, set.dModel);
    for (const each of vectors) {
      if ('rows' in each) tables.push(withErrorRows(local, columns, each, layer, error));
      else written.push(withErrors(local, columns, each, layer, error));
    }
    reconstruction.push(decoded);
    errors.push(error);
  }
  return { ...columns, written, tables, fitsWhole, reconstruction, errors };
}

/** What is written to a layer at some positions, read from the files again; good until the next. */
export function writtenAt(
  local: LocalModel,
  sources: Sources,
  layer: number,
  range: PositionRange,
  scratch: Scratch,
): WrittenBlock {
  const block = featureBlock(sources, local.set, layer, range, scratch);
  return withErrors(local, sources, block, layer, sources.errors[layer]);
}

/** What the decoder rows of all active features take in memory, for every layer they write to. */
function bytesOfWritten(active: ActiveFeatures, set: TranscoderSet): number {
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

function errorVectors(output: Float32Array, decoded: Float32Array, firstPos: number, dModel: number): Float32Array {
  const error = new Float32Array(output.length);
  for (let place = firstPos * dModel; place < output.length; place++) error[place] = output[place] - decoded[place];
  return error;
}

/** The block with the errors in the places left free, as it all enters the residual stream. In place. */
function withErrors(
  local: LocalModel,
  columns: SourceColumns,
  block: WrittenBlock,
  layer: number,
  error: Float32Array,
): WrittenBlock {
  const { dModel } = local.set;
  for (let pos = block.firstPos; pos < block.nPos; pos++) {
    const first = (pos - block.firstPos) * block.width;
    block.columns[first] = errorColumn(columns, layer, pos);
    block.vectors.set(error.subarray(pos * dModel, (pos + 1) * dModel), first * dModel);
    for (let place = first; place < first + block.width; place++) {
      local.scaleWriting(layer, pos, block.vectors.subarray(place * dModel, (place + 1) * dModel));
    }
  }
  return block;
}
