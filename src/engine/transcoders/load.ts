import fs from 'node:fs';
import path from 'node:path';
import type { SetDescription } from '../../protocol/engine.ts';
import { UserError } from '../../protocol/errors.ts';
import type { ModelDimensions } from '../model/languageModel.ts';
import { type FloatTensor, wholeTensor } from './floatTensor.ts';
import { arrangeLayers, type LayerTensors, type Layout } from './layouts.ts';
import { readSetConfig, type SetConfig } from './setConfig.ts';
import { findWeightFiles, openTensorFile, resolveReference, type TensorFile } from './setFiles.ts';
import type { DecoderSlot, LayerTranscoder, TranscoderSet } from './transcoder.ts';

/**
 * Opens a transcoder set of any known layout. Weight matrices stay in their files; biases and thresholds are read.
 * UserError when something is missing, cut or of the wrong shape, or when the set does not fit the model.
 * @param dimensions of the model it is for; null to only look at it
 */
export function loadTranscoders(folder: string, dimensions: ModelDimensions | null): TranscoderSet {
  const config = readSetConfig(folder);
  const paths = config.files
    ? config.files.map((reference) => resolveReference(folder, reference))
    : findWeightFiles(folder);
  const files: TensorFile[] = [];
  try {
    for (const file of paths) files.push(openTensorFile(file));
    const set = buildSet(folder, config, files);
    if (dimensions) checkFits(set, dimensions);
    return set;
  } catch (error) {
    for (const file of files) file[Symbol.dispose]();
    throw error;
  }
}

/** What a folder holds, without keeping anything open. */
export function describeTranscoders(folder: string): SetDescription {
  using set = loadTranscoders(folder, null);
  return set.description;
}

function buildSet(folder: string, config: SetConfig, files: readonly TensorFile[]): TranscoderSet {
  const { layout, layers: tensors } = arrangeLayers(files, config);
  const nFeatures = tensors[0].encoderBias.size;
  const dModel = meantShape(tensors[0].decoders[0]).at(-1) ?? 0;
  if (nFeatures === 0 || dModel === 0) throw wrongShape(tensors[0].decoders[0], 'features × model width');
  const shape: SetShape = { nFeatures, dModel, nLayers: tensors.length };
  const layers = tensors.map((layer, index) => buildLayer(layer, index, shape, layout));
  const hasThreshold = layers.some((layer) => layer.threshold !== null);
  const topK = layout.topK ?? (config.k === null ? null : { k: config.k, clampsFirst: false });
  if (topK && topK.k > nFeatures) throw refused(`keep ${topK.k} features of ${nFeatures}`);
  const isCrossLayer = layers.some((layer) => layer.slots.length > 1);
  if (config.kind && layers.length > 1 && (config.kind === 'cross-layer') !== isCrossLayer) {
    throw refused(
      `are called ${config.kind} in config.yaml, but their decoders are ${isCrossLayer ? 'cross-layer' : 'per-layer'}`,
    );
  }
  const inputHook = config.inputHook ?? layout.inputHook;
  const outputHook = config.outputHook ?? layout.outputHook;
  return {
    inputHook,
    outputHook,
    dModel,
    nFeatures,
    topK,
    layers,
    decoderBias: readDecoderBias(tensors, shape),
    description: {
      folder,
      kind: isCrossLayer || config.kind === 'cross-layer' ? 'cross-layer' : 'per-layer',
      layout: layout.name,
      activation: topK ? 'topk' : hasThreshold ? 'jumprelu' : 'relu',
      nLayers: layers.length,
      featuresPerLayer: nFeatures,
      inputHook,
      outputHook,
      hasSkip: layers.some((layer) => layer.skip !== null),
      hasExamples: fs.existsSync(path.join(folder, 'features', 'index.json.gz')),
      weightBytes: files.reduce((sum, file) => sum + file.bytes, 0),
      scan: config.scan,
    },
    [Symbol.dispose]: () => {
      for (const file of files) file[Symbol.dispose]();
    },
  };
}

type SetShape = { readonly nFeatures: number; readonly dModel: number; readonly nLayers: number };

function buildLayer(tensors: LayerTensors, layer: number, shape: SetShape, layout: Layout): LayerTranscoder {
  const { nFeatures, dModel } = shape;
  const { encoder, encoderBias, threshold, skip } = tensors;
  checkShape(encoderBias, [[nFeatures]]);
  if (threshold) checkShape(threshold, [[nFeatures]]);
  if (skip) checkShape(skip, [[dModel, dModel]]);
  checkShape(encoder, [
    [nFeatures, dModel],
    [dModel, nFeatures],
  ]);
  const isTransposed = nFeatures === dModel ? layout.isEncoderTransposed : meantShape(encoder)[0] === dModel;
  return {
    encoder: { tensor: encoder, isTransposed: isTransposed !== encoder.isReversed },
    encoderBias: wholeTensor(encoderBias),
    threshold: threshold && wholeTensor(threshold),
    slots: decoderSlots(tensors.decoders, layer, shape),
    skip: skip && { tensor: skip, isTransposed: layout.isSkipTransposed !== skip.isReversed },
  };
}

/** Per layer [F, d]; cross-layer [F, L − layer, d], own layer first, or [F, L, d] with every layer. */
function decoderSlots(decoders: readonly FloatTensor[], layer: number, shape: SetShape): DecoderSlot[] {
  const { nFeatures, dModel, nLayers } = shape;
  const [decoder] = decoders;
  if (decoder.isReversed && decoder.shape.length > 2) throw wrongShape(decoder, 'an array stored by rows');
  if (decoders.length > 1 || decoder.shape.length === 2) {
    if (layer + decoders.length > nLayers)
      throw refused(`write from layer ${layer} to ${decoders.length} layers of ${nLayers}`);
    return decoders.map((tensor, index) => {
      checkShape(tensor, [[nFeatures, dModel]]);
      return { writeLayer: layer + index, tensor, isTransposed: tensor.isReversed, stride: dModel, offset: 0 };
    });
  }
  checkShape(decoder, [
    [nFeatures, nLayers - layer, dModel],
    [nFeatures, nLayers, dModel],
  ]);
  const first = decoder.shape[1] === nLayers ? layer : 0;
  return Array.from({ length: nLayers - layer }, (_, index) => ({
    writeLayer: layer + index,
    tensor: decoder,
    isTransposed: false,
    stride: decoder.shape[1] * dModel,
    offset: (first + index) * dModel,
  }));
}

/** Biases belong to the layer written: sparsify's several, one per offset, add up there. */
function readDecoderBias(layers: readonly LayerTensors[], shape: SetShape): Float32Array[] {
  const bias = Array.from({ length: shape.nLayers }, () => new Float32Array(shape.dModel));
  layers.forEach(({ decoderBiases }, layer) => {
    decoderBiases.forEach((tensor, index) => {
      checkShape(tensor, [[shape.dModel]]);
      const sum = bias[layer + index];
      if (!sum) throw refused(`write from layer ${layer} past the last of ${shape.nLayers}`);
      wholeTensor(tensor).forEach((value, place) => {
        sum[place] += value;
      });
    });
  });
  return bias;
}

function checkFits(set: TranscoderSet, dimensions: ModelDimensions): void {
  const { nLayers } = set.description;
  if (set.dModel === dimensions.dModel && nLayers === dimensions.nLayers) return;
  throw new UserError(
    'transcoders.wrongModel',
    `The transcoders are for a model of ${nLayers} layers and width ${set.dModel}; this one has ${dimensions.nLayers} layers and width ${dimensions.dModel}.`,
    'Choose the transcoders that were trained on this model.',
  );
}

function checkShape(tensor: FloatTensor, allowed: readonly (readonly number[])[]): void {
  const found = meantShape(tensor);
  const fits = (shape: readonly number[]) =>
    shape.length === found.length && shape.every((size, axis) => size === found[axis]);
  if (allowed.some(fits)) return;
  throw wrongShape(tensor, allowed.map((shape) => `[${shape}]`).join(' or '));
}

function meantShape(tensor: FloatTensor): readonly number[] {
  return tensor.isReversed ? [...tensor.shape].reverse() : tensor.shape;
}

function wrongShape(tensor: FloatTensor, expected: string): UserError {
  return refused(
    `have ${JSON.stringify(tensor.name)} of shape [${meantShape(tensor)}] in ${tensor.file}, where ${expected} is needed`,
  );
}

function refused(why: string): UserError {
  return new UserError(
    'transcoders.refused',
    `The transcoders ${why}.`,
    'Get the set again from where it was published, or choose another.',
  );
}
