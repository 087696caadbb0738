import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import type { WeightStamp } from '../../graph/weights.ts';

/** Of each file this many slices of this many bytes are read, spread evenly, first and last bytes included. */
const slices = 16;
const sliceBytes = 16 * 1024;

/**
 * Tells weights from others in milliseconds, whatever their size: SHA-256 over each file's name, its size and 16 slices
 * of 16 KB (small files whole). Training changes every number, so that samples show it; a file in which somebody changed
 * a single number between two samples keeps its stamp.
 * @param folder the model's or the set's, whose place in a hub cache names the commit
 * @param files  absolute, in a fixed order
 */
export function weightStamp(folder: string, files: readonly string[]): WeightStamp {
  const hash = createHash('sha256');
  for (const file of files) {
    const descriptor = fs.openSync(file, 'r');
    try {
      const { size } = fs.fstatSync(descriptor);
      hash.update(`${path.basename(file)}\n${size}\n`);
      for (const [start, length] of sampled(size)) {
        const bytes = Buffer.alloc(length);
        fs.readSync(descriptor, bytes, 0, length, start);
        hash.update(bytes);
      }
    } finally {
      fs.closeSync(descriptor);
    }
  }
  return { revision: commitOf(folder), fingerprint: hash.digest('hex').slice(0, 16) };
}

/** Start and length of what is read of a file. */
function sampled(size: number): (readonly [start: number, length: number])[] {
  if (size <= slices * sliceBytes) return [[0, size]];
  const step = (size - sliceBytes) / (slices - 1);
  return Array.from({ length: slices }, (_, slice) => [Math.floor(slice * step), sliceBytes]);
}

/** The commit in `…/models--owner--name/snapshots/<commit>/…`; null elsewhere. */
function commitOf(folder: string): string | null {
  const parts = path.resolve(folder).split(path.sep);
  const place = parts.findIndex((part, index) => part.startsWith('models--') && parts[index + 1] === 'snapshots');
  const commit = place < 0 ? undefined : parts[place + 2];
  return commit !== undefined && /^[0-9a-f]{40}$/.test(commit) ? commit : null;
}
