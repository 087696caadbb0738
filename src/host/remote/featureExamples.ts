import { createHash } from 'node:crypto';
import fs from 'node:fs/promises';
import path from 'node:path';
import { gunzipSync } from 'node:zlib';
import { UserError } from '../../protocol/errors.ts';
import { readBody } from './http.ts';
import { failure, fileMetadata, findCommit, type Hub, oddAnswer, openFile } from './hub.ts';
import { cachedCommit, cachedFile } from './hubCache.ts';
import { defaultRevision, formatReference, type HubReference, isSafePath } from './reference.ts';
import { PassingFailure, withRetries } from './retry.ts';

/** Ranges closer than this are read in one request: a request costs more than the bytes between. */
export const mergeDistance = 64 * 1024;
/** The index lists one offset a feature: 62 layers of 262,144 features are 200 MB of JSON at the very most. */
const largestIndex = 256 * 1024 * 1024;
/** A record is the examples of one feature, some 20 kB; one read takes at most this many bytes. */
const largestRead = 32 * 1024 * 1024;
/** Signed addresses are valid for an hour. */
const addressLifetime = 45 * 60_000;

/** Where each feature's record lies: by layer the file and F + 1 offsets in it. */
type Index = readonly { readonly filename: string; readonly offsets: readonly number[] }[];

/**
 * The feature examples that a set's makers publish beside it, read by range as they are looked at and kept on disk by
 * scan, layer and feature. A record is 4 bytes of little-endian length and that many bytes of gzip JSON.
 */
export class FeatureExamples {
  readonly #hub: Hub;
  readonly #cache: string;
  readonly #folder: string;
  readonly #now: () => number;
  readonly #indexes = new Map<string, Promise<{ commit: string; index: Index } | null>>();
  readonly #addresses = new Map<string, { readonly address: URL; readonly since: number }>();

  /** @param folder absolute: where records are kept */
  constructor(options: { hub: Hub; cache: string; folder: string; now: () => number }) {
    this.#hub = options.hub;
    this.#cache = options.cache;
    this.#folder = options.folder;
    this.#now = options.now;
  }

  /**
   * The JSON texts of some features of one layer, by feature; those without examples are left out.
   * @throws UserError when the hub cannot be asked or its answer makes no sense
   */
  async read(
    set: HubReference,
    layer: number,
    features: readonly number[],
    signal: AbortSignal,
  ): Promise<ReadonlyMap<number, string>> {
    const records = new Map<number, string>();
    const missing: number[] = [];
    for (const feature of new Set(features)) {
      const kept = await fs.readFile(this.#recordFile(set, layer, feature)).catch(() => null);
      if (kept === null) missing.push(feature);
      else records.set(feature, unpackRecord(kept));
    }
    if (missing.length === 0) return records;
    const found = await this.#index(set, signal);
    const { filename, offsets } = found?.index[layer] ?? { filename: '', offsets: [] };
    const ranges = missing
      .filter((feature) => feature + 1 < offsets.length && offsets[feature + 1] > offsets[feature])
      .map((feature) => ({ feature, start: offsets[feature], stop: offsets[feature + 1] }))
      .sort((a, b) => a.start - b.start);
    for (const group of mergeRanges(ranges)) {
      const bytes = await this.#readRange(set, found?.commit ?? '', filename, group, signal);
      for (const { feature, start, stop } of group.members) {
        const record = bytes.subarray(start - group.start, stop - group.start);
        records.set(feature, unpackRecord(record));
        await this.#keep(set, layer, feature, record);
      }
    }
    return records;
  }

  /** Null when the set has no hosted examples. Asked once a session. */
  #index(set: HubReference, signal: AbortSignal): Promise<{ commit: string; index: Index } | null> {
    const key = formatReference(set);
    const asked = this.#indexes.get(key) ?? this.#readIndex(set, signal);
    this.#indexes.set(key, asked);
    // A failure may pass: the next look asks again.
    asked.catch(() => this.#indexes.delete(key));
    return asked;
  }

  /**
   * The index is kept beside the records and not in the cache's snapshot, where it would promise files that are not
   * there; one that Python or the user put there is used.
   */
  async #readIndex(set: HubReference, signal: AbortSignal): Promise<{ commit: string; index: Index } | null> {
    const revision = set.revision ?? defaultRevision;
    const commit =
      (await cachedCommit(this.#cache, set.repo, revision)) ??
      (await findCommit(this.#hub, set.repo, revision, signal));
    const name = inSet(set, 'features/index.json.gz');
    const kept = path.join(this.#folder, scanName(set), `index-${commit}.json.gz`);
    const local = (await cachedFile(this.#cache, set.repo, commit, name)) ?? kept;
    const bytes = await fs.readFile(local).catch(() => null);
    if (bytes !== null) return { commit, index: parseIndex(bytes) };
    const fetched = await this.#fetchIndex({ repo: set.repo, revision: commit, path: name }, signal);
    if (fetched === null) return null;
    const index = parseIndex(fetched);
    await writeWhole(kept, fetched);
    return { commit, index };
  }

  async #fetchIndex(
    file: { readonly repo: string; readonly revision: string; readonly path: string },
    signal: AbortSignal,
  ): Promise<Buffer | null> {
    try {
      return await withRetries(
        async () => {
          const { address, size } = await fileMetadata(this.#hub, file, signal);
          const response = await openFile(this.#hub, address, {}, signal);
          if (response.status !== 200) {
            response.body.destroy();
            throw failure(this.#hub, response, `${file.repo}/${file.path}`);
          }
          const bytes = await readBody(response, largestIndex);
          if (size !== null && bytes.length !== size) throw new PassingFailure(`${file.path} was cut`, null);
          return bytes;
        },
        { ...this.#hub, signal },
      );
    } catch (error) {
      if (error instanceof UserError && error.code === 'hub.notFound') return null;
      throw error;
    }
  }

  async #readRange(
    set: HubReference,
    commit: string,
    filename: string,
    { start, stop }: { readonly start: number; readonly stop: number },
    signal: AbortSignal,
  ): Promise<Buffer> {
    const file = { repo: set.repo, revision: commit, path: inSet(set, `features/${filename}`) };
    const key = `${file.repo}/${file.path}`;
    return withRetries(
      async () => {
        const known = this.#addresses.get(key);
        const isFresh = known !== undefined && this.#now() - known.since < addressLifetime;
        const address = isFresh ? known.address : (await fileMetadata(this.#hub, file, signal)).address;
        if (!isFresh) this.#addresses.set(key, { address, since: this.#now() });
        const response = await openFile(this.#hub, address, { range: `bytes=${start}-${stop - 1}` }, signal);
        if (response.status >= 400) {
          response.body.destroy();
          this.#addresses.delete(key);
          if (isFresh) throw new PassingFailure(`the signed address of ${file.path} ran out`, 0);
          throw failure(this.#hub, response, key);
        }
        if (response.status !== 206) {
          response.body.destroy();
          throw oddAnswer(`no range of ${file.path}, but status ${response.status}`);
        }
        const bytes = await readBody(response, stop - start + 1);
        if (bytes.length < stop - start) throw new PassingFailure(`${file.path} was cut`, null);
        return bytes;
      },
      { ...this.#hub, signal },
    );
  }

  async #keep(set: HubReference, layer: number, feature: number, record: Buffer): Promise<void> {
    await writeWhole(this.#recordFile(set, layer, feature), record);
  }

  #recordFile(set: HubReference, layer: number, feature: number): string {
    return path.join(this.#folder, scanName(set), String(layer), `${feature}.json.gz`);
  }
}

/** A folder's name for a set, whatever its reference is made of. */
function scanName(set: HubReference): string {
  return createHash('sha256').update(formatReference(set)).digest('hex').slice(0, 16);
}

async function writeWhole(file: string, bytes: Buffer): Promise<void> {
  await fs.mkdir(path.dirname(file), { recursive: true });
  const partial = `${file}.${process.pid}.writing`;
  await fs.writeFile(partial, bytes);
  await fs.rename(partial, file);
}

function inSet(set: HubReference, file: string): string {
  return set.folder === '' ? file : `${set.folder}/${file}`;
}

/** Ranges in order of their starts, joined where little lies between. Ends are exclusive. */
export function mergeRanges<Range extends { readonly start: number; readonly stop: number }>(
  ranges: readonly Range[],
): readonly { readonly start: number; readonly stop: number; readonly members: readonly Range[] }[] {
  const groups: { start: number; stop: number; members: Range[] }[] = [];
  for (const range of ranges) {
    const last = groups.at(-1);
    const isNear = last !== undefined && range.start - last.stop < mergeDistance;
    if (last !== undefined && isNear && range.stop - last.start <= largestRead) {
      last.stop = Math.max(last.stop, range.stop);
      last.members.push(range);
    } else {
      groups.push({ start: range.start, stop: range.stop, members: [range] });
    }
  }
  return groups;
}

/** @throws UserError `hub.oddAnswer` */
function parseIndex(bytes: Buffer): Index {
  let value: unknown;
  try {
    value = JSON.parse(gunzipSync(bytes, { maxOutputLength: largestIndex }).toString('utf8'));
  } catch {
    throw oddAnswer('an index of feature examples that cannot be read');
  }
  const layers = Array.isArray(value) ? value : Object.values((value ?? {}) as object);
  for (const layer of layers) {
    const { filename, offsets } = (layer ?? {}) as { filename?: unknown; offsets?: unknown };
    const isNamed = typeof filename === 'string' && isSafePath(filename);
    const isOrdered =
      Array.isArray(offsets) &&
      offsets.every((offset, i) => Number.isSafeInteger(offset) && offset >= (i === 0 ? 0 : offsets[i - 1]));
    if (!isNamed || !isOrdered) throw oddAnswer('an index of feature examples with a file or offset that is none');
  }
  return layers as Index;
}

/** @throws UserError `hub.oddAnswer` */
function unpackRecord(bytes: Buffer): string {
  const length = bytes.length >= 4 ? bytes.readUInt32LE(0) : -1;
  if (length < 0 || length > bytes.length - 4) throw oddAnswer('a record of examples that ends too early');
  try {
    return gunzipSync(bytes.subarray(4, 4 + length), { maxOutputLength: largestRead }).toString('utf8');
  } catch {
    throw oddAnswer('a record of examples that cannot be unpacked');
  }
}
