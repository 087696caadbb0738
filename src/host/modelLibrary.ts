import os from 'node:os';
import path from 'node:path';
import * as vscode from 'vscode';
import type { EngineStatus, ModelDescription, ModelPair, SetDescription } from '../protocol/engine.ts';
import { UserError } from '../protocol/errors.ts';
import { readHubSettings } from './config.ts';
import type { EngineProcess } from './engineProcess.ts';
import type { Log } from './log.ts';
import type { HostMachine, KnownPair } from './remote/catalog.ts';
import { freeDiskBytes } from './remote/download.ts';
import { type CachedPlace, Downloads, deletePlace } from './remote/downloads.ts';
import { type HubEnvironment, readHubEnvironment } from './remote/environment.ts';
import { createHttpClient } from './remote/http.ts';
import type { Hub } from './remote/hub.ts';
import { type FoundPair, type Inventory, pairUp, readFolderInventory, readHubInventory } from './remote/inventory.ts';
import { noProxy } from './remote/proxy.ts';
import { waitOnClock } from './remote/retry.ts';

const tokenKey = 'promptCircuits.hubToken';
const ownPairsKey = 'promptCircuits.ownPairs';

export type LibraryServices = {
  readonly engine: EngineProcess;
  readonly log: Log;
  readonly secrets: vscode.SecretStorage;
  /** Shared by all windows: own folders and unfinished downloads. */
  readonly memory: vscode.Memento;
};

/**
 * The models of this machine as the Models view and *Choose Model* see them: what is in the hub cache, own folders,
 * what is being downloaded, and what the engine has loaded.
 */
export class ModelLibrary implements vscode.Disposable {
  readonly #services: LibraryServices;
  readonly #environment: HubEnvironment;
  readonly #changed = new vscode.EventEmitter<void>();
  readonly onDidChange = this.#changed.event;
  readonly downloads: Downloads;
  readonly #disposables: { dispose: () => unknown }[];

  constructor(services: LibraryServices) {
    this.#services = services;
    this.#environment = readHubEnvironment(process.env, os.homedir());
    this.downloads = new Downloads({
      options: () => ({ hub: this.hub(), cache: this.cache }),
      memory: services.memory,
      now: () => performance.now(),
    });
    this.#disposables = [
      this.#changed,
      this.downloads,
      this.downloads.onDidChange(() => this.#changed.fire()),
      services.engine.onDidChangeState(() => this.#changed.fire()),
      vscode.workspace.onDidChangeConfiguration((change) => {
        if (change.affectsConfiguration('promptCircuits')) this.#changed.fire();
      }),
    ];
  }

  /** Absolute folder of the hub cache. */
  get cache(): string {
    return this.#environment.cacheFolder;
  }

  get endpoint(): string {
    return this.#environment.endpoint;
  }

  /** The hub as it is to be reached now, by today's settings. */
  hub(): Hub {
    const { endpoint, proxy, token, isOffline } = this.#environment;
    return {
      endpoint,
      http: createHttpClient(readHubSettings().hasEditorProxy ? noProxy : proxy),
      token: async () => (await this.#services.secrets.get(tokenKey)) ?? token,
      isOffline: () => isOffline || readHubSettings().isOffline,
      wait: waitOnClock,
      log: (line) => this.#services.log.info(`hub: ${line}`),
    };
  }

  /** Kept in the editor's secret storage; empty: forgotten. */
  async setToken(token: string): Promise<void> {
    if (token === '') await this.#services.secrets.delete(tokenKey);
    else await this.#services.secrets.store(tokenKey, token);
  }

  async machine(): Promise<HostMachine> {
    return { memory: os.totalmem(), cores: os.availableParallelism(), freeDisk: await freeDiskBytes(this.cache) };
  }

  /** Pairs on this machine: the hub cache's, then own folders. */
  async pairs(): Promise<{ readonly cached: readonly FoundPair[]; readonly own: readonly FoundPair[] }> {
    const cached = pairUp(await readHubInventory(this.cache));
    const own: FoundPair[] = [];
    for (const { model, transcoders } of this.#ownPairs) {
      const gone = (folder: string) => ({ folder, name: path.basename(folder), place: null, bytes: 0 });
      const models = (await this.lookInto(model)).models.filter(({ folder }) => folder === model);
      const sets = transcoders === null ? [] : (await this.lookInto(transcoders)).sets;
      const set = sets.find(({ folder }) => folder === transcoders);
      own.push({
        model: models[0] ?? { ...gone(model), missing: ['config.json'] },
        set: set ?? (transcoders === null ? null : { ...gone(transcoders), modelName: null, missing: ['config.yaml'] }),
      });
    }
    return { cached, own };
  }

  /** Models and sets in a folder of the user's. */
  lookInto(folder: string): Promise<Inventory> {
    return readFolderInventory(folder, this.cache);
  }

  /** Own folders are shown until they are forgotten; their files are never touched. */
  async remember(pair: ModelPair): Promise<void> {
    await this.forget(pair.model);
    await this.#services.memory.update(ownPairsKey, [...this.#ownPairs, pair]);
    this.#changed.fire();
  }

  async forget(model: string): Promise<void> {
    const others = this.#ownPairs.filter((pair) => pair.model !== model);
    await this.#services.memory.update(ownPairsKey, others);
    this.#changed.fire();
  }

  get #ownPairs(): readonly ModelPair[] {
    return this.#services.memory.get<readonly ModelPair[]>(ownPairsKey, []);
  }

  /**
   * What the engine reads in the folders of a pair.
   * @throws UserError of the engine: what is missing or wrong, by name; `transcoders.layers` when the two do not fit
   */
  async inspect(pair: ModelPair): Promise<{ model: ModelDescription; set: SetDescription | null }> {
    const { engine } = this.#services;
    const model = await engine.call('inspectModel', { folder: pair.model });
    if (pair.transcoders === null) return { model, set: null };
    const set = await engine.call('inspectTranscoders', { folder: pair.transcoders });
    if (set.nLayers !== model.nLayers) {
      throw new UserError(
        'transcoders.layers',
        `${path.basename(pair.transcoders)} has ${set.nLayers} layers and ${model.name} has ${model.nLayers}: they do not belong together.`,
        'Choose the transcoder set that was trained on this model.',
      );
    }
    return { model, set };
  }

  /** What the engine holds in memory; null while it is not running. */
  async status(): Promise<EngineStatus | null> {
    if (this.#services.engine.state === 'stopped') return null;
    // A process that ends meanwhile has nothing loaded.
    return this.#services.engine.call('status', {}).catch(() => null);
  }

  async unload(): Promise<void> {
    if (this.#services.engine.state === 'running') await this.#services.engine.call('unload', {});
    this.#changed.fire();
  }

  /** Removes folders of the hub cache. */
  async delete(places: readonly CachedPlace[]): Promise<void> {
    for (const place of places) await deletePlace(this.cache, place);
    this.#changed.fire();
  }

  refresh(): void {
    this.#changed.fire();
  }

  dispose(): void {
    for (const disposable of this.#disposables) disposable.dispose();
  }
}

/** Whether a known pair is on this machine, whole. */
export function isHere(known: KnownPair, pairs: readonly FoundPair[]): boolean {
  return pairs.some(
    ({ model, set }) =>
      model?.name === known.model && set?.name === known.transcoders && model.missing.length + set.missing.length === 0,
  );
}
