import os from 'node:os';
import path from 'node:path';
import * as vscode from 'vscode';
import type { CircuitGraph } from '../graph/circuitGraph.ts';
import {
  type AttributionSettings,
  type DeviceChoice,
  defaultAttribution,
  type ModelPair,
  type TraceRequest,
} from '../protocol/engine.ts';

/** The settings as they were when a command started. Nothing else reads them. */
export type Config = {
  readonly pair: ModelPair;
  /** True when `pair` is the model that ships with the extension. */
  readonly isBuiltIn: boolean;
  readonly device: DeviceChoice;
  readonly attribution: AttributionSettings;
  /** What of a graph is kept for the panel's slider: wider than what is shown first. */
  readonly keep: TraceRequest['keep'];
};

/** Share of influence, and of edge weight, that is kept beyond what is shown first. */
const keptNodes = 0.95;
const keptEdges = 0.995;

/** The same with other attribution settings. */
export function withAttribution(config: Config, attribution: AttributionSettings): Config {
  return { ...config, attribution, keep: keptOf(attribution) };
}

function keptOf({ nodeThreshold, edgeThreshold }: AttributionSettings): TraceRequest['keep'] {
  return {
    nodeThreshold: Math.max(nodeThreshold, keptNodes),
    edgeThreshold: Math.max(edgeThreshold, keptEdges),
  };
}

const builtInModel = ['media', 'built-in-model', 'model'] as const;

/** The built-in model's transcoder sets, by the words that the setting and the folder have for them. */
export type BuiltInSet = 'per-layer' | 'cross-layer';
const builtInSets: readonly BuiltInSet[] = ['per-layer', 'cross-layer'];

/** What graphs of a built-in set call it. */
function builtInScan(set: BuiltInSet): string {
  return `prompt-circuits/built-in-${set}`;
}

export function builtInPair(extensionPath: string, set: BuiltInSet = 'per-layer'): ModelPair {
  const folder = path.join(extensionPath, ...builtInModel);
  return { model: folder, transcoders: path.join(folder, '..', set) };
}

/** Reads the settings that hold in this window. `extensionPath` is where the built-in model lies. */
export function readConfig(extensionPath: string): Config {
  const settings = vscode.workspace.getConfiguration('promptCircuits');
  const model = settings.get<string>('model', '').trim();
  const transcoders = settings.get<string>('transcoders', '').trim();
  const isBuiltIn = model === '';
  const ownSet = builtInSets.find((set) => set === transcoders) ?? 'per-layer';
  const nodeThreshold = settings.get('nodeThreshold', defaultAttribution.nodeThreshold);
  const edgeThreshold = settings.get('edgeThreshold', defaultAttribution.edgeThreshold);
  const maxFeatures = settings.get<number | string>('maxFeatures', 'adaptive');
  const attribution: AttributionSettings = {
    ...defaultAttribution,
    maxLogits: settings.get('maxLogits', defaultAttribution.maxLogits),
    logitProbability: settings.get('logitProbability', defaultAttribution.logitProbability),
    batchSize: settings.get('batchSize', defaultAttribution.batchSize),
    maxFeatureNodes: typeof maxFeatures === 'number' ? maxFeatures : maxFeatures === 'all' ? 'all' : 'adaptive',
    nodeThreshold,
    edgeThreshold,
  };
  return {
    isBuiltIn,
    pair: {
      model: isBuiltIn ? builtInPair(extensionPath).model : absolute(model),
      transcoders:
        isBuiltIn && (transcoders === '' || transcoders === ownSet)
          ? builtInPair(extensionPath, ownSet).transcoders
          : transcoders === ''
            ? null
            : absolute(transcoders),
    },
    device: settings.get<DeviceChoice>('device', 'auto'),
    attribution,
    keep: keptOf(attribution),
  };
}

/** What decides how the hub is reached, beside the environment (`remote/environment.ts`). */
export type HubSettings = {
  readonly isOffline: boolean;
  /** False: the user turned VS Code's proxy support off, and the environment's proxies are used as they are. */
  readonly hasEditorProxy: boolean;
  /** Whether feature examples may be read from the hub as features are looked at. */
  readonly hubExamples: 'ask' | 'always' | 'never';
};

export function readHubSettings(): HubSettings {
  const settings = vscode.workspace.getConfiguration('promptCircuits');
  return {
    isOffline: settings.get('offline', false),
    hubExamples: settings.get<HubSettings['hubExamples']>('hubExamples', 'ask'),
    hasEditorProxy: vscode.workspace.getConfiguration('http').get<string>('proxySupport', 'override') !== 'off',
  };
}

/** Whether, and where, Neuronpedia may be asked about features. */
export type NeuronpediaSettings = {
  readonly isOn: boolean;
  /** Without a slash at its end. */
  readonly address: string;
  /** By reference of a transcoder set: `model/source-set`, as Neuronpedia calls them. */
  readonly sources: Readonly<Record<string, unknown>>;
};

export function readNeuronpediaSettings(): NeuronpediaSettings {
  const settings = vscode.workspace.getConfiguration('promptCircuits');
  return {
    isOn: settings.get('neuronpediaExamples', false),
    address: settings.get<string>('neuronpediaAddress', '').trim().replace(/\/+$/, ''),
    sources: settings.get<Record<string, unknown>>('neuronpediaSources', {}),
  };
}

/** Makes a pair the one that prompts are traced on: in the workspace where it sets one, else for the user. */
export async function writePair(pair: ModelPair | BuiltInSet): Promise<void> {
  const settings = vscode.workspace.getConfiguration('promptCircuits');
  const values =
    typeof pair === 'string'
      ? { model: undefined, transcoders: pair === 'per-layer' ? undefined : pair }
      : { model: pair.model, transcoders: pair.transcoders ?? undefined };
  for (const [name, value] of Object.entries(values)) {
    const isOfWorkspace = settings.inspect(name)?.workspaceValue !== undefined;
    const { Workspace, Global } = vscode.ConfigurationTarget;
    await settings.update(name, value, isOfWorkspace ? Workspace : Global);
  }
}

/**
 * The model that a graph file was made with, where this machine knows it: the chosen one or that of an earlier trace
 * with the same transcoder set. Null otherwise: nothing is guessed from names alone.
 */
export function pairForGraph(
  extensionPath: string,
  graph: CircuitGraph,
  records: readonly { readonly scan: string; readonly pair: ModelPair | null }[],
): ModelPair | null {
  const { scan } = graph.metadata;
  if (scan === '') return null;
  const ownSet = builtInSets.find((set) => scan === builtInScan(set));
  if (ownSet !== undefined) return builtInPair(extensionPath, ownSet);
  return records.find((record) => record.scan === scan)?.pair ?? null;
}

/** A folder as a person writes it: absolute, from the home folder, or from the first workspace folder. */
function absolute(folder: string): string {
  if (folder === '~' || folder.startsWith('~/')) return path.join(os.homedir(), folder.slice(1));
  if (path.isAbsolute(folder)) return folder;
  return path.resolve(vscode.workspace.workspaceFolders?.[0]?.uri.fsPath ?? os.homedir(), folder);
}
