import fs from 'node:fs';
import path from 'node:path';
import { UserError } from '../../protocol/errors.ts';
import { SafetensorsFile } from '../model/safetensors.ts';
import { type FloatTensor, floatTensorOf } from './floatTensor.ts';
import { NpzFile } from './npz.ts';

/** Weights lie at most this deep (`transcoder_all/layer_3/width_16k/average_l0_49/params.npz`), in at most so many files. */
const maxDepth = 5;
const maxFiles = 4096;

/** One open file of tensors, of either kind. */
export type TensorFile = {
  readonly path: string;
  readonly extension: '.safetensors' | '.npz';
  readonly bytes: number;
  readonly tensors: ReadonlyMap<string, FloatTensor>;
  readonly [Symbol.dispose]: () => void;
};

export function openTensorFile(file: string): TensorFile {
  const stat = fs.statSync(file, { throwIfNoEntry: false });
  if (!stat?.isFile()) throw missing(`There is no file ${file}.`);
  if (file.endsWith('.npz')) {
    const npz = new NpzFile(file);
    return {
      path: file,
      extension: '.npz',
      bytes: stat.size,
      tensors: npz.tensors,
      [Symbol.dispose]: () => npz[Symbol.dispose](),
    };
  }
  const stored = new SafetensorsFile(file);
  try {
    const tensors = new Map([...stored.tensors].map(([name, tensor]) => [name, floatTensorOf(tensor)]));
    return {
      path: file,
      extension: '.safetensors',
      bytes: stat.size,
      tensors,
      [Symbol.dispose]: () => stored[Symbol.dispose](),
    };
  } catch (error) {
    stored[Symbol.dispose]();
    throw error;
  }
}

/** Weight files below a folder, in the order of their paths; feature examples are left out. */
export function findWeightFiles(folder: string): string[] {
  const found: string[] = [];
  const visit = (directory: string, depth: number) => {
    for (const entry of fs.readdirSync(directory, { withFileTypes: true })) {
      if (found.length > maxFiles) throw missing(`${folder} holds more than ${maxFiles} weight files.`);
      const file = path.join(directory, entry.name);
      if (entry.isDirectory() && depth < maxDepth && entry.name !== 'features') visit(file, depth + 1);
      else if (entry.name.endsWith('.safetensors') || entry.name.endsWith('.npz')) found.push(file);
    }
  };
  if (!fs.statSync(folder, { throwIfNoEntry: false })?.isDirectory()) throw missing(`There is no folder ${folder}.`);
  visit(folder, 0);
  return found.sort((a, b) => a.localeCompare(b, 'en', { numeric: true }));
}

/**
 * The local file that a set's reference names: a path inside the folder, or `hf://owner/repo/path?revision=R`, looked
 * for in the folder (with and without owner and repo) and beside it in a hub cache.
 */
export function resolveReference(folder: string, reference: string): string {
  const hub = /^hf:\/\/([^/?]+)\/([^/?]+)\/([^?]+)(?:\?(?:.*&)?revision=([^&]+).*)?$/.exec(reference);
  const candidates = hub
    ? [
        path.join(folder, hub[3]),
        path.join(folder, hub[1], hub[2], hub[3]),
        path.join(folder, hub[2], hub[3]),
        ...inHubCache(folder, hub[1], hub[2], hub[3], hub[4] ?? null),
      ]
    : [path.join(folder, reference)];
  const named = hub ? hub.slice(1, 4) : [reference];
  if (
    (!hub && reference.includes('://')) ||
    named.some((part) => path.isAbsolute(part) || part.split(/[/\\]/).includes('..'))
  ) {
    throw new UserError(
      'transcoders.config',
      `The transcoders' config.yaml names ${JSON.stringify(reference)}, which leads out of its folder.`,
      'Name files inside the folder, or hf:// references.',
    );
  }
  const found = candidates.find((file) => fs.statSync(file, { throwIfNoEntry: false })?.isFile());
  if (!found)
    throw missing(`${JSON.stringify(reference)}, named by the transcoders' config.yaml, is not in ${folder}.`);
  return found;
}

/** Layout of the hub's cache: models--owner--repo/snapshots/commit/path, refs/main holding the commit. */
function inHubCache(folder: string, owner: string, repo: string, file: string, asked: string | null): string[] {
  const parts = path.resolve(folder).split(path.sep);
  const place = parts.findIndex((part, index) => part.startsWith('models--') && parts[index + 1] === 'snapshots');
  const revision = asked ?? 'main';
  if (place < 0 || revision.includes('..')) return [];
  const root = parts.slice(0, place).join(path.sep) || path.sep;
  const repository = path.join(root, `models--${owner}--${repo}`);
  // Without a revision a set means files of its own commit, which is on no branch when a commit was downloaded.
  const own = parts[place] === path.basename(repository) && asked === null ? parts[place + 2] : null;
  if (own) return [path.join(repository, 'snapshots', own, file)];
  const reference = path.join(repository, 'refs', revision);
  const stat = fs.statSync(reference, { throwIfNoEntry: false });
  const commit = stat?.isFile() && stat.size < 200 ? fs.readFileSync(reference, 'utf8').trim() : revision;
  return /^[\w.-]+$/.test(commit) ? [path.join(repository, 'snapshots', commit, file)] : [];
}

function missing(message: string): UserError {
  return new UserError('transcoders.missing', message, 'Choose another folder, or download what is missing.');
}
