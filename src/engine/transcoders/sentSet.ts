import { descriptionOf, type TensorDescription, tensorAt } from './floatTensor.ts';
import type { LayerTranscoder, TranscoderSet } from './transcoder.ts';

/** A set as it can be sent to another thread: vectors, and where its matrices lie in files that are open in this one. */
export type SentSet = Omit<TranscoderSet, 'layers' | typeof Symbol.dispose> & {
  readonly layers: readonly LayerTranscoder<TensorDescription>[];
};

/** Null where a part of the set could not be read by another thread (compressed arrays). */
export function sentSet(set: TranscoderSet): SentSet | null {
  const { description, inputHook, outputHook, dModel, nFeatures, limit, decoderBias } = set;
  const layers = set.layers.map((layer) => withTensors(layer, descriptionOf));
  if (!layers.flatMap(tensorsOf).every(({ place }) => place)) return null;
  return { description, inputHook, outputHook, dModel, nFeatures, limit, decoderBias, layers };
}

/** The set in the thread that it was sent to. Its files belong to the one that sent it: disposing of it does nothing. */
export function receivedSet(sent: SentSet): TranscoderSet {
  return {
    ...sent,
    layers: sent.layers.map((layer) => withTensors(layer, tensorAt)),
    [Symbol.dispose]: () => {},
  };
}

function withTensors<From, To>(layer: LayerTranscoder<From>, change: (tensor: From) => To): LayerTranscoder<To> {
  const { encoder, slots, skip } = layer;
  return {
    ...layer,
    encoder: { ...encoder, tensor: change(encoder.tensor) },
    slots: slots.map((slot) => ({
      ...slot,
      tensor: change(slot.tensor),
      gain: slot.gain && change(slot.gain),
      onBias: slot.onBias && change(slot.onBias),
    })),
    skip: skip && { ...skip, tensor: change(skip.tensor) },
  };
}

function tensorsOf<Tensor>({ encoder, slots, skip }: LayerTranscoder<Tensor>): Tensor[] {
  const all = [encoder.tensor, ...slots.flatMap(({ tensor, gain, onBias }) => [tensor, gain, onBias]), skip?.tensor];
  return all.filter((tensor) => tensor !== null && tensor !== undefined);
}
