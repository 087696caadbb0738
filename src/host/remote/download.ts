import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import fs from 'node:fs/promises';
import path from 'node:path';
import { UserError } from '../../protocol/errors.ts';
import { takeLock } from './fileLock.ts';
import { type HttpResponse, readChunks } from './http.ts';
import type { FileMetadata, Hub } from './hub.ts';
import { failure, fileMetadata, openFile } from './hub.ts';
import {
  addToSnapshot,
  blobPath,
  cachedFile,
  exists,
  incompletePath,
  lockPath,
  type MakeLink,
  repoFolder,
} from './hubCache.ts';
import { PassingFailure, withRetries } from './retry.ts';
import { formatBytes } from './sizes.ts';

/** A file to bring into the cache. `revision` is the branch, tag or commit that was asked for. */
export type WantedFile = {
  readonly repo: string;
  readonly revision: string;
  /** The commit to take it from, so that all files of a set belong together. */
  readonly commit: string;
  readonly path: string;
};

export type DownloadOptions = {
  readonly hub: Hub;
  /** Absolute folder of the hub cache. */
  readonly cache: string;
  readonly signal: AbortSignal;
  /** Bytes of this file on disk so far, ours or another window's; its size when known. */
  readonly onBytes: (received: number, size: number | null) => void;
  /** Free bytes where the folder lies. */
  readonly freeBytes?: (folder: string) => Promise<number>;
  readonly makeLink?: MakeLink;
};

/** Room that is left for everything else on the disk. */
export const spareBytes = 64 * 1024 * 1024;
/** A file that keeps changing on the hub while it is read is given up. */
const mostChanges = 3;

/** What arrived is not, or no longer, the file that was asked for: begin again from the hub's word about it. */
class ChangedFile extends Error {
  override readonly name = 'ChangedFile';
}

/**
 * Brings one file into the hub cache and returns its absolute path there. What is there is used; what an earlier run
 * left is continued; what another window is downloading is waited for. Size and hash are checked before the file
 * appears in its snapshot. An abort keeps what has arrived.
 * @throws UserError when a person can do something about it; AbortError when paused or cancelled
 */
export async function downloadFile(file: WantedFile, options: DownloadOptions): Promise<string> {
  const { hub, cache, signal, onBytes, makeLink } = options;
  for (let changes = 0; ; changes += 1) {
    const present = await cachedFile(cache, file.repo, file.commit, file.path);
    if (present !== null) return present;
    const metadata = await fileMetadata(hub, { ...file, revision: file.commit }, signal);
    const { etag, size } = metadata;
    const part = incompletePath(cache, file.repo, etag);
    await using _lock = await takeLock(lockPath(cache, file.repo, etag), {
      wait: hub.wait,
      signal,
      onWait: async () => onBytes(await sizeOf(part), size),
    });
    const blob = blobPath(cache, file.repo, etag);
    // The other window may have been the one that finished it, as a blob or (without links) right in the snapshot.
    const arrived = await cachedFile(cache, file.repo, file.commit, file.path);
    if (arrived !== null) return arrived;
    let isNew = false;
    if (!(await exists(blob))) {
      try {
        await receive(file, metadata, part, options);
        await check(metadata, part, signal);
      } catch (error) {
        if (!(error instanceof ChangedFile)) throw error;
        await fs.rm(part, { force: true });
        if (changes + 1 >= mostChanges) throw notAsPromised(file, error.message);
        hub.log(`${file.repo}/${file.path}: ${error.message}; starting it again`);
        continue;
      }
      await fs.rename(part, blob);
      isNew = true;
    }
    return await addToSnapshot(cache, { ...file, commit: file.commit, etag, isNew }, makeLink);
  }
}

/** Appends to the part until it is whole, through cuts, busy servers and signed addresses that ran out. */
async function receive(
  file: WantedFile,
  metadata: FileMetadata,
  part: string,
  options: DownloadOptions,
): Promise<void> {
  const { hub, signal, cache } = options;
  const { size } = metadata;
  await fs.mkdir(path.dirname(part), { recursive: true });
  await checkSpace(file, size === null ? 0 : size - (await sizeOf(part)), cache, options.freeBytes ?? freeDiskBytes);
  let { address } = metadata;
  let isFirst = true;
  await withRetries(
    async (progressed) => {
      if (!isFirst) {
        const again = await fileMetadata(hub, { ...file, revision: file.commit }, signal);
        if (again.etag !== metadata.etag) throw new ChangedFile('it changed on the hub during the download');
        address = again.address;
      }
      isFirst = false;
      await receiveOnce(file, { ...metadata, address }, part, options, progressed);
    },
    { ...hub, signal },
  );
}

async function receiveOnce(
  file: WantedFile,
  { address, size }: FileMetadata,
  part: string,
  options: DownloadOptions,
  progressed: () => void,
): Promise<void> {
  const { hub, signal, onBytes, cache } = options;
  const start = await sizeOf(part);
  if (start > 0 && start === size) return;
  if (size !== null && start > size) throw new ChangedFile(`${start} bytes are on disk of a file of ${size}`);
  const headers: Record<string, string> = start > 0 ? { range: `bytes=${start}-` } : {};
  const response = await openFile(hub, address, headers, signal);
  const chunks = readChunks(response.body);
  const isSigned = address.origin !== new URL(hub.endpoint).origin;
  if (isSigned && [401, 403, 404, 410].includes(response.status)) {
    response.body.destroy();
    // It runs out after about an hour: the hub gives a new one.
    throw new PassingFailure(`the signed address of ${file.path} was refused (${response.status})`, null);
  }
  const isAppended = checkAnswer(response, start, size, file, options);
  const handle = await fs.open(part, isAppended ? 'a' : 'w');
  let received = isAppended ? start : 0;
  try {
    onBytes(received, size);
    for await (const chunk of chunks) {
      signal.throwIfAborted();
      received += chunk.length;
      if (size !== null && received > size) throw new ChangedFile(`it is larger than the ${size} bytes promised`);
      await handle.write(chunk);
      progressed();
      onBytes(received, size);
    }
    await handle.sync();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOSPC') {
      const needed = size === null ? 0 : size - received;
      throw noSpace(file, needed, await (options.freeBytes ?? freeDiskBytes)(cache), cache);
    }
    throw error;
  } finally {
    response.body.destroy();
    await handle.close();
  }
  if (size !== null && received < size) {
    throw new PassingFailure(`${file.path} was cut at ${received} of ${size} bytes`, null);
  }
}

/** True when the answer continues the part, false when it is the whole file from its start. */
function checkAnswer(
  response: HttpResponse,
  start: number,
  size: number | null,
  file: WantedFile,
  { hub }: DownloadOptions,
): boolean {
  const { status, headers } = response;
  if (status === 200) {
    const length = Number(headers['content-length'] ?? Number.NaN);
    if (size !== null && length !== size && !Number.isNaN(length)) {
      response.body.destroy();
      throw new ChangedFile(`${length} bytes are offered of a file of ${size}`);
    }
    return false;
  }
  if (status === 206) {
    const range = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(headers['content-range'] ?? '');
    const isContinued = range !== null && Number(range[1]) === start;
    const isSameSize = range === null || size === null || range[2] === '*' || Number(range[2]) === size;
    if (isContinued && isSameSize) return true;
    response.body.destroy();
    throw new ChangedFile(`its continuation at ${start} was answered by "${headers['content-range'] ?? ''}"`);
  }
  response.body.destroy();
  if (status === 416) throw new ChangedFile(`it has no byte ${start} any more`);
  throw failure(hub, response, `${file.repo}/${file.path}`);
}

/** The part against the size, and against its name where that is a hash: SHA-256 of large files, git's SHA-1 of small. */
async function check({ etag, size }: FileMetadata, part: string, signal: AbortSignal): Promise<void> {
  const actual = await sizeOf(part);
  if (size !== null && actual !== size) throw new ChangedFile(`${actual} bytes arrived of ${size}`);
  const isSha256 = /^[0-9a-f]{64}$/.test(etag);
  if (!isSha256 && !/^[0-9a-f]{40}$/.test(etag)) return;
  const hash = createHash(isSha256 ? 'sha256' : 'sha1');
  if (!isSha256) hash.update(`blob ${actual}\0`);
  for await (const chunk of createReadStream(part, { highWaterMark: 1 << 20, signal })) hash.update(chunk as Buffer);
  const digest = hash.digest('hex');
  if (digest !== etag) throw new ChangedFile(`its hash is ${digest.slice(0, 12)}… and should be ${etag.slice(0, 12)}…`);
  signal.throwIfAborted();
}

/**
 * @param needed bytes still to come
 * @throws UserError `download.noSpace`
 */
export async function checkSpace(
  file: { readonly repo: string; readonly path: string },
  needed: number,
  cache: string,
  freeBytes: (folder: string) => Promise<number> = freeDiskBytes,
): Promise<void> {
  const free = await freeBytes(cache);
  if (needed + spareBytes > free) throw noSpace(file, needed, free, cache);
}

function noSpace(
  file: { readonly repo: string; readonly path: string },
  needed: number,
  free: number,
  cache: string,
): UserError {
  const name = file.path === '' ? file.repo : `${file.repo}/${file.path}`;
  return new UserError(
    'download.noSpace',
    `${name} needs ${formatBytes(needed)} more; ${formatBytes(free)} are free in ${cache}.`,
    `Free ${formatBytes(needed + spareBytes - free)}, or set HF_HOME to a larger disk. What has arrived is kept.`,
  );
}

/** Free bytes for this user on the disk of a folder, or of the nearest folder above it that exists. */
export async function freeDiskBytes(folder: string): Promise<number> {
  for (let current = folder; ; current = path.dirname(current)) {
    if (await exists(current)) {
      const { bavail, bsize } = await fs.statfs(current);
      return bavail * bsize;
    }
    if (path.dirname(current) === current) return 0;
  }
}

/** Removes what had arrived of files that are not whole. Python's own parts have longer names and stay. */
export async function discardParts(cache: string, repo: string): Promise<void> {
  const folder = path.join(repoFolder(cache, repo), 'blobs');
  for (const name of await fs.readdir(folder).catch(() => [])) {
    if (/^[\w-]+\.incomplete$/.test(name)) await fs.rm(path.join(folder, name), { force: true });
  }
}

async function sizeOf(file: string): Promise<number> {
  return fs.stat(file).then(
    (status) => status.size,
    () => 0,
  );
}

function notAsPromised(file: WantedFile, reason: string): UserError {
  return new UserError(
    'download.damaged',
    `${file.repo}/${file.path} did not arrive as the hub describes it, ${mostChanges} times: ${reason}.`,
    'Try again later; a proxy or mirror (HF_ENDPOINT) may be changing files.',
  );
}
