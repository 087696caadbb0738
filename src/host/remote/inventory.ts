import fs from 'node:fs/promises';
import path from 'node:path';
import { type CachedRepo, exists, listCache, snapshotFiles } from './hubCache.ts';
import { readNamedReferences, readWeightMap } from './plan.ts';
import { parseFileReference } from './reference.ts';

/** A model's folder on this machine. */
export type FoundModel = {
  readonly folder: string;
  /** `owner/name` in the hub cache; the folder's name elsewhere. */
  readonly name: string;
  /** Null outside the hub cache. */
  readonly place: CachePlace | null;
  readonly bytes: number;
  /** Weight files that its index names and that are not there. */
  readonly missing: readonly string[];
};

/** A transcoder set's folder on this machine. */
export type FoundSet = {
  readonly folder: string;
  readonly name: string;
  readonly place: CachePlace | null;
  readonly bytes: number;
  /** The model it says it was trained on; null when it does not say. */
  readonly modelName: string | null;
  /** Layers' files that its list names and that are not there. */
  readonly missing: readonly string[];
};

export type CachePlace = { readonly repo: string; readonly commit: string; readonly folder: string };

export type Inventory = { readonly models: readonly FoundModel[]; readonly sets: readonly FoundSet[] };

/** Own folders are searched this deep for models and sets; a set's folder in a repository lies two deep. */
const deepest = 3;
/** Folders looked into below one folder, so that a home folder chosen by mistake ends. */
const mostFolders = 500;
/** config.yaml of a set with 62 layers is 10 kB. */
const largestConfig = 4 * 1024 * 1024;

/** Everything usable, or nearly so, in the hub cache. */
export async function readHubInventory(cache: string): Promise<Inventory> {
  const models: FoundModel[] = [];
  const sets: FoundSet[] = [];
  for (const { repo, snapshots } of await listCache(cache)) {
    for (const { commit, folder, refs } of snapshots) {
      // Older commits that no branch points to any more stay usable by Python; here only the newest is shown.
      if (refs.length === 0 && snapshots.length > 1) continue;
      const found = await readFolderInventory(folder, cache);
      const named = (inside: string) => {
        const below = path.relative(folder, inside).split(path.sep).join('/');
        return { name: below === '' ? repo : `${repo}/${below}`, place: { repo, commit, folder: below } };
      };
      for (const model of found.models) models.push({ ...model, ...named(model.folder) });
      for (const set of found.sets) sets.push({ ...set, ...named(set.folder) });
    }
  }
  return { models, sets };
}

/**
 * Models and sets in a folder and below it, told by their files; nothing is opened but small settings files.
 * @param cache where files that a set names with `hf://` would be
 */
export async function readFolderInventory(folder: string, cache: string): Promise<Inventory> {
  const models: FoundModel[] = [];
  const sets: FoundSet[] = [];
  const open: { readonly folder: string; readonly depth: number }[] = [{ folder, depth: 0 }];
  for (let looked = 0; looked < mostFolders; looked += 1) {
    const next = open.shift();
    if (next === undefined) break;
    const entries = await fs.readdir(next.folder, { withFileTypes: true }).catch(() => []);
    const names = new Set(entries.map(({ name }) => name));
    const model = await asModel(next.folder, names);
    if (model !== null) models.push(model);
    const set = model === null ? await asSet(next.folder, names, cache) : null;
    if (set !== null) sets.push(set);
    if (next.depth === deepest || set !== null) continue;
    for (const entry of entries) {
      const isSkipped = entry.name.startsWith('.') || entry.name === 'node_modules' || entry.name === 'features';
      if (entry.isDirectory() && !isSkipped)
        open.push({ folder: path.join(next.folder, entry.name), depth: next.depth + 1 });
    }
  }
  return { models, sets };
}

async function asModel(folder: string, names: ReadonlySet<string>): Promise<FoundModel | null> {
  if (!names.has('config.json')) return null;
  const isOne = names.has('model.safetensors');
  if (!isOne && !names.has('model.safetensors.index.json')) return null;
  const shards = isOne ? ['model.safetensors'] : await namedShards(path.join(folder, 'model.safetensors.index.json'));
  const missing: string[] = [];
  // A link into the cache whose blob is gone is missing too, though its name is there.
  for (const shard of shards) if (!(await exists(path.join(folder, shard)))) missing.push(shard);
  const bytes = await sizes(shards.map((shard) => path.join(folder, shard)));
  return { folder, name: path.basename(folder), place: null, bytes, missing };
}

/** An index that cannot be read names nothing here; the engine says what is wrong with it when it is chosen. */
async function namedShards(index: string): Promise<readonly string[]> {
  try {
    return [...new Set(Object.values(readWeightMap(await readSmall(index))))].sort();
  } catch {
    return [];
  }
}

async function asSet(folder: string, names: ReadonlySet<string>, cache: string): Promise<FoundSet | null> {
  const weights = [...names].filter((name) =>
    /^(?:layer_\d+|W_enc_\d+|params_layer_\d+)\.(?:safetensors|npz)$/.test(name),
  );
  const yaml = names.has('config.yaml') ? await readSmall(path.join(folder, 'config.yaml')).catch(() => '') : '';
  const isNamed = /^model_kind:/m.test(yaml) || /^transcoders:/m.test(yaml);
  const isSparsify = [...names].some((name) => /^layers\.\d+\.mlp$/.test(name));
  if (!isNamed && weights.length === 0 && !isSparsify) return null;
  const references = readNamedReferences(yaml);
  const repos = references.length > 0 ? await listCache(cache) : [];
  const missing = [...gaps(weights)];
  let bytes =
    references.length > 0 ? 0 : await sizes((await snapshotFiles(folder)).map((file) => path.join(folder, file)));
  for (const reference of references) {
    const file = await findReferenced(reference, folder, repos);
    if (file === null) missing.push(reference.slice(reference.lastIndexOf('/') + 1));
    else bytes += await sizes([file]);
  }
  const modelName = /^model_name:\s*["']?([^"'\s#]+)/m.exec(yaml)?.[1] ?? null;
  return { folder, name: path.basename(folder), place: null, bytes, modelName, missing };
}

/** Layers are numbered from 0 without gaps: the names of those left out below the highest. */
function gaps(weights: readonly string[]): readonly string[] {
  const numbered = weights.flatMap((name) => {
    const match = /^layer_(\d{1,4})(\..+)$/.exec(name);
    return match === null ? [] : [{ layer: Number(match[1]), extension: match[2] }];
  });
  const last = Math.max(-1, ...numbered.map(({ layer }) => layer));
  const present = new Set(numbered.map(({ layer }) => layer));
  return Array.from({ length: last + 1 }, (_, layer) => layer)
    .filter((layer) => !present.has(layer))
    .map((layer) => `layer_${layer}${numbered[0].extension}`);
}

/** A file that a set names: beside its `config.yaml`, or in the cache at what its branch pointed to. */
async function findReferenced(reference: string, folder: string, repos: readonly CachedRepo[]): Promise<string | null> {
  let file: ReturnType<typeof parseFileReference>;
  try {
    file = parseFileReference(reference);
  } catch {
    return null;
  }
  const name = file.path.slice(file.path.lastIndexOf('/') + 1);
  const candidates = [path.join(folder, name), path.join(folder, ...file.path.split('/'))];
  const repo = repos.find((cached) => cached.repo === file.repo);
  for (const snapshot of repo?.snapshots ?? []) candidates.push(path.join(snapshot.folder, ...file.path.split('/')));
  for (const candidate of candidates) if (await exists(candidate)) return candidate;
  return null;
}

async function readSmall(file: string): Promise<string> {
  const { size } = await fs.stat(file);
  return size > largestConfig ? '' : fs.readFile(file, 'utf8');
}

async function sizes(files: readonly string[]): Promise<number> {
  let total = 0;
  for (const file of files)
    total += await fs.stat(file).then(
      ({ size }) => size,
      () => 0,
    );
  return total;
}

/** A model with a set that was trained on it; either may be missing. */
export type FoundPair = { readonly model: FoundModel | null; readonly set: FoundSet | null };

/** Each set with its model, then models that no set here was trained on. */
export function pairUp({ models, sets }: Inventory): readonly FoundPair[] {
  const used = new Set<FoundModel>();
  const pairs: FoundPair[] = [];
  for (const set of sets) {
    const model = models.find((candidate) => isModelOf(set, candidate.name)) ?? null;
    if (model !== null) used.add(model);
    pairs.push({ model, set });
  }
  for (const model of models) if (!used.has(model)) pairs.push({ model, set: null });
  return pairs;
}

/** Sets name their model with or without its owner, and in either case. */
function isModelOf(set: FoundSet, modelName: string): boolean {
  if (set.modelName === null) return false;
  const [wanted, actual] = [set.modelName.toLowerCase(), modelName.toLowerCase()];
  return wanted === actual || (!wanted.includes('/') && actual.endsWith(`/${wanted}`));
}
