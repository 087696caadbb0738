import path from 'node:path';
import * as vscode from 'vscode';
import type { EngineStatus } from '../../protocol/engine.ts';
import { type Config, readConfig } from '../config.ts';
import { isHere, type ModelLibrary } from '../modelLibrary.ts';
import { type Fit, fitOf, type KnownPair, knownPairs } from '../remote/catalog.ts';
import { type Download, nameOf } from '../remote/downloads.ts';
import type { FoundPair } from '../remote/inventory.ts';
import { formatBytes } from '../remote/sizes.ts';
import { describeEstimate } from '../traceCost.ts';

/** One row of the Models view. */
export type ModelRow =
  | { readonly type: 'group'; readonly title: string; readonly rows: readonly ModelRow[] }
  | { readonly type: 'loaded'; readonly status: EngineStatus }
  | { readonly type: 'built-in'; readonly isUsed: boolean }
  | { readonly type: 'found'; readonly pair: FoundPair; readonly isOwn: boolean; readonly isUsed: boolean }
  | { readonly type: 'download'; readonly download: Download }
  | { readonly type: 'known'; readonly pair: KnownPair; readonly fit: Fit };

/** Milliseconds in which changes are gathered before the tree is read anew. */
const gatherChanges = 150;

/** The models: loaded, on this machine, on their way, and those that can be had. */
export class ModelsView implements vscode.TreeDataProvider<ModelRow>, vscode.Disposable {
  readonly #library: ModelLibrary;
  readonly #extensionPath: string;
  readonly #changed = new vscode.EventEmitter<undefined>();
  readonly onDidChangeTreeData = this.#changed.event;
  readonly #disposables: vscode.Disposable[];
  #timer: ReturnType<typeof setTimeout> | null = null;

  constructor(extensionPath: string, library: ModelLibrary, jobs: { onDidChange: vscode.Event<void> }) {
    this.#library = library;
    this.#extensionPath = extensionPath;
    const view = vscode.window.createTreeView('promptCircuits.models', { treeDataProvider: this });
    this.#disposables = [
      view,
      this.#changed,
      library.onDidChange(() => this.#refreshSoon()),
      // A finished trace has loaded a model.
      jobs.onDidChange(() => this.#refreshSoon()),
    ];
  }

  #refreshSoon(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      this.#changed.fire(undefined);
    }, gatherChanges);
  }

  async getChildren(row?: ModelRow): Promise<ModelRow[]> {
    if (row !== undefined) return row.type === 'group' ? [...row.rows] : [];
    const config = readConfig(this.#extensionPath);
    const [status, { cached, own }, machine] = await Promise.all([
      this.#library.status(),
      this.#library.pairs(),
      this.#library.machine(),
    ]);
    const isUsed = ({ model, set }: FoundPair) => !config.isBuiltIn && isPairOf(config, model?.folder, set?.folder);
    const onMachine: ModelRow[] = [
      { type: 'built-in', isUsed: config.isBuiltIn },
      ...cached.map((pair) => ({ type: 'found', pair, isOwn: false, isUsed: isUsed(pair) }) as const),
      ...own.map((pair) => ({ type: 'found', pair, isOwn: true, isUsed: isUsed(pair) }) as const),
    ];
    const downloads = this.#library.downloads.list.map((download) => ({ type: 'download', download }) as const);
    const available = knownPairs
      .filter((pair) => !isHere(pair, cached) && this.#library.downloads.find(pair) === null)
      .map((pair) => ({ type: 'known', pair, fit: fitOf(pair, machine) }) as const);
    const groups: { title: string; rows: readonly ModelRow[] }[] = [
      { title: 'Loaded', rows: status?.loaded ? [{ type: 'loaded', status }] : [] },
      { title: 'Downloading', rows: downloads },
      { title: 'On This Machine', rows: onMachine },
      { title: 'Available', rows: available },
    ];
    return groups.filter(({ rows }) => rows.length > 0).map((group) => ({ type: 'group', ...group }));
  }

  getTreeItem(row: ModelRow): vscode.TreeItem {
    if (row.type === 'group') return groupItem(row);
    if (row.type === 'loaded') return loadedItem(row.status);
    if (row.type === 'built-in') return builtInItem(row.isUsed);
    if (row.type === 'found') return foundItem(row);
    if (row.type === 'download') return downloadItem(row.download);
    return knownItem(row.pair, row.fit);
  }

  dispose(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    for (const disposable of this.#disposables) disposable.dispose();
  }
}

function isPairOf({ pair }: Config, model: string | undefined, set: string | undefined): boolean {
  return model === pair.model && (set ?? null) === pair.transcoders;
}

function groupItem({ title }: { readonly title: string }): vscode.TreeItem {
  const { Expanded, Collapsed } = vscode.TreeItemCollapsibleState;
  const item = new vscode.TreeItem(title, title === 'Available' ? Collapsed : Expanded);
  item.id = title;
  item.contextValue = 'group';
  return item;
}

/** A row with its words in the order they matter; the accessible name says all of them. */
function item(label: string, description: string, icon: string, context: string): vscode.TreeItem {
  const row = new vscode.TreeItem(label);
  row.description = description;
  row.iconPath = new vscode.ThemeIcon(icon);
  row.contextValue = context;
  row.accessibilityInformation = { label: `${label}, ${description}` };
  return row;
}

function loadedItem({ loaded, device, deviceReason, ownBytes }: EngineStatus): vscode.TreeItem {
  const name = loaded?.model.name ?? '';
  const row = item(name, `${device} · ${formatBytes(ownBytes)} of memory`, 'vm-running', 'loaded');
  row.tooltip = [
    `${name}: ${loaded?.model.family}, ${loaded?.model.nLayers} layers`,
    loaded?.set ? `Transcoders: ${loaded.set.kind}, ${loaded.set.featuresPerLayer} features a layer` : 'No transcoders',
    `Device: ${device}. ${deviceReason}`,
  ].join('\n');
  return row;
}

function builtInItem(isUsed: boolean): vscode.TreeItem {
  const row = item('Built-in Model', isUsed ? 'in use' : 'ships with the extension', iconOf(isUsed), 'built-in');
  row.tooltip = 'A small model with transcoders, examples and labels. Works offline, in seconds.';
  return row;
}

function foundItem({ pair, isOwn, isUsed }: { pair: FoundPair; isOwn: boolean; isUsed: boolean }): vscode.TreeItem {
  const { model, set } = pair;
  const missing = [...(model?.missing ?? []), ...(set?.missing ?? [])];
  const state =
    missing.length > 0
      ? `${missing.length} ${missing.length === 1 ? 'file' : 'files'} missing: ${missing[0]}`
      : model === null
        ? `its model ${set?.modelName ?? ''} is not here`
        : set === null
          ? 'no transcoders: probabilities only'
          : formatBytes(model.bytes + set.bytes);
  const isWhole = model !== null && missing.length === 0;
  const context = [isOwn ? 'own' : 'cached', isWhole ? 'whole' : 'incomplete'].join(' ');
  const icon = isWhole ? iconOf(isUsed) : 'warning';
  const row = item(model?.name ?? set?.name ?? '', `${isUsed ? 'in use · ' : ''}${state}`, icon, context);
  row.tooltip = [
    model === null ? null : `Model: ${model.folder} (${formatBytes(model.bytes)})`,
    set === null ? null : `Transcoders: ${set.name} in ${set.folder} (${formatBytes(set.bytes)})`,
    ...missing.map((file) => `Missing: ${file}`),
  ]
    .filter((line) => line !== null)
    .join('\n');
  return row;
}

function downloadItem(download: Download): vscode.TreeItem {
  const { pair, status, received, total, bytesPerSecond, error } = download;
  const share = total > 0 ? `${Math.floor((100 * received) / total)} %` : '';
  const amount = total > 0 ? `${share} of ${formatBytes(total)}` : '';
  const rate = bytesPerSecond > 0 ? ` · ${formatBytes(bytesPerSecond)}/s · ${timeLeft(download)}` : '';
  const words = {
    asking: 'asking the hub…',
    downloading: `${amount}${rate}`,
    paused: `paused${amount === '' ? '' : ` at ${amount}`}`,
    failed: `failed: ${error?.message ?? ''}`,
  }[status];
  const isRunning = status === 'asking' || status === 'downloading';
  const icon = isRunning ? 'sync~spin' : status === 'paused' ? 'debug-pause' : 'error';
  const row = item(nameOf(pair), words, icon, isRunning ? 'download running' : 'download stopped');
  row.tooltip = [pair.model, pair.transcoders, words].filter((line) => line !== null).join('\n');
  return row;
}

function timeLeft({ received, total, bytesPerSecond }: Download): string {
  const seconds = (total - received) / bytesPerSecond;
  if (seconds < 90) return `${Math.ceil(seconds)} s left`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min left` : `${(seconds / 3600).toFixed(1)} h left`;
}

function knownItem(pair: KnownPair, fit: Fit): vscode.TreeItem {
  const row = item(pair.name, [sizeOf(fit), verdictOf(fit)].join(' · '), 'cloud', 'known');
  if (pair.isSuggested) row.iconPath = new vscode.ThemeIcon('star-empty');
  row.tooltip = [
    `Model: ${pair.model}`,
    `Transcoders: ${pair.transcoders}, ${pair.kind}`,
    pair.featuresPerLayer === null ? null : `${pair.nLayers} layers of ${pair.featuresPerLayer} features`,
    `Download: ${sizeOf(fit)}. ${reasonOf(fit)}`,
    `A trace of 32 tokens takes ${describeEstimate(fit.trace)}, on the processor. Graphics card: unknown.`,
    pair.isGated ? 'Its terms must be accepted on the hub; needs an access token.' : null,
    pair.isSuggested ? 'A good first real model.' : null,
  ]
    .filter((line) => line !== null)
    .join('\n');
  return row;
}

export function sizeOf({ downloadBytes }: Fit): string {
  return downloadBytes === null ? 'size on asking' : formatBytes(downloadBytes);
}

export function verdictOf({ verdict }: Fit): string {
  return {
    fits: 'fits',
    slow: 'slow here',
    'too large': 'too large',
    'no room on disk': 'no room on disk',
    unknown: 'memory suffices',
  }[verdict];
}

/** The verdict in a sentence. */
function reasonOf({ verdict }: Fit): string {
  return {
    fits: 'It fits this machine.',
    slow: 'Traces take minutes here, or read files from disk again that exceed the memory.',
    'too large': 'A trace takes more memory than this machine has.',
    'no room on disk': 'It exceeds what is free on the disk.',
    unknown: 'The hub is asked for its size before a download.',
  }[verdict];
}

function iconOf(isUsed: boolean): string {
  return isUsed ? 'pass-filled' : 'package';
}

/** Folder of a row that has one. */
export function folderOf(row: ModelRow): string | null {
  if (row.type === 'found') return row.pair.model?.folder ?? row.pair.set?.folder ?? null;
  if (row.type === 'loaded') return row.status.loaded?.model.folder ?? null;
  return null;
}

/** The words by which a row is spoken of in questions. */
export function nameOfRow(row: ModelRow): string {
  if (row.type === 'found') return row.pair.model?.name ?? row.pair.set?.name ?? '';
  if (row.type === 'download') return nameOf(row.download.pair);
  if (row.type === 'known') return row.pair.name;
  return row.type === 'loaded' ? path.basename(row.status.loaded?.model.folder ?? '') : 'Built-in Model';
}
