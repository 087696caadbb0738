import fs from 'node:fs';
import path from 'node:path';
import { UserError } from '../../protocol/errors.ts';
import { isRecord, readJsonFile } from './readJson.ts';
import { SafetensorsFile, type StoredTensor } from './safetensors.ts';

/** All tensors of a model folder: one file, or the shards that its index names. */
export class ModelFiles {
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  readonly #files: readonly SafetensorsFile[];

  /** UserError when files are missing (each named), or one of them is cut or not what the format allows. */
  constructor(folder: string) {
    const names = weightFileNames(folder);
    const files: SafetensorsFile[] = [];
    this.#files = files;
    const tensors = new Map<string, StoredTensor>();
    this.tensors = tensors;
    try {
      for (const name of names) {
        const file = new SafetensorsFile(path.join(folder, name));
        files.push(file);
        for (const tensor of file.tensors.values()) tensors.set(tensor.name, tensor);
      }
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /** Bytes of all weights. */
  get bytes(): number {
    return this.#files.reduce(
      (sum, file) => sum + [...file.tensors.values()].reduce((part, t) => part + t.bytes, 0),
      0,
    );
  }

  [Symbol.dispose](): void {
    for (const file of this.#files) file[Symbol.dispose]();
  }
}

/** Names of a model folder's weight files, in a fixed order. UserError when some are missing. */
export function weightFileNames(folder: string): string[] {
  if (!fs.statSync(folder, { throwIfNoEntry: false })?.isDirectory()) {
    throw new UserError('model.missing', `There is no folder ${folder}.`, 'Choose a model folder that exists.');
  }
  if (fs.existsSync(path.join(folder, 'model.safetensors'))) return ['model.safetensors'];
  const index = path.join(folder, 'model.safetensors.index.json');
  if (!fs.existsSync(index)) throw noWeights(folder);

  const map = readJsonFile(index).weight_map;
  const shards = isRecord(map) ? [...new Set(Object.values(map))] : [];
  if (shards.length === 0) {
    throw new UserError('model.index', `${index} names no shards.`, 'Download the file again.');
  }
  const names = shards.map((shard) => {
    if (typeof shard !== 'string' || shard !== path.basename(shard) || !shard.endsWith('.safetensors')) {
      const shown = (JSON.stringify(shard) ?? '').slice(0, 120);
      throw new UserError(
        'model.index',
        `${index} names the shard ${shown}; only .safetensors files of the same folder are read.`,
        'Get the model again from where it was published.',
      );
    }
    return shard;
  });
  const missing = names.filter((name) => !fs.existsSync(path.join(folder, name))).sort();
  if (missing.length > 0) {
    const more = missing.length > 3 ? ` and ${missing.length - 3} more` : '';
    throw new UserError(
      'model.shardMissing',
      `${missing.length} of ${names.length} weight files are missing in ${folder}: ${missing.slice(0, 3).join(', ')}${more}.`,
      'Download the missing files.',
    );
  }
  return names.sort();
}

function noWeights(folder: string): UserError {
  const other = fs.readdirSync(folder).filter((name) => /\.(bin|gguf|pt|pth|onnx)$/.test(name));
  const found = other.length > 0 ? ` It has ${other.slice(0, 3).join(', ')}, which can't be read here.` : '';
  return new UserError(
    'model.noWeights',
    `${folder} has neither model.safetensors nor model.safetensors.index.json.${found}`,
    'Choose a folder with a model in the safetensors format, or download its weights.',
  );
}
