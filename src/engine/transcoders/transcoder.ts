import type { SetDescription } from '../../protocol/engine.ts';
import type { Limit } from './activation.ts';
import type { FloatTensor } from './floatTensor.ts';

/** Where encoders read; the three are easy to confuse and all give plausible numbers. */
export const inputHooks = ['hook_resid_mid', 'mlp.hook_in', 'ln2.hook_normalized'] as const;
export type InputHook = (typeof inputHooks)[number];

/** Where decoders write: the MLP's own output, or what is added to the residual stream (Gemma: after a norm). */
export const outputHooks = ['hook_mlp_out', 'mlp.hook_out'] as const;
export type OutputHook = (typeof outputHooks)[number];

/** A matrix as it is stored: [out, in] as `Linear` layers have it, or transposed. All of it counts times `scale`. */
export type StoredMatrix<Tensor = FloatTensor> = {
  readonly tensor: Tensor;
  readonly isTransposed: boolean;
  readonly scale: number;
};

/**
 * The decoder rows of a layer's features for one layer they write to: from number `feature · stride + offset` on; or
 * columns of a matrix stored [dModel, feature]. A feature that is on writes
 *   (activation + onBias[feature]) · gain[feature] · scale · row
 * and one that is off nothing; without `onBias` that is the activation times its row.
 */
export type DecoderSlot<Tensor = FloatTensor> = {
  readonly writeLayer: number;
  readonly tensor: Tensor;
  readonly isTransposed: boolean;
  readonly stride: number;
  readonly offset: number;
  readonly scale: number;
  /** [feature]; null: 1. */
  readonly gain: Tensor | null;
  /** [feature]; null: 0. */
  readonly onBias: Tensor | null;
};

/** One layer's encoder and where it writes. Weights lie in their files; vectors are in memory. */
export type LayerTranscoder<Tensor = FloatTensor> = {
  /** [feature, dModel] */
  readonly encoder: StoredMatrix<Tensor>;
  /** [feature] */
  readonly encoderBias: Float32Array;
  /** [feature]; null without JumpReLU. */
  readonly threshold: Float32Array | null;
  /** By layer written, ascending; per-layer sets have one. */
  readonly slots: readonly DecoderSlot<Tensor>[];
  /** [dModel, dModel], added to this layer's output as skip · input. */
  readonly skip: StoredMatrix<Tensor> | null;
};

/** What replaces a model's MLPs by sums of features. Owns its open files. */
export type TranscoderSet = {
  readonly description: SetDescription;
  readonly inputHook: InputHook;
  readonly outputHook: OutputHook;
  readonly dModel: number;
  readonly nFeatures: number;
  /** For sets that keep a number of features; null: ReLU, or JumpReLU where a layer has thresholds. */
  readonly limit: Limit | null;
  readonly layers: readonly LayerTranscoder[];
  /** [layer written][dModel], added once per layer. */
  readonly decoderBias: readonly Float32Array[];
  readonly [Symbol.dispose]: () => void;
};
