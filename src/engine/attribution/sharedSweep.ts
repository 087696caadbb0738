import type { ModelDimensions } from '../model/languageModel.ts';
import { type AttentionCapture, carryPattern } from './carryPattern.ts';
import type { CarryWeights } from './carryWeights.ts';
import { blocksOf, type DecoderTable } from './decoderTable.ts';
import type { SweepPrompt } from './descent.ts';
import type { PreparedSweep } from './directEffects.ts';
import type { LocalModel, PositionRange, SkipWeights } from './localModel.ts';
import { type ColumnPlan, columnPlan } from './rowColumns.ts';
import { Scratch } from './scratch.ts';
import { asShared, PrivateCopies } from './sharedMemory.ts';
import type { SpecialTokens } from './specialTokens.ts';
import { tokenBlock, tokenColumn, type WrittenBlock } from './writtenBlock.ts';

/** A prompt as it is sent to worker threads: what is large lies in shared memory, the rest is copied on the way. */
export type SharedSweep = {
  readonly dimensions: ModelDimensions;
  readonly nColumns: number;
  readonly plan: ColumnPlan;
  readonly firstTokenColumn: number;
  readonly special: SpecialTokens;
  readonly layers: readonly SharedLayer[];
  readonly tokens: WrittenBlock;
};

type SharedLayer = {
  readonly weights: CarryWeights;
  readonly skip: SkipWeights | null;
  readonly capture: AttentionCapture;
  readonly written: WrittenBlock | DecoderTable;
};

/** Whether worker threads could sweep a run, given what is written to it. */
export function canBeShared({ isShared, run }: LocalModel): boolean {
  return isShared && run.layers.every(({ attnFactors }) => attnFactors === null);
}

/** Null where the prompt is too large for it, or not laid out for it: then it is swept here. */
export function sharedSweep({ local, sources, special }: PreparedSweep): SharedSweep | null {
  const { run, model } = local;
  const { firstPos, nPos, written, tables } = sources;
  if (!canBeShared(local) || firstPos >= nPos || (written.length === 0 && tables.length === 0)) return null;
  return {
    dimensions: model.dimensions,
    nColumns: sources.count,
    plan: columnPlan(sources),
    firstTokenColumn: tokenColumn(sources, 0),
    special,
    layers: run.layers.map(({ attnPattern, attnNormScale, postAttnNormScale }, layer) => ({
      weights: local.carryWeights(layer),
      skip: local.skipWeights(layer),
      capture: { attnPattern: asShared(attnPattern), attnFactors: null, attnNormScale, postAttnNormScale },
      written: sources.tables[layer] ?? sources.written[layer],
    })),
    tokens: tokenBlock(sources, run.tokenVectors, firstPos),
  };
}

/** The same prompt, what of it threads can share read layer by layer through private copies: ONNX Runtime needs them. */
export function withPrivateCopies(prompt: SweepPrompt): SweepPrompt {
  const copies = new PrivateCopies();
  return {
    ...prompt,
    carryWeights: (layer) => {
      const { output, value } = prompt.carryWeights(layer);
      return { output: copies.of('output', output), value: copies.of('value', value) };
    },
    skipWeights: (layer) => {
      const skip = prompt.skipWeights(layer);
      return skip && { ...skip, matrix: copies.of('skip', skip.matrix) };
    },
    blockBelow: (layer, positions) => {
      const block = prompt.blockBelow(layer, positions);
      if (!block) return null;
      const length = (positions.to - positions.from) * block.width * prompt.dimensions.dModel;
      return { ...block, vectors: copies.of('vectors', block.vectors.subarray(0, length)) };
    },
  };
}

/** A shared prompt as the sweep reads it. */
export function promptFromShared(shared: SharedSweep): SweepPrompt {
  const { dimensions, nColumns, firstTokenColumn, special, layers, tokens } = shared;
  const scratch = new Scratch();
  return withPrivateCopies({
    dimensions,
    nColumns,
    firstTokenColumn,
    special,
    carryWeights: (layer) => layers[layer].weights,
    carryPattern: (layer: number, queries: PositionRange, keys: PositionRange) =>
      carryPattern(layers[layer].capture, dimensions, queries, keys),
    skipWeights: (layer) => layers[layer].skip,
    blockBelow: (layer) => {
      const written = layer === 0 ? tokens : layers[layer - 1].written;
      return 'rows' in written ? null : written;
    },
    piecesBelow: (layer, positions) => {
      const written = layers[layer - 1].written;
      return 'rows' in written ? blocksOf(written, positions, scratch) : [];
    },
  });
}
