import path from 'node:path';
import * as vscode from 'vscode';
import type { ModelDescription, ModelPair, SetDescription } from '../../protocol/engine.ts';
import { isAbort, UserError } from '../../protocol/errors.ts';
import { type BuiltInSet, writePair } from '../config.ts';
import { isHere, type ModelLibrary } from '../modelLibrary.ts';
import { fitOf, knownPairs } from '../remote/catalog.ts';
import { planPair, planSizes, type WantedPair } from '../remote/downloads.ts';
import type { FoundModel, FoundPair, FoundSet } from '../remote/inventory.ts';
import { formatReference, parseReference } from '../remote/reference.ts';
import { formatBytes } from '../remote/sizes.ts';
import { sizeOf, verdictOf } from '../views/modelsView.ts';

export type ModelServices = { readonly library: ModelLibrary };

type Choice = vscode.QuickPickItem & { readonly choose?: () => Promise<void> };

/** *Choose Model*: the built-in one, one on this machine, a folder, or one of the hub. */
export async function chooseModel(services: ModelServices): Promise<void> {
  const { library } = services;
  const [{ cached, own }, machine] = await Promise.all([library.pairs(), library.machine()]);
  const here = [...cached, ...own].filter(({ model }) => model !== null);
  const separator = (label: string): Choice => ({ label, kind: vscode.QuickPickItemKind.Separator });
  const choices: Choice[] = [
    {
      label: '$(package) Built-in Model',
      description: 'small, works offline in seconds',
      choose: () => applyPair(services, 'per-layer'),
    },
    {
      label: '$(package) Built-in Model, cross-layer',
      description: 'the same model, with features that write to several layers',
      choose: () => applyPair(services, 'cross-layer'),
    },
    ...(here.length === 0 ? [] : [separator('On This Machine')]),
    ...here.map((pair) => ({
      label: `$(package) ${pair.model?.name ?? ''}`,
      description: pair.set === null ? 'no transcoders: probabilities only' : pair.set.name,
      ...(missingOf(pair).length === 0 ? {} : { detail: `Missing: ${missingOf(pair).join(', ')}` }),
      choose: () => applyPair(services, { model: pair.model?.folder ?? '', transcoders: pair.set?.folder ?? null }),
    })),
    separator('Elsewhere'),
    { label: '$(folder-opened) From a Folder…', choose: () => chooseFolder(services) },
    { label: '$(cloud) From the Hub by Name…', choose: () => chooseByName(services) },
    separator('Known Pairs of Model and Transcoders'),
    ...knownPairs
      .filter((pair) => !isHere(pair, cached))
      .map((pair) => {
        const fit = fitOf(pair, machine);
        return {
          label: `$(${pair.isSuggested ? 'star-empty' : 'cloud-download'}) ${pair.name}`,
          description: [sizeOf(fit), verdictOf(fit), ...(pair.isGated ? ['needs an access token'] : [])].join(' · '),
          detail: `${pair.model} with ${pair.transcoders}`,
          choose: () => downloadPair(services, pair),
        };
      }),
  ];
  const chosen = await vscode.window.showQuickPick(choices, {
    title: 'Choose Model',
    placeHolder: 'The model that prompts are traced on',
    matchOnDescription: true,
    matchOnDetail: true,
  });
  await chosen?.choose?.();
}

/** Makes a pair the one in use, after the engine has looked at it. */
export async function applyPair({ library }: ModelServices, pair: ModelPair | BuiltInSet): Promise<void> {
  if (typeof pair === 'string') {
    await applyAndSay(pair, `The built-in model is in use, with its ${pair} transcoders.`);
    return;
  }
  const { model, set } = await library.inspect(pair);
  await applyAndSay(pair, `${describeModel(model)} ${describeSet(set)}`);
}

async function applyAndSay(pair: ModelPair | BuiltInSet, message: string): Promise<void> {
  await writePair(pair);
  void vscode.window.showInformationMessage(message);
}

/** What was found, in one sentence each. */
function describeModel({ name, family, nLayers, parameters, weightBytes, storedType }: ModelDescription): string {
  return `${name}: ${family}, ${nLayers} layers, ${countWords(parameters)} parameters, ${formatBytes(weightBytes)} in ${storedType}.`;
}

function countWords(count: number): string {
  if (count >= 1e9) return `${(count / 1e9).toFixed(1)} billion`;
  return count >= 1e6 ? `${Math.round(count / 1e6)} million` : `${Math.round(count / 1e3)} thousand`;
}

function describeSet(set: SetDescription | null): string {
  if (set === null) return 'Without transcoders it shows probabilities; graphs need a transcoder set.';
  const count = set.featuresPerLayer.toLocaleString('en');
  const examples = set.hasExamples ? ', with examples' : '';
  return `Transcoders: ${set.kind}, ${set.activation}, ${count} features a layer, ${formatBytes(set.weightBytes)}${examples}.`;
}

/** A folder of the user's: what it holds is said, and what is missing. */
async function chooseFolder(services: ModelServices): Promise<void> {
  const { library } = services;
  const folder = await openFolder('Choose the Folder of a Model');
  if (folder === null) return;
  const { models, sets } = await library.lookInto(folder);
  // A folder that looks like no model is still shown to the engine: it says best what is missing.
  const model = models.length > 1 ? await pickModel(models) : (models[0]?.folder ?? folder);
  if (model === null) return;
  await library.inspect({ model, transcoders: null });
  const transcoders = await pickSet(services, sets);
  if (transcoders === undefined) return;
  const pair = { model, transcoders };
  await applyPair(services, pair);
  await library.remember(pair);
}

async function pickModel(models: readonly FoundModel[]): Promise<string | null> {
  const items = models.map(({ folder, name, bytes, missing }) => ({
    label: name,
    description: missing.length === 0 ? formatBytes(bytes) : `${missing.length} files missing: ${missing[0]}`,
    detail: folder,
  }));
  const title = `${models.length} Models Are in This Folder`;
  return (await vscode.window.showQuickPick(items, { title }))?.detail ?? null;
}

/** Undefined: the user turned away; null: none. */
async function pickSet(services: ModelServices, near: readonly FoundSet[]): Promise<string | null | undefined> {
  const { cached } = await services.library.pairs();
  const known = [...near, ...cached.flatMap(({ set }) => (set === null ? [] : [set]))];
  const items = [
    ...known.map(({ name, folder, bytes, missing }) => ({
      label: `$(layers) ${name}`,
      description: missing.length === 0 ? formatBytes(bytes) : `${missing.length} files missing: ${missing[0]}`,
      detail: folder,
      choose: async (): Promise<string | null | undefined> => folder,
    })),
    {
      label: '$(folder-opened) From a Folder…',
      choose: async () => {
        const folder = await openFolder('Choose the Folder of a Transcoder Set');
        if (folder === null) return undefined;
        const { sets } = await services.library.lookInto(folder);
        return sets.length === 1 ? sets[0].folder : folder;
      },
    },
    { label: '$(circle-slash) None', description: 'token probabilities only', choose: async () => null },
  ];
  const chosen = await vscode.window.showQuickPick(items, { title: 'Choose the Transcoders of This Model' });
  return chosen?.choose();
}

async function openFolder(title: string): Promise<string | null> {
  const [folder] =
    (await vscode.window.showOpenDialog({
      title,
      openLabel: 'Choose',
      canSelectFiles: false,
      canSelectFolders: true,
      canSelectMany: false,
    })) ?? [];
  return folder === undefined ? null : path.resolve(folder.fsPath);
}

/** Any model or set of the hub, by reference. */
async function chooseByName(services: ModelServices): Promise<void> {
  const ask = (title: string, prompt: string, isOptional: boolean) =>
    vscode.window.showInputBox({
      title,
      prompt,
      placeHolder: 'owner/name, owner/name/folder, or either with @revision',
      ignoreFocusOut: true,
      validateInput: (text) => (isOptional && text.trim() === '' ? null : whyNotReference(text)),
    });
  const model = await ask('Model on the Hub', 'The model to download.', false);
  if (model === undefined) return;
  const set = await ask('Transcoder Set on the Hub', 'Empty: none, for token probabilities only.', true);
  if (set === undefined) return;
  const normal = (text: string) => formatReference(parseReference(text));
  await downloadPair(services, { model: normal(model), transcoders: set.trim() === '' ? null : normal(set) });
}

function whyNotReference(text: string): string | null {
  try {
    parseReference(text);
    return null;
  } catch (error) {
    return error instanceof UserError ? `${error.message} ${error.remedy}` : String(error);
  }
}

/** Asks the hub what a pair weighs, asks the user, downloads it, and puts it to use. */
export async function downloadPair(services: ModelServices, wanted: WantedPair): Promise<void> {
  const pair: WantedPair = { model: wanted.model, transcoders: wanted.transcoders };
  const { library } = services;
  const plans = await vscode.window.withProgress(
    { location: vscode.ProgressLocation.Notification, title: 'Asking the hub for sizes…', cancellable: true },
    (_, token) => {
      const controller = new AbortController();
      token.onCancellationRequested(() => controller.abort());
      return planPair(pair, { hub: library.hub(), cache: library.cache, signal: controller.signal });
    },
  );
  const { total, missing } = planSizes(plans);
  const { freeDisk } = await library.machine();
  if (missing > 0) {
    const names = [pair.model, pair.transcoders].filter((name) => name !== null).join('\n');
    const facts = [
      ...(missing < total ? [`${formatBytes(total - missing)} of ${formatBytes(total)} are here already.`] : []),
      `${formatBytes(freeDisk)} are free in ${library.cache}.`,
      'The download can be paused in the Models view.',
    ];
    const answer = await vscode.window.showInformationMessage(
      `Download ${formatBytes(missing)}?`,
      { modal: true, detail: `${names}\n\n${facts.join(' ')}` },
      'Download',
    );
    if (answer !== 'Download') return;
  }
  await runDownload(services, pair);
}

/** Downloads or resumes; the Models view shows how far it is. At its end the pair can be put to use. */
export async function runDownload(services: ModelServices, pair: WantedPair): Promise<void> {
  try {
    const { model, transcoders } = await services.library.downloads.run(pair);
    if (model === null) return;
    const arrived = `${pair.model} is on this machine.`;
    if ((await vscode.window.showInformationMessage(arrived, 'Use It')) === 'Use It') {
      await applyPair(services, { model, transcoders });
    }
  } catch (error) {
    if (!isAbort(error)) throw error;
  }
}

function missingOf({ model, set }: FoundPair): readonly string[] {
  return [...(model?.missing ?? []), ...(set?.missing ?? [])];
}
