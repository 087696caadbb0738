import fs from 'node:fs';
import path from 'node:path';
import { UserError } from '../../protocol/errors.ts';

/** A configuration file is a few kilobytes; an index of shards or a vocabulary some megabytes. */
const defaultLimits = { bytes: 64 * 2 ** 20, depth: 32 };

/**
 * Reads a JSON object from a file that came from outside: bounded in size and nesting before it is parsed.
 * UserError when the file is missing, too large, nested too deeply, not JSON or not an object.
 */
export function readJsonFile(file: string, limits = defaultLimits): Record<string, unknown> {
  const name = path.basename(file);
  const stat = fs.statSync(file, { throwIfNoEntry: false });
  if (!stat?.isFile()) {
    throw new UserError('file.missing', `There is no file ${name} in ${path.dirname(file)}.`, 'Choose another folder.');
  }
  if (stat.size > limits.bytes) {
    throw new UserError(
      'file.tooLarge',
      `${name} has ${stat.size} bytes; at most ${limits.bytes} are read.`,
      'Get the file again from where the model was published.',
    );
  }
  return parseJsonObject(fs.readFileSync(file, 'utf8'), name, limits.depth);
}

/** @param name how messages call the text, such as its file's name */
export function parseJsonObject(text: string, name: string, depth = defaultLimits.depth): Record<string, unknown> {
  const remedy = 'Get the file again from where it was published.';
  if (nesting(text) > depth) {
    throw new UserError('file.tooDeep', `${name} is nested more than ${depth} levels deep.`, remedy);
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new UserError('file.notJson', `${name} is not valid JSON: ${(error as Error).message}`, remedy);
  }
  if (!isRecord(value)) throw new UserError('file.notJson', `${name} does not hold a JSON object.`, remedy);
  return value;
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The deepest nesting of brackets outside strings. */
function nesting(text: string): number {
  let depth = 0;
  let deepest = 0;
  let inString = false;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (inString) {
      if (unit === 92) i++;
      else if (unit === 34) inString = false;
    } else if (unit === 34) inString = true;
    else if (unit === 123 || unit === 91) deepest = Math.max(deepest, ++depth);
    else if (unit === 125 || unit === 93) depth--;
  }
  return deepest;
}
