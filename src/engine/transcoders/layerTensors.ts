import { UserError } from '../../protocol/errors.ts';
import type { FloatTensor } from './floatTensor.ts';
import type { TensorFile } from './setFiles.ts';

/** The tensors of one layer by role, whatever their files call them. Shapes are not checked yet. */
export type LayerTensors = {
  readonly encoder: FloatTensor;
  readonly encoderBias: FloatTensor;
  readonly threshold: FloatTensor | null;
  /** One per offset from the own layer (sparsify), or a single one that holds all slots. */
  readonly decoders: readonly DecoderTensors[];
  readonly decoderBiases: readonly FloatTensor[];
  readonly skip: FloatTensor | null;
  /** Mean length of the vectors read or written, where the transcoder works on vectors of length √dModel; else null. */
  readonly inputNorm: number | null;
  readonly outputNorm: number | null;
};

/** A decoder; `gain` and `onBias` as in `DecoderSlot`. */
export type DecoderTensors = {
  readonly tensor: FloatTensor;
  readonly gain: FloatTensor | null;
  readonly onBias: FloatTensor | null;
};

/** UserError when the file lacks it. */
export function namedTensor(file: TensorFile, name: string): FloatTensor {
  const tensor = file.tensors.get(name);
  if (!tensor) throw refused(`have no tensor ${name} in ${file.path}`);
  return tensor;
}

/** @param why goes on from “The transcoders …” */
export function refused(why: string): UserError {
  return new UserError(
    'transcoders.refused',
    `The transcoders ${why}.`,
    'Get the set again from where it was published, or choose another.',
  );
}
