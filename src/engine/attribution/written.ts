import type { TranscoderSet } from '../transcoders/transcoder.ts';
import { type DecoderTable, featureTable } from './decoderTable.ts';
import type { PositionRange } from './localModel.ts';
import type { Scratch } from './scratch.ts';
import { featureBlock, type SourceColumns, type WrittenBlock } from './writtenBlock.ts';

/** What features write to a layer, and all of it together. */
export type Written = {
  /** Its errors are still 0. */
  readonly vectors: WrittenBlock | DecoderTable;
  /** [position of the range, dModel] what the transcoders give there, biases included */
  readonly sums: Float64Array;
};

/**
 * Gathers what features write to a layer at some positions.
 * @param isTable each decoder row once
 * @param newFloats gives the arrays; null: the sums are wanted, what else there is in `scratch` is good until the next call
 */
export function writtenTo(
  columns: SourceColumns,
  set: TranscoderSet,
  writeLayer: number,
  range: PositionRange,
  isTable: boolean,
  scratch: Scratch,
  newFloats: ((length: number) => Float32Array) | null,
): Written {
  const sums = biasSums(set, writeLayer, range);
  const vectors =
    isTable && newFloats
      ? featureTable(columns, set, writeLayer, range, scratch, newFloats, sums)
      : featureBlock(columns, set, writeLayer, range, scratch, { newVectors: newFloats ?? undefined, sums });
  return { vectors, sums };
}

/** [position of the range, dModel] what is written where no feature is on */
function biasSums(set: TranscoderSet, writeLayer: number, { from, to }: PositionRange): Float64Array {
  const sums = new Float64Array((to - from) * set.dModel);
  for (let start = 0; start < sums.length; start += set.dModel) sums.set(set.decoderBias[writeLayer], start);
  return sums;
}
