import path from 'node:path';
import type { ModelDescription } from '../../protocol/engine.ts';
import { mostPatternBytes } from '../../protocol/limits.ts';
import type { Provider } from '../runtime/session.ts';
import { type ModelConfig, readConfig } from './config.ts';
import type { LanguageModel } from './languageModel.ts';
import { findLayout } from './layout.ts';
import { ModelFiles } from './modelFiles.ts';
import type { StoredTensor } from './safetensors.ts';
import { Transformer } from './transformer.ts';
import { WeightStore } from './weights.ts';

export type LoadModelOptions = {
  readonly device?: Provider;
  readonly signal?: AbortSignal;
  /** Prompts whose attention patterns take more run in parts, and make them again when they are asked for. */
  readonly patternBytes?: number;
  /** Weights of a model that take more than this as float32 are read from its files for every run. */
  readonly heldBytes?: number;
};

/**
 * Opens a model folder in the Hugging Face layout. Weights stay in the files until they are used.
 * UserError when the family is not known, files are missing or cut, or tensors are not what config.json says.
 */
export async function loadModel(folder: string, options: LoadModelOptions = {}): Promise<LanguageModel> {
  options.signal?.throwIfAborted();
  const config = readConfig(folder);
  const files = new ModelFiles(folder);
  try {
    const weights = new WeightStore(config, findLayout(config, files.tensors), options.heldBytes);
    const { device: provider = 'cpu', patternBytes = mostPatternBytes } = options;
    return new Transformer(folder, config, files, weights, { provider, patternBytes });
  } catch (error) {
    files[Symbol.dispose]();
    throw error;
  }
}

/** What a model folder holds, from its headers alone. Throws as `loadModel` does. */
export function describeModel(folder: string): ModelDescription {
  const config = readConfig(folder);
  using files = new ModelFiles(folder);
  findLayout(config, files.tensors);
  const { nLayers, dModel, dVocab, maxPositions } = config;
  return {
    folder,
    family: config.family.name,
    name: modelName(folder),
    nLayers,
    dModel,
    dVocab,
    maxPositions,
    parameters: countParameters(config, files.tensors),
    weightBytes: files.bytes,
    storedType: commonestType(files.tensors),
  };
}

/**
 * The folder's name, or `owner/name` for a snapshot in the hub's cache (`models--owner--name/snapshots/revision`), or
 * the name of the folder above one that is just called `model`.
 */
function modelName(folder: string): string {
  const parts = path.resolve(folder).split(path.sep);
  if (parts.at(-1) === 'model' && parts.length > 2) parts.pop();
  const repository = parts.at(-2) === 'snapshots' ? parts.at(-3) : undefined;
  return repository?.startsWith('models--')
    ? repository.slice('models--'.length).replace('--', '/')
    : (parts.at(-1) ?? folder);
}

/** Numbers that the text model's tensors hold; an MXFP4 byte holds two, and its scales are not parameters. */
function countParameters(config: ModelConfig, tensors: ReadonlyMap<string, StoredTensor>): number {
  let count = 0;
  for (const { name, size } of tensors.values()) {
    if (/vision_tower|multi_modal_projector|_scales$/.test(name)) continue;
    if (config.isTied && name.endsWith('lm_head.weight')) continue;
    count += name.endsWith('_blocks') ? size * 2 : size;
  }
  return count;
}

function commonestType(tensors: ReadonlyMap<string, StoredTensor>): string {
  const bytes = new Map<string, number>();
  for (const { name, type, bytes: own } of tensors.values()) {
    const shown = name.endsWith('_blocks') ? 'MXFP4' : type;
    bytes.set(shown, (bytes.get(shown) ?? 0) + own);
  }
  return [...bytes].sort((a, b) => b[1] - a[1])[0]?.[0] ?? 'F32';
}
