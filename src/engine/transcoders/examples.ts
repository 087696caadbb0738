import fs from 'node:fs';
import path from 'node:path';
import { gunzipSync } from 'node:zlib';
import { pairFeature } from '../../graph/featureNumber.ts';
import { UserError } from '../../protocol/errors.ts';
import { isRecord, parseJsonObject } from '../model/readJson.ts';
import { type FeatureExamples, parseFeatureExamples } from './featureJson.ts';

/** The largest published index (28 layers of 163,840 features) unpacks to some 60 MB. */
const maxIndexBytes = 256 * 2 ** 20;
/** Published records are a few kilobytes packed; what unpacks to more than this is an attack on memory. */
const maxRecordBytes = 32 * 2 ** 20;
const maxLayers = 4096;
const maxFeatures = 2 ** 22;

/** Where the records of one layer are: feature f in bytes offsets[f] to offsets[f + 1] of a file. */
type LayerIndex = { readonly filename: string; readonly offsets: Float64Array };
export type ExampleIndex = ReadonlyMap<number, LayerIndex>;

/** True when the set's folder has example files, packed by layer or single. */
export function hasExamples(setFolder: string): boolean {
  const folder = path.join(setFolder, 'features');
  if (fileSize(path.join(folder, 'index.json.gz')) !== null) return true;
  return isFolder(folder) && fs.readdirSync(folder).some((name) => /^\d+\.json$/.test(name));
}

/**
 * Reads the examples of one feature: from `features/index.json.gz` and the files that it names, otherwise from
 * `features/{n}.json` with n the feature's Cantor number.
 * @param index the set's index, when it has been read before (`readExampleIndex`)
 * @returns null when the set has none for this feature
 * @throws UserError when the files are damaged or larger than such files are
 */
export function readFeatureExamples(
  setFolder: string,
  layer: number,
  feature: number,
  index: ExampleIndex | null = readExampleIndex(setFolder),
): FeatureExamples | null {
  const folder = path.join(setFolder, 'features');
  const place = index?.get(layer);
  if (place && feature + 1 < place.offsets.length) {
    const record = readRecord(path.join(folder, place.filename), place.offsets[feature], place.offsets[feature + 1]);
    return record && parseFeatureExamples(unpackRecord(record, place.filename));
  }
  const single = path.join(folder, `${pairFeature(layer, feature)}.json`);
  const size = fileSize(single);
  if (size === null) return null;
  if (size > maxRecordBytes) throw damaged(`${path.basename(single)} has ${size} bytes`);
  return parseFeatureExamples(parseJsonObject(fs.readFileSync(single, 'utf8'), path.basename(single)));
}

/**
 * The set's index of example files; null when it has none. Large for large sets: keep it while the set is loaded.
 * @throws UserError when it is damaged, or names files outside of its folder
 */
export function readExampleIndex(setFolder: string): ExampleIndex | null {
  const file = path.join(setFolder, 'features', 'index.json.gz');
  const size = fileSize(file);
  if (size === null) return null;
  if (size > maxIndexBytes) throw damaged(`index.json.gz has ${size} bytes`);
  const index = new Map<number, LayerIndex>();
  const layers = parseJsonObject(unzip(fs.readFileSync(file), maxIndexBytes, 'index.json.gz'), 'index.json.gz');
  for (const [name, entry] of Object.entries(layers)) {
    const layer = /^\d{1,4}$/.test(name) ? Number(name) : maxLayers;
    if (layer >= maxLayers || !isRecord(entry)) throw damaged(`its index has an entry "${name.slice(0, 40)}"`);
    index.set(layer, layerIndex(entry, layer));
  }
  return index;
}

function layerIndex({ filename, offsets }: Record<string, unknown>, layer: number): LayerIndex {
  if (typeof filename !== 'string' || !/^[\w][\w.-]{0,199}$/.test(filename)) {
    throw damaged(`its index names no plain file for layer ${layer}`);
  }
  if (!Array.isArray(offsets) || offsets.length > maxFeatures)
    throw damaged(`its index has no offsets for layer ${layer}`);
  let before = 0;
  const checked = Float64Array.from(offsets, (offset) => {
    if (!Number.isSafeInteger(offset) || offset < before) throw damaged(`the offsets of layer ${layer} do not ascend`);
    before = offset;
    return offset;
  });
  return { filename, offsets: checked };
}

/** The packed record in a range of bytes: null when it is empty. Its own length counts, not the end of the range. */
function readRecord(file: string, start: number, end: number): Buffer | null {
  if (end - start <= 4) return null;
  const name = path.basename(file);
  if (end - start > maxRecordBytes) throw damaged(`a record of ${name} has ${end - start} bytes`);
  if (fileSize(file) === null) throw damaged(`${name} is missing`);
  const descriptor = fs.openSync(file, 'r');
  try {
    const bytes = Buffer.alloc(end - start);
    const count = fs.readSync(descriptor, bytes, 0, bytes.length, start);
    const length = count < 4 ? Number.POSITIVE_INFINITY : bytes.readUInt32LE(0);
    if (length > count - 4) throw damaged(`${name} ends inside of the record at ${start}`);
    return bytes.subarray(4, 4 + length);
  } finally {
    fs.closeSync(descriptor);
  }
}

function unpackRecord(record: Buffer, name: string): Record<string, unknown> {
  return parseJsonObject(unzip(record, maxRecordBytes, name), name);
}

function unzip(bytes: Buffer, maxOutputLength: number, name: string): string {
  try {
    return gunzipSync(bytes, { maxOutputLength }).toString('utf8');
  } catch (error) {
    const isTooLarge = error instanceof RangeError;
    const reason = isTooLarge ? `unpacks to more than ${maxOutputLength / 2 ** 20} MB` : 'is not gzip that can be read';
    throw damaged(`${name} ${reason}`);
  }
}

/** Null for what is no file: nothing, a folder, a pipe. */
function fileSize(file: string): number | null {
  const stat = fs.statSync(file, { throwIfNoEntry: false });
  return stat?.isFile() ? stat.size : null;
}

function isFolder(folder: string): boolean {
  return fs.statSync(folder, { throwIfNoEntry: false })?.isDirectory() ?? false;
}

function damaged(what: string): UserError {
  return new UserError(
    'examples.damaged',
    `The set's feature examples cannot be read: ${what}.`,
    'Get the folder "features" of the transcoder set again. Traces work without it.',
  );
}
