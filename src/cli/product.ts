import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { UserError } from '../protocol/errors.ts';

/** The folder of package.json: two up from the sources, one up from the bundle. */
export function productFolder(): string {
  let folder = path.dirname(fileURLToPath(import.meta.url));
  while (!fs.existsSync(path.join(folder, 'package.json'))) {
    const above = path.dirname(folder);
    if (above === folder) throw new Error('there is no package.json above the program');
    folder = above;
  }
  return folder;
}

export function version(): string {
  return String(JSON.parse(fs.readFileSync(path.join(productFolder(), 'package.json'), 'utf8')).version);
}

/** The pair that ships with the product. */
export function builtInPair(): { readonly model: string; readonly transcoders: string } {
  const folder = path.join(productFolder(), 'media', 'built-in-model');
  if (!fs.existsSync(folder)) {
    throw new UserError(
      'builtIn.missing',
      `The built-in model is not in ${folder}.`,
      'Name a model with --model and --transcoders.',
    );
  }
  return { model: path.join(folder, 'model'), transcoders: path.join(folder, 'per-layer') };
}
