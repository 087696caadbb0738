import fs from 'node:fs/promises';
import { UserError } from '../../protocol/errors.ts';
import { checkSpace, type DownloadOptions, downloadFile, type WantedFile } from './download.ts';
import { findCommit, type Hub, type ListedFile, listFiles } from './hub.ts';
import { cachedCommit, cachedFile, snapshotFolder } from './hubCache.ts';
import { defaultRevision, type HubReference, parseFileReference } from './reference.ts';

export type PlannedFile = WantedFile & {
  readonly size: number;
  /** True: it is in the cache already. */
  readonly isPresent: boolean;
};

/** What a model or a transcoder set needs, file by file, and the folder where it can then be used. */
export type Plan = {
  readonly reference: HubReference;
  /** Absolute: the snapshot, or the set's folder in it. */
  readonly folder: string;
  readonly files: readonly PlannedFile[];
};

export type PlanOptions = Pick<DownloadOptions, 'hub' | 'cache' | 'signal' | 'freeBytes' | 'makeLink'>;

/** Largest text files that are read here: a weight index of 1,000 tensors is about 100 kB. */
const largestText = 32 * 1024 * 1024;

/** Bytes still to be downloaded. */
export function missingBytes(plan: Plan): number {
  return plan.files.reduce((sum, file) => sum + (file.isPresent ? 0 : file.size), 0);
}

export function totalBytes(plan: Plan): number {
  return plan.files.reduce((sum, file) => sum + file.size, 0);
}

/**
 * A model: its settings, tokenizer, and the weights that its index names; no other formats of the same weights.
 * @throws UserError `download.noWeights` when the repository has none that can be read
 */
export async function planModel(reference: HubReference, options: PlanOptions): Promise<Plan> {
  const { commit, files } = await listRepository(reference.repo, reference.revision, reference.folder, options);
  const here = files.filter((file) => folderOf(file.path) === reference.folder);
  const wanted = here.filter((file) => isModelText(nameOf(file.path)));
  const weights = await chooseWeights(reference, commit, here, options);
  if (weights.length === 0) {
    throw new UserError(
      'download.noWeights',
      `${reference.repo} has no weights in safetensors format.`,
      'Choose another copy of this model: look for files that end in .safetensors.',
    );
  }
  return finishPlan(reference, commit, [...wanted, ...weights], [], options);
}

/**
 * A transcoder set: its `config.yaml` and the files that it names, also in other repositories; without such a list, the
 * weights that lie in its folder. Feature examples are read by range when they are looked at, not here.
 * @throws UserError `download.noTranscoders`
 */
export async function planTranscoders(reference: HubReference, options: PlanOptions): Promise<Plan> {
  const { commit, files } = await listRepository(reference.repo, reference.revision, reference.folder, options);
  const below = reference.folder === '' ? '' : `${reference.folder}/`;
  const config = files.find((file) => file.path === `${below}config.yaml`);
  const named = config === undefined ? [] : await readNamedFiles(reference, commit, config, options);
  if (named.length > 0 && config !== undefined) {
    return finishPlan(reference, commit, [config], named, options);
  }
  const texts = files.filter((file) => /^(?:config\.ya?ml|cfg\.json|config\.json)$/.test(nameOf(file.path)));
  // The sparsify layout keeps one folder a layer; every other layout keeps its files side by side.
  const weights = files.filter(
    (file) =>
      (folderOf(file.path) === reference.folder && /\.(?:safetensors|npz)$/.test(file.path)) ||
      /(?:^|\/)layers\.\d+\.mlp\/sae\.safetensors$/.test(file.path),
  );
  if (weights.length === 0) {
    throw new UserError(
      'download.noTranscoders',
      `${reference.repo}${reference.folder === '' ? '' : `/${reference.folder}`} holds no transcoder set: neither a config.yaml that names files, nor weights.`,
      'Name the folder inside the repository that holds config.yaml or the layers: owner/name/folder.',
    );
  }
  const folders = new Set(weights.map((file) => folderOf(file.path)));
  const beside = texts.filter((file) => folders.has(folderOf(file.path)) || folderOf(file.path) === reference.folder);
  return finishPlan(reference, commit, [...beside, ...weights], [], options);
}

/** Downloads what is missing, smallest files first, after a look at the disk. Returns the folder to use. */
export async function runPlan(
  plan: Plan,
  options: Omit<DownloadOptions, 'onBytes'> & {
    /** Bytes on disk and in all, over the whole plan. */
    readonly onProgress: (received: number, total: number) => void;
  },
): Promise<string> {
  const total = totalBytes(plan);
  const missing = plan.files.filter((file) => !file.isPresent).sort((a, b) => a.size - b.size);
  let finished = total - missing.reduce((sum, file) => sum + file.size, 0);
  options.onProgress(finished, total);
  const { repo } = plan.reference;
  await checkSpace({ repo, path: plan.reference.folder }, missingBytes(plan), options.cache, options.freeBytes);
  for (const file of missing) {
    const before = finished;
    await downloadFile(file, { ...options, onBytes: (received) => options.onProgress(before + received, total) });
    finished += file.size;
    options.onProgress(finished, total);
  }
  return plan.folder;
}

async function listRepository(
  repo: string,
  revision: string | null,
  folder: string,
  { hub, signal }: { readonly hub: Hub; readonly signal: AbortSignal },
): Promise<{ commit: string; files: readonly ListedFile[] }> {
  const commit = await findCommit(hub, repo, revision ?? defaultRevision, signal);
  return { commit, files: await listFiles(hub, { repo, commit, folder }, signal) };
}

async function chooseWeights(
  reference: HubReference,
  commit: string,
  here: readonly ListedFile[],
  options: PlanOptions,
): Promise<readonly ListedFile[]> {
  const byName = (name: string) => here.find((file) => nameOf(file.path) === name);
  const single = byName('model.safetensors');
  if (single !== undefined) return [single];
  const index = byName('model.safetensors.index.json');
  if (index === undefined) return here.filter((file) => file.path.endsWith('.safetensors'));
  const text = await readSmall(reference, commit, index, options);
  const shards = [...new Set(Object.values(readWeightMap(text)))];
  const files = shards.map((name) => ({ name, file: byName(name) }));
  const absent = files.filter(({ file }) => file === undefined).map(({ name }) => name);
  if (absent.length > 0) {
    throw new UserError(
      'download.missingShard',
      `${reference.repo} is incomplete on the hub: its index names ${absent.join(', ')}, which is not there.`,
      'Choose another copy or revision of this model.',
    );
  }
  return [index, ...files.flatMap(({ file }) => (file === undefined ? [] : [file]))];
}

/**
 * `weight_map` of a weight index: tensor name → file name.
 * @throws UserError `model.badIndex`
 */
export function readWeightMap(text: string): Readonly<Record<string, string>> {
  const bad = (reason: string) =>
    new UserError(
      'model.badIndex',
      `model.safetensors.index.json cannot be used: ${reason}.`,
      'Download the model again.',
    );
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw bad('it is no JSON');
  }
  const map = (value as { weight_map?: unknown } | null)?.weight_map;
  if (typeof map !== 'object' || map === null) throw bad('it has no weight_map');
  for (const file of Object.values(map)) {
    if (typeof file !== 'string' || !/^[\w][\w.-]*\.safetensors$/.test(file)) {
      throw bad(`it names ${JSON.stringify(file).slice(0, 80)} as a file`);
    }
  }
  return map as Record<string, string>;
}

/** The `hf://` references of a set's `config.yaml`, in order. The engine reads the rest of that file. */
export function readNamedReferences(yaml: string): readonly string[] {
  return yaml
    .split('\n')
    .filter((line) => !/^\s*#/.test(line))
    .flatMap((line) => [...line.matchAll(/hf:\/\/[^\s'"#,[\]{}]+/g)].map((match) => match[0]));
}

async function readNamedFiles(
  reference: HubReference,
  commit: string,
  config: ListedFile,
  options: PlanOptions,
): Promise<readonly (ListedFile & { repo: string; revision: string; commit: string })[]> {
  const yaml = await readSmall(reference, commit, config, options);
  const references = readNamedReferences(yaml).map(parseFileReference);
  const listings = new Map<string, Promise<{ commit: string; files: readonly ListedFile[] }>>();
  const named = [];
  for (const { repo, path, revision } of references) {
    const isSame = repo === reference.repo && (revision === null || revision === reference.revision);
    const asked = isSame ? (reference.revision ?? defaultRevision) : (revision ?? defaultRevision);
    const key = `${repo}@${asked}`;
    const listing = listings.get(key) ?? listRepository(repo, isSame ? commit : asked, '', options);
    listings.set(key, listing);
    const { commit: itsCommit, files } = await listing;
    const file = files.find((candidate) => candidate.path === path);
    if (file === undefined) {
      throw new UserError(
        'download.missingLayer',
        `${config.path} of ${reference.repo} names hf://${repo}/${path}, which is not on the hub.`,
        'Choose another transcoder set or revision.',
      );
    }
    named.push({ ...file, repo, revision: asked, commit: itsCommit });
  }
  return named;
}

/** A small text file, through the cache. */
async function readSmall(
  reference: HubReference,
  commit: string,
  file: ListedFile,
  options: PlanOptions,
): Promise<string> {
  if (file.size > largestText) {
    throw new UserError(
      'hub.oddAnswer',
      `${file.path} of ${reference.repo} has ${file.size} bytes, too many for what it should be.`,
      'Choose another model or set.',
    );
  }
  const { repo, revision } = reference;
  const wanted = { repo, revision: revision ?? defaultRevision, commit, path: file.path };
  return fs.readFile(await downloadFile(wanted, { ...options, onBytes: () => {} }), 'utf8');
}

async function finishPlan(
  reference: HubReference,
  commit: string,
  own: readonly ListedFile[],
  named: readonly (ListedFile & { repo: string; revision: string; commit: string })[],
  { cache }: PlanOptions,
): Promise<Plan> {
  const revision = reference.revision ?? defaultRevision;
  const all = [...own.map((file) => ({ ...file, repo: reference.repo, revision, commit })), ...named];
  const files: PlannedFile[] = [];
  for (const file of all) {
    if (files.some((known) => known.repo === file.repo && known.commit === file.commit && known.path === file.path)) {
      continue;
    }
    const isPresent = (await cachedFile(cache, file.repo, file.commit, file.path)) !== null;
    files.push({ ...file, isPresent });
  }
  const root = snapshotFolder(cache, reference.repo, commit);
  return { reference, folder: reference.folder === '' ? root : `${root}/${reference.folder}`, files };
}

/** Settings and tokenizer of a model, by name. */
function isModelText(name: string): boolean {
  if (/\.index\.json$/.test(name)) return false;
  return /\.(?:json|jinja|model)$/.test(name) || name === 'merges.txt' || name === 'vocab.txt';
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

function folderOf(path: string): string {
  return path.includes('/') ? path.slice(0, path.lastIndexOf('/')) : '';
}

/** The folder of a reference that is in the cache, by what its branch pointed to when it was downloaded; or null. */
export async function cachedFolder(cache: string, reference: HubReference): Promise<string | null> {
  const commit = await cachedCommit(cache, reference.repo, reference.revision ?? defaultRevision);
  if (commit === null) return null;
  const root = snapshotFolder(cache, reference.repo, commit);
  return reference.folder === '' ? root : `${root}/${reference.folder}`;
}
