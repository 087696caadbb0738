import { isAbort, UserError } from '../../protocol/errors.ts';
import { discardParts } from './download.ts';
import { deleteFromCache } from './hubCache.ts';
import { missingBytes, type Plan, type PlanOptions, planModel, planTranscoders, runPlan, totalBytes } from './plan.ts';
import { parseReference } from './reference.ts';

/** What is downloaded together. Hub references; one of the two may be absent. */
export type WantedPair = { readonly model: string | null; readonly transcoders: string | null };

/** Folders that a download ended in. */
export type ArrivedPair = { readonly model: string | null; readonly transcoders: string | null };

export type Download = {
  readonly pair: WantedPair;
  readonly status: 'asking' | 'downloading' | 'paused' | 'failed';
  /** Bytes on disk and in all; 0 of 0 until the hub has said what there is. */
  readonly received: number;
  readonly total: number;
  /** Of the last seconds; 0 when nothing moves. */
  readonly bytesPerSecond: number;
  /** Why it failed; null unless it did. */
  readonly error: Error | null;
};

/** Where unfinished downloads are remembered over restarts: a VS Code memento, or a map in tests. */
export type Memory = {
  readonly get: (key: string) => unknown;
  readonly update: (key: string, value: unknown) => PromiseLike<void>;
};

export type DownloadServices = {
  /** Asked at each start, since settings and tokens change. */
  readonly options: () => Omit<PlanOptions, 'signal'>;
  readonly memory: Memory;
  /** Milliseconds, for the rate. */
  readonly now: () => number;
};

const memoryKey = 'promptCircuits.downloads';
/** The rate is that of the last few seconds; listeners hear of progress four times a second. */
const rateWindow = 5000;
const announceEvery = 250;

/**
 * The downloads of this window: started, paused, resumed and cancelled here. Those that were under way when the editor
 * closed are there again, paused: their bytes are kept.
 */
export class Downloads {
  readonly #services: DownloadServices;
  readonly #list = new Map<string, Download>();
  readonly #running = new Map<string, { readonly controller: AbortController; readonly ended: Promise<unknown> }>();
  readonly #listeners = new Set<() => void>();

  constructor(services: DownloadServices) {
    this.#services = services;
    for (const { pair, received, total } of readMemory(services.memory.get(memoryKey))) {
      this.#list.set(keyOf(pair), { pair, status: 'paused', received, total, bytesPerSecond: 0, error: null });
    }
  }

  get list(): readonly Download[] {
    return [...this.#list.values()];
  }

  find(pair: WantedPair): Download | null {
    return this.#list.get(keyOf(pair)) ?? null;
  }

  onDidChange(listener: () => void): { dispose: () => void } {
    this.#listeners.add(listener);
    return { dispose: () => void this.#listeners.delete(listener) };
  }

  /**
   * Starts or resumes, and ends with the folders to use; an AbortError when it was paused or cancelled meanwhile.
   * @throws UserError as `downloadFile` does; the download stays in the list, failed, and can be resumed
   */
  async run(pair: WantedPair): Promise<ArrivedPair> {
    const key = keyOf(pair);
    if (this.#running.has(key)) {
      throw new UserError('download.running', `${nameOf(pair)} is being downloaded already.`, 'Wait for it to finish.');
    }
    const controller = new AbortController();
    const arrived = this.#runToEnd(pair, controller.signal);
    const ended = arrived.catch(() => {});
    this.#running.set(key, { controller, ended });
    try {
      return await arrived;
    } finally {
      this.#running.delete(key);
      this.#announce();
      await this.#remember();
    }
  }

  /** Stops it and keeps what has arrived. */
  pause(pair: WantedPair): void {
    this.#running.get(keyOf(pair))?.controller.abort();
  }

  /** Stops it, takes it off the list, and removes the parts of files that had not arrived whole. */
  async cancel(pair: WantedPair): Promise<void> {
    const key = keyOf(pair);
    this.#list.delete(key);
    const running = this.#running.get(key);
    running?.controller.abort();
    await running?.ended;
    const { cache } = this.#services.options();
    for (const reference of [pair.model, pair.transcoders]) {
      if (reference !== null) await discardParts(cache, parseReference(reference).repo);
    }
    await this.#remember();
    this.#announce();
  }

  dispose(): void {
    for (const { controller } of this.#running.values()) controller.abort();
    this.#listeners.clear();
  }

  async #runToEnd(pair: WantedPair, signal: AbortSignal): Promise<ArrivedPair> {
    const key = keyOf(pair);
    const { received, total } = this.#list.get(key) ?? { received: 0, total: 0 };
    this.#set({ pair, status: 'asking', received, total, bytesPerSecond: 0, error: null });
    try {
      const arrived = await this.#run(pair, signal);
      this.#list.delete(key);
      return arrived;
    } catch (error) {
      const last = this.#list.get(key);
      // Cancelled ones are off the list already.
      if (last !== undefined) {
        const [status, reason] = isAbort(error) ? (['paused', null] as const) : (['failed', error as Error] as const);
        this.#list.set(key, { ...last, status, bytesPerSecond: 0, error: reason });
      }
      throw error;
    }
  }

  async #run(pair: WantedPair, signal: AbortSignal): Promise<ArrivedPair> {
    const options = { ...this.#services.options(), signal };
    const plans = await planPair(pair, options);
    const all = Object.values(plans).filter((plan) => plan !== null);
    const total = all.reduce((sum, plan) => sum + totalBytes(plan), 0);
    let before = 0;
    let announced = Number.NEGATIVE_INFINITY;
    for (const plan of all) {
      const rate = new Rate(this.#services.now);
      const onProgress = (received: number) => {
        const bytesPerSecond = rate.add(before + received);
        if (!this.#list.has(keyOf(pair))) return;
        const now = { pair, status: 'downloading', received: before + received, total, bytesPerSecond } as const;
        const isDue = this.#services.now() - announced >= announceEvery;
        // What is known is always the newest, however seldom it is told.
        if (!isDue) {
          this.#list.set(keyOf(pair), { ...now, error: null });
          return;
        }
        announced = this.#services.now();
        this.#set({ ...now, error: null });
      };
      await runPlan(plan, { ...options, onProgress });
      before += totalBytes(plan);
    }
    return { model: plans.model?.folder ?? null, transcoders: plans.transcoders?.folder ?? null };
  }

  #set(download: Download): void {
    const isFirst = this.#list.get(keyOf(download.pair))?.total !== download.total;
    this.#list.set(keyOf(download.pair), download);
    this.#announce();
    if (isFirst) void this.#remember();
  }

  #announce(): void {
    for (const listener of this.#listeners) listener();
  }

  async #remember(): Promise<void> {
    const kept = this.list.map(({ pair, received, total }) => ({ pair, received, total }));
    await this.#services.memory.update(memoryKey, kept);
  }
}

/** What a pair needs from the hub, without downloading more than its lists. */
export async function planPair(
  pair: WantedPair,
  options: PlanOptions,
): Promise<{ readonly model: Plan | null; readonly transcoders: Plan | null }> {
  return {
    model: pair.model === null ? null : await planModel(parseReference(pair.model), options),
    transcoders: pair.transcoders === null ? null : await planTranscoders(parseReference(pair.transcoders), options),
  };
}

/** Bytes to download, and of those still missing. */
export function planSizes(plans: { readonly model: Plan | null; readonly transcoders: Plan | null }): {
  readonly total: number;
  readonly missing: number;
} {
  const all = Object.values(plans).filter((plan) => plan !== null);
  return {
    total: all.reduce((sum, plan) => sum + totalBytes(plan), 0),
    missing: all.reduce((sum, plan) => sum + missingBytes(plan), 0),
  };
}

export type CachedPlace = { readonly repo: string; readonly commit: string; readonly folder: string };

/** Removes what lies in one folder of a cached repository; the whole repository for its root. */
export async function deletePlace(cache: string, { repo, commit, folder }: CachedPlace): Promise<void> {
  const below = folder === '' ? '' : `${folder}/`;
  await deleteFromCache(cache, { repo, commit }, (file) => file.startsWith(below));
}

export function keyOf({ model, transcoders }: WantedPair): string {
  return `${model ?? ''} ${transcoders ?? ''}`;
}

export function nameOf({ model, transcoders }: WantedPair): string {
  return model ?? transcoders ?? '';
}

/** Bytes per second over the last few seconds. */
class Rate {
  readonly #now: () => number;
  readonly #samples: { readonly time: number; readonly bytes: number }[] = [];

  constructor(now: () => number) {
    this.#now = now;
  }

  add(bytes: number): number {
    const time = this.#now();
    const last = this.#samples.at(-1);
    if (last === undefined || time - last.time >= 100) this.#samples.push({ time, bytes });
    while (this.#samples.length > 1 && time - this.#samples[0].time > rateWindow) this.#samples.shift();
    const [first] = this.#samples;
    return time > first.time ? Math.max(0, ((bytes - first.bytes) * 1000) / (time - first.time)) : 0;
  }
}

/** What an earlier version or another window left is read with care. */
function readMemory(value: unknown): readonly { pair: WantedPair; received: number; total: number }[] {
  if (!Array.isArray(value)) return [];
  return value.flatMap((entry) => {
    const { pair, received, total } = (entry ?? {}) as {
      pair?: Partial<WantedPair>;
      received?: number;
      total?: number;
    };
    const isText = (text: unknown): text is string | null => text === null || typeof text === 'string';
    if (!isText(pair?.model) || !isText(pair.transcoders)) return [];
    return [{ pair: { model: pair.model, transcoders: pair.transcoders }, received: received ?? 0, total: total ?? 0 }];
  });
}
