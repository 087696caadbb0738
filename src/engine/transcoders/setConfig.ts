import fs from 'node:fs';
import path from 'node:path';
import { parse } from 'yaml';
import { UserError } from '../../protocol/errors.ts';
import { isRecord } from '../model/readJson.ts';
import { type InputHook, inputHooks, type OutputHook, outputHooks } from './transcoder.ts';

/** A set's configuration is a list of some hundred lines. */
const maxConfigBytes = 1 << 20;

/** What a set's own files say about it; null: they don't say, and the layout decides. */
export type SetConfig = {
  readonly modelName: string | null;
  readonly kind: 'per-layer' | 'cross-layer' | null;
  readonly inputHook: InputHook | null;
  readonly outputHook: OutputHook | null;
  readonly scan: string;
  /** One reference per layer, in layer order. */
  readonly files: readonly string[] | null;
  readonly activation: 'topk' | 'relu' | null;
  readonly k: number | null;
};

/** Reads config.yaml of a set's folder; a folder without one gives a configuration that says nothing. */
export function readSetConfig(folder: string): SetConfig {
  const file = path.join(folder, 'config.yaml');
  const stat = fs.statSync(file, { throwIfNoEntry: false });
  if (!stat?.isFile()) return parseSetConfig({}, path.basename(folder));
  if (stat.size > maxConfigBytes) throw refused(`has ${stat.size} bytes; at most ${maxConfigBytes} are read`);
  let value: unknown;
  try {
    value = parse(fs.readFileSync(file, 'utf8'), { maxAliasCount: 0, schema: 'core' });
  } catch (error) {
    throw refused(`is not valid YAML: ${(error as Error).message.split('\n')[0]}`);
  }
  if (!isRecord(value)) throw refused('holds no list of fields');
  return parseSetConfig(value, path.basename(folder));
}

export function parseSetConfig(fields: Readonly<Record<string, unknown>>, name: string): SetConfig {
  const kind = oneOf(fields, 'model_kind', ['transcoder_set', 'cross_layer_transcoder'] as const);
  const activation = oneOf(fields, 'activation', ['topk', 'relu'] as const);
  const k = fields.k;
  if (activation === 'topk' && !(Number.isSafeInteger(k) && (k as number) > 0)) {
    throw refused(`says activation topk with k = ${shown(k)}; k must be a whole number above 0`);
  }
  return {
    modelName: text(fields, 'model_name'),
    kind: kind === null ? null : kind === 'transcoder_set' ? 'per-layer' : 'cross-layer',
    inputHook: oneOf(fields, 'feature_input_hook', inputHooks),
    outputHook: oneOf(fields, 'feature_output_hook', outputHooks),
    scan: text(fields, 'scan') ?? name,
    files: fileList(fields.transcoders),
    activation,
    k: activation === 'topk' ? (k as number) : null,
  };
}

const remedy = 'Correct the file, or get it again from where the set was published.';

function fileList(value: unknown): readonly string[] | null {
  if (value === undefined || value === null) return null;
  if (!Array.isArray(value) || value.length === 0 || value.length > 4096)
    throw refused('has a list `transcoders` that is no list of files');
  for (const item of value) {
    if (typeof item !== 'string' || item.length > 1000)
      throw refused(`lists ${shown(item)} under \`transcoders\`, which names no file`);
  }
  return value;
}

function oneOf<const T extends string>(
  fields: Readonly<Record<string, unknown>>,
  name: string,
  allowed: readonly T[],
): T | null {
  const value = fields[name];
  if (value === undefined || value === null) return null;
  const found = allowed.find((item) => item === value);
  if (found === undefined) throw refused(`says ${name}: ${shown(value)}; known are ${allowed.join(', ')}`);
  return found;
}

function text(fields: Readonly<Record<string, unknown>>, name: string): string | null {
  const value = fields[name];
  if (value === undefined || value === null) return null;
  if (typeof value !== 'string' || value.length > 1000)
    throw refused(`says ${name}: ${shown(value)}, which is no text`);
  return value;
}

function refused(why: string): UserError {
  return new UserError('transcoders.config', `The transcoders' config.yaml ${why}.`, remedy);
}

/** A value of a file in a message: short, whatever it is. */
export function shown(value: unknown): string {
  const words = JSON.stringify(value) ?? 'nothing';
  return words.length > 120 ? `${words.slice(0, 120)}…` : words;
}
