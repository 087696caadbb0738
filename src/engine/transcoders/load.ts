import fs from 'node:fs';
import path from 'node:path';
import type { SetDescription } from '../../protocol/engine.ts';
import { UserError } from '../../protocol/errors.ts';
import type { ModelDimensions } from '../model/languageModel.ts';
import { type FloatTensor, wholeTensor } from './floatTensor.ts';
import { type LayerTensors, refused } from './layerTensors.ts';
import { arrangeLayers, type Layout } from './layouts.ts';
import { readSetConfig, type SetConfig } from './setConfig.ts';
import { findWeightFiles, openTensorFile, resolveReference, type TensorFile } from './setFiles.ts';
import { sparsifyInputHook } from './sparsify.ts';
import type { DecoderSlot, LayerTranscoder, TranscoderSet } from './transcoder.ts';

/**
 * Opens a transcoder set of any known layout. Weight matrices stay in their files; biases and thresholds are read.
 * UserError when something is missing, cut or of the wrong shape, or when the set does not fit the model.
 * @param dimensions of the model it is for; null to only look at it
 */
export function loadTranscoders(folder: string, dimensions: ModelDimensions | null): TranscoderSet {
  const config = readSetConfig(folder);
  const paths = weightFilesOfSet(folder, config);
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

/** The files that hold a set's weights, in layer order where its config.yaml lists them. UserError when one is missing. */
export function weightFilesOfSet(folder: string, config: SetConfig = readSetConfig(folder)): string[] {
  if (config.files === null) return findWeightFiles(folder);
  return config.files.map((reference) => resolveReference(folder, reference));
}

/** What a folder holds, without keeping anything open. */
export function describeTranscoders(folder: string): SetDescription {
  using set = loadTranscoders(folder, null);
  return set.description;
}

function buildSet(folder: string, config: SetConfig, files: readonly TensorFile[]): TranscoderSet {
  const { layout, layers: tensors } = arrangeLayers(files, config);
  const nFeatures = tensors[0].encoderBias.size;
  const [{ tensor: decoder }] = tensors[0].decoders;
  const dModel = meantShape(decoder).at(-1) ?? 0;
  if (nFeatures === 0 || dModel === 0) throw wrongShape(decoder, 'features × model width');
  const shape: SetShape = { nFeatures, dModel, nLayers: tensors.length };
  const layers = tensors.map((_, index) => buildLayer(tensors, index, shape, layout));
  const hasThreshold = layers.some((layer) => layer.threshold !== null);
  const limit = layout.limit ?? (config.k === null ? null : { type: 'topk' as const, k: config.k, clampsFirst: false });
  if (limit && limit.k > nFeatures) throw refused(`keep ${limit.k} features of ${nFeatures}`);
  if (limit?.type === 'groupmax' && nFeatures % limit.k !== 0) {
    throw refused(`keep the largest of each of ${limit.k} groups, which ${nFeatures} features cannot be divided into`);
  }
  const isCrossLayer = layers.some((layer) => layer.slots.length > 1);
  if (config.kind && layers.length > 1 && (config.kind === 'cross-layer') !== isCrossLayer) {
    throw refused(
      `are called ${config.kind} in config.yaml, but their decoders are ${isCrossLayer ? 'cross-layer' : 'per-layer'}`,
    );
  }
  const ownHook = layout.name === 'sparsify' ? sparsifyInputHook(folder) : null;
  const inputHook = config.inputHook ?? ownHook ?? layout.inputHook;
  const outputHook = config.outputHook ?? layout.outputHook;
  return {
    inputHook,
    outputHook,
    dModel,
    nFeatures,
    limit,
    layers,
    decoderBias: readDecoderBias(tensors, shape),
    description: {
      folder,
      kind: isCrossLayer || config.kind === 'cross-layer' ? 'cross-layer' : 'per-layer',
      layout: layout.name,
      activation: limit ? limit.type : hasThreshold ? 'jumprelu' : 'relu',
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

function buildLayer(all: readonly LayerTensors[], layer: number, shape: SetShape, layout: Layout): LayerTranscoder {
  const { nFeatures, dModel } = shape;
  const { encoder, encoderBias, threshold, skip } = all[layer];
  const inputScale = inputScaleOf(all[layer], dModel);
  const skipScale = inputScale * outputScaleOf(all[layer], dModel);
  checkShape(encoderBias, [[nFeatures]]);
  if (threshold) checkShape(threshold, [[nFeatures]]);
  if (skip) checkShape(skip, [[dModel, dModel]]);
  checkShape(encoder, [
    [nFeatures, dModel],
    [dModel, nFeatures],
  ]);
  const isTransposed = nFeatures === dModel ? layout.isEncoderTransposed : meantShape(encoder)[0] === dModel;
  return {
    encoder: { tensor: encoder, isTransposed: isTransposed !== encoder.isReversed, scale: inputScale },
    encoderBias: wholeTensor(encoderBias),
    threshold: threshold && wholeTensor(threshold),
    slots: decoderSlots(all, layer, shape),
    skip: skip && { tensor: skip, isTransposed: layout.isSkipTransposed !== skip.isReversed, scale: skipScale },
  };
}

/** Transcoders that normalize see inputs of mean length √dModel, and give outputs of that length. */
function inputScaleOf({ inputNorm }: LayerTensors, dModel: number): number {
  return inputNorm === null ? 1 : Math.sqrt(dModel) / inputNorm;
}

function outputScaleOf({ outputNorm }: LayerTensors, dModel: number): number {
  return outputNorm === null ? 1 : outputNorm / Math.sqrt(dModel);
}

/** Per layer [F, d]; cross-layer [F, L − layer, d], own layer first, or [F, L, d] with every layer. */
function decoderSlots(all: readonly LayerTensors[], layer: number, shape: SetShape): DecoderSlot[] {
  const { nFeatures, dModel, nLayers } = shape;
  const { decoders } = all[layer];
  const [{ tensor: decoder }] = decoders;
  const scaleTo = (writeLayer: number) => outputScaleOf(all[writeLayer], dModel);
  if (decoder.isReversed && decoder.shape.length > 2) throw wrongShape(decoder, 'an array stored by rows');
  if (decoders.length > 1 || decoder.shape.length === 2) {
    if (layer + decoders.length > nLayers)
      throw refused(`write from layer ${layer} to ${decoders.length} layers of ${nLayers}`);
    return decoders.map(({ tensor, gain, onBias }, index) => {
      const writeLayer = layer + index;
      checkShape(tensor, [[nFeatures, dModel]]);
      for (const vector of [gain, onBias]) if (vector) checkShape(vector, [[nFeatures]]);
      const place = { writeLayer, tensor, isTransposed: tensor.isReversed, stride: dModel, offset: 0 };
      return { ...place, scale: scaleTo(writeLayer), gain, onBias };
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
    scale: scaleTo(layer + index),
    gain: null,
    onBias: null,
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
      const scale = outputScaleOf(layers[layer + index], shape.dModel);
      wholeTensor(tensor).forEach((value, place) => {
        sum[place] += value * scale;
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
