import { constants } from 'node:fs';
import fs from 'node:fs/promises';
import path from 'node:path';
import { isCommit, isSafePath } from './reference.ts';

/**
 * The hub's cache on disk, in the layout that its Python library reads and writes:
 *
 *   models--owner--name/
 *     blobs/<etag>                    the bytes, once
 *     refs/<branch or tag>            the commit it points to, without a line end
 *     snapshots/<commit>/<path>       a relative link to the blob (a copy where links are not allowed)
 *
 * Every function takes the cache's absolute folder first and safe repository names and paths (`reference.ts`).
 */
export type CachedRepo = {
  readonly repo: string;
  readonly snapshots: readonly {
    readonly commit: string;
    /** Absolute folder. */
    readonly folder: string;
    /** Branches and tags that point here. */
    readonly refs: readonly string[];
  }[];
};

/** What a model's folder is called: `owner/name` for a snapshot in a hub cache, else the folder's own name. */
export function nameOfFolder(folder: string): string {
  const parts = path.resolve(folder).split(path.sep);
  const [repo, snapshots] = parts.slice(-3);
  const isSnapshot = repo?.startsWith('models--') && snapshots === 'snapshots';
  return isSnapshot ? repo.slice('models--'.length).replace('--', '/') : (parts.at(-1) ?? folder);
}

/** Where in the cache an absolute folder lies; null when it lies elsewhere. */
export function placeInCache(cache: string, folder: string): { repo: string; commit: string; folder: string } | null {
  const [repo = '', snapshots, commit = '', ...below] = path.relative(cache, folder).split(path.sep);
  if (!repo.startsWith('models--') || snapshots !== 'snapshots' || !isCommit(commit)) return null;
  return { repo: repo.slice('models--'.length).replace('--', '/'), commit, folder: below.join('/') };
}

/** Absolute folder of a repository in the cache. */
export function repoFolder(cache: string, repo: string): string {
  return path.join(cache, `models--${repo.replaceAll('/', '--')}`);
}

export function snapshotFolder(cache: string, repo: string, commit: string): string {
  return path.join(repoFolder(cache, repo), 'snapshots', commit);
}

export function blobPath(cache: string, repo: string, etag: string): string {
  return path.join(repoFolder(cache, repo), 'blobs', etag);
}

/** What has arrived of a blob, beside the place where the whole will be. */
export function incompletePath(cache: string, repo: string, etag: string): string {
  return `${blobPath(cache, repo, etag)}.incomplete`;
}

/** Our own name: Python locks its file by other means, and would not see ours. */
export function lockPath(cache: string, repo: string, etag: string): string {
  return path.join(cache, '.locks', `models--${repo.replaceAll('/', '--')}`, `${etag}.circuits.lock`);
}

/** The commit a branch or tag pointed to when it was last downloaded; a commit stands for itself; null when unknown. */
export async function cachedCommit(cache: string, repo: string, revision: string): Promise<string | null> {
  if (isCommit(revision)) return revision;
  const text = await readTextOrNull(path.join(repoFolder(cache, repo), 'refs', revision));
  return text !== null && isCommit(text.trim()) ? text.trim() : null;
}

/** Absolute path of a file that is wholly in the cache, or null. */
export async function cachedFile(cache: string, repo: string, commit: string, file: string): Promise<string | null> {
  const pointer = path.join(snapshotFolder(cache, repo, commit), ...file.split('/'));
  return (await exists(pointer)) ? pointer : null;
}

/** Files of a snapshot, as paths joined by `/` below it, in order. */
export async function snapshotFiles(folder: string): Promise<readonly string[]> {
  const entries = await fs.readdir(folder, { recursive: true, withFileTypes: true }).catch(orEmpty);
  const files: string[] = [];
  for (const entry of entries) {
    const absolute = path.join(entry.parentPath, entry.name);
    // A link whose blob is gone is no file.
    if (entry.isFile() || (entry.isSymbolicLink() && (await exists(absolute)))) {
      files.push(path.relative(folder, absolute).split(path.sep).join('/'));
    }
  }
  return files.sort();
}

/** Every model repository that the cache holds something of; data sets and foreign folders are left out. */
export async function listCache(cache: string): Promise<readonly CachedRepo[]> {
  const repos: CachedRepo[] = [];
  for (const name of (await fs.readdir(cache).catch(orEmpty)).sort()) {
    const match = /^models--(.+)$/.exec(name);
    if (match === null) continue;
    const repo = match[1].replace('--', '/');
    const snapshots = path.join(cache, name, 'snapshots');
    const refs = await readRefs(path.join(cache, name, 'refs'));
    const commits = (await fs.readdir(snapshots).catch(orEmpty)).filter(isCommit).sort();
    repos.push({
      repo,
      snapshots: commits.map((commit) => ({
        commit,
        folder: path.join(snapshots, commit),
        refs: refs.filter((ref) => ref.commit === commit).map((ref) => ref.name),
      })),
    });
  }
  return repos;
}

async function readRefs(folder: string): Promise<readonly { name: string; commit: string }[]> {
  const refs: { name: string; commit: string }[] = [];
  for (const name of await snapshotFiles(folder)) {
    refs.push({ name, commit: ((await readTextOrNull(path.join(folder, name))) ?? '').trim() });
  }
  return refs;
}

/** How a link is made; a parameter, so that tests can stand in for systems that allow none. */
export type MakeLink = (target: string, link: string) => Promise<void>;

/**
 * Makes a downloaded blob appear as a file of its snapshot and its branch point there. Where links are not allowed the
 * blob itself moves there when nothing else uses it yet (`isNew`), and is copied otherwise.
 */
export async function addToSnapshot(
  cache: string,
  file: { repo: string; revision: string; commit: string; path: string; etag: string; isNew: boolean },
  makeLink: MakeLink = fs.symlink,
): Promise<string> {
  if (!isSafePath(file.path)) throw new Error(`unsafe path in the cache: ${file.path}`);
  const blob = blobPath(cache, file.repo, file.etag);
  const pointer = path.join(snapshotFolder(cache, file.repo, file.commit), ...file.path.split('/'));
  await fs.mkdir(path.dirname(pointer), { recursive: true });
  if (!(await exists(pointer))) {
    await fs.rm(pointer, { force: true });
    // The folder may itself be reached through links: the real one decides how far up the blobs are.
    const target = path.relative(await fs.realpath(path.dirname(pointer)), await fs.realpath(blob));
    try {
      await makeLink(target, pointer);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') await placeWithoutLink(blob, pointer, file.isNew);
    }
  }
  await writeRef(cache, file.repo, file.revision, file.commit);
  return pointer;
}

async function placeWithoutLink(blob: string, pointer: string, isNew: boolean): Promise<void> {
  if (isNew) {
    await fs.rename(blob, pointer);
    return;
  }
  const partial = `${pointer}.${process.pid}.copying`;
  await fs.copyFile(blob, partial, constants.COPYFILE_FICLONE);
  await fs.rename(partial, pointer);
}

/** A branch or tag is remembered; a commit needs no reference. */
async function writeRef(cache: string, repo: string, revision: string, commit: string): Promise<void> {
  if (isCommit(revision) || (await cachedCommit(cache, repo, revision)) === commit) return;
  const file = path.join(repoFolder(cache, repo), 'refs', ...revision.split('/'));
  await fs.mkdir(path.dirname(file), { recursive: true });
  const partial = `${file}.${process.pid}.writing`;
  await fs.writeFile(partial, commit);
  await fs.rename(partial, file);
}

/**
 * Removes files of one snapshot, the blobs that nothing else in the repository uses, what had arrived of them, and
 * whatever is empty afterwards. Only this repository's folder is touched.
 * @param isChosen which of the snapshot's files, by path below it
 */
export async function deleteFromCache(
  cache: string,
  place: { readonly repo: string; readonly commit: string },
  isChosen: (file: string) => boolean,
): Promise<void> {
  const root = repoFolder(cache, place.repo);
  const folder = snapshotFolder(cache, place.repo, place.commit);
  const blobs = new Set<string>();
  for (const file of await linksAndFiles(folder)) {
    if (!isChosen(file)) continue;
    const absolute = path.join(folder, file);
    const blob = await linkedBlob(absolute);
    if (blob !== null) blobs.add(blob);
    await fs.rm(absolute, { force: true });
  }
  for (const commit of (await fs.readdir(path.join(root, 'snapshots')).catch(orEmpty)).filter(isCommit)) {
    const other = path.join(root, 'snapshots', commit);
    for (const file of await linksAndFiles(other)) {
      const blob = await linkedBlob(path.join(other, file));
      if (blob !== null) blobs.delete(blob);
    }
  }
  for (const blob of blobs) if (path.dirname(blob) === path.join(root, 'blobs')) await fs.rm(blob, { force: true });
  await removeEmptyFolders(folder);
  if (await exists(folder)) return;
  for (const ref of await readRefs(path.join(root, 'refs'))) {
    if (ref.commit === place.commit) await fs.rm(path.join(root, 'refs', ref.name), { force: true });
  }
  await fs.rm(path.join(root, '.no_exist', place.commit), { recursive: true, force: true });
  if ((await fs.readdir(path.join(root, 'snapshots')).catch(orEmpty)).length === 0) {
    await fs.rm(root, { recursive: true, force: true });
    await fs.rm(path.join(cache, '.locks', path.basename(root)), { recursive: true, force: true });
  }
}

/** All entries but folders, broken links included. */
async function linksAndFiles(folder: string): Promise<readonly string[]> {
  const entries = await fs.readdir(folder, { recursive: true, withFileTypes: true }).catch(orEmpty);
  return entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)).split(path.sep).join('/'));
}

async function linkedBlob(pointer: string): Promise<string | null> {
  const target = await fs.readlink(pointer).catch(() => null);
  return target === null ? null : path.resolve(path.dirname(pointer), target);
}

async function removeEmptyFolders(folder: string): Promise<void> {
  for (const entry of await fs.readdir(folder, { withFileTypes: true }).catch(orEmpty)) {
    if (entry.isDirectory()) await removeEmptyFolders(path.join(folder, entry.name));
  }
  if ((await fs.readdir(folder).catch(() => ['?'])).length === 0) await fs.rmdir(folder);
}

export async function exists(file: string): Promise<boolean> {
  return fs.access(file).then(
    () => true,
    () => false,
  );
}

async function readTextOrNull(file: string): Promise<string | null> {
  return fs.readFile(file, 'utf8').catch(() => null);
}

/** A folder that is not there holds nothing; other failures are failures. */
function orEmpty(error: NodeJS.ErrnoException): [] {
  if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return [];
  throw error;
}
