import path from 'node:path';
import * as vscode from 'vscode';
import type { Progress } from '../../protocol/engine.ts';
import { UserError } from '../../protocol/errors.ts';
import type { EngineProcess } from '../engineProcess.ts';
import type { FeatureCards } from '../featureCards.ts';
import { byInfluence, influenceById } from '../featureTree.ts';
import { fairlyCut, type OwnFile, ownTextLimits, skippedFolders, sourceText, textFiles, textOf } from '../ownTexts.ts';
import { modelOf } from '../runIntervention.ts';
import type { Jobs } from '../runJob.ts';
import type { OpenTrace, Traces } from '../traces.ts';

/** Texts that the user chose, and the words for where they are from. */
export type ChosenTexts = { readonly files: readonly OwnFile[]; readonly where: string };

type Source = vscode.QuickPickItem & { readonly read: () => Promise<ChosenTexts | null> };

const limits = `At most ${ownTextLimits.files} text files of up to 1 MB are read, and ${ownTextLimits.tokens.toLocaleString('en')} tokens of them are run. Nothing leaves this machine.`;

/**
 * Asks which of the user's texts features are to be looked for in. Null: the user went away.
 * @throws UserError when what they chose holds no text
 */
export async function chooseTexts(): Promise<ChosenTexts | null> {
  const open = vscode.workspace.textDocuments.filter(isProse);
  const folders = vscode.workspace.workspaceFolders ?? [];
  const sources: Source[] = [
    {
      label: '$(files) Open Editors',
      description: `${open.length} ${open.length === 1 ? 'text' : 'texts'}`,
      read: async () => ({ files: open.map(documentText), where: 'your open editors' }),
    },
    {
      label: '$(root-folder) This Workspace',
      description: folders.map(({ name }) => name).join(', '),
      read: async () => ({ files: await filesIn(null), where: 'your workspace' }),
    },
    { label: '$(file) Files…', read: chooseFiles },
    { label: '$(folder) A Folder…', read: chooseFolder },
  ];
  const possible = sources.filter(({ label }) => {
    if (label.includes('Open Editors')) return open.length > 0;
    return !label.includes('This Workspace') || folders.length > 0;
  });
  const chosen = await vscode.window.showQuickPick(possible, {
    title: 'Find Examples in My Text',
    placeHolder: limits,
    ignoreFocusOut: true,
  });
  const texts = (await chosen?.read()) ?? null;
  if (texts === null || texts.files.length > 0) return texts;
  throw new UserError('ownText.empty', `There is no text in ${texts.where}.`, 'Choose files with text in them.');
}

/** Finds examples of the active trace's features in texts that the user chooses. */
export async function findExamples({
  engine,
  traces,
  jobs,
  cards,
}: {
  readonly engine: EngineProcess;
  readonly traces: Traces;
  readonly jobs: Jobs;
  readonly cards: FeatureCards;
}): Promise<void> {
  const trace = traces.active;
  if (trace === null) {
    void vscode.window.showInformationMessage('Open a graph first: examples of its features are what is looked for.');
    return;
  }
  modelOf(trace);
  const texts = await chooseTexts();
  if (texts === null) return;
  const source = await jobs.run(`Looking for examples in ${texts.where}`, ({ signal, report }) =>
    collectFromTexts({ engine, cards }, trace, texts, { signal, onProgress: report }),
  );
  if (source !== undefined) void vscode.window.showInformationMessage(`The cards show examples from ${source}.`);
}

/** Runs the trace's model over the texts and keeps what its most influential features do there. */
export async function collectFromTexts(
  { engine, cards }: { readonly engine: EngineProcess; readonly cards: FeatureCards },
  trace: OpenTrace,
  { files, where }: ChosenTexts,
  options: { readonly signal: AbortSignal; readonly onProgress: (progress: Progress) => void },
): Promise<string> {
  const pair = modelOf(trace);
  const texts = fairlyCut(files);
  const features = featuresOf(trace);
  const request = { pair, texts, features, maxTokens: ownTextLimits.tokens, device: 'auto' as const };
  const weights = await engine.call('weights', { pair });
  const result = await engine.call('collectExamples', request, options);
  const source = sourceText(where, result, new Date());
  await cards.keepOwn(weights, result.features, source);
  return source;
}

/** The features of a graph, most influential first, each once. */
function featuresOf({ graph }: OpenTrace): { readonly layer: number; readonly feature: number }[] {
  const nodes = byInfluence(
    graph.nodes.filter(({ kind, feature }) => kind === 'feature' && feature !== null),
    influenceById(graph),
  );
  const byName = new Map(nodes.map(({ layer, feature }) => [`${layer}/${feature}`, { layer, feature: feature ?? 0 }]));
  return [...byName.values()].slice(0, ownTextLimits.features);
}

function isProse({ uri, isClosed, getText }: vscode.TextDocument): boolean {
  return (
    !isClosed &&
    ['file', 'untitled', 'vscode-notebook-cell', 'vscode-remote'].includes(uri.scheme) &&
    getText().trim() !== ''
  );
}

function documentText(document: vscode.TextDocument): OwnFile {
  return { name: vscode.workspace.asRelativePath(document.uri), text: document.getText() };
}

async function chooseFiles(): Promise<ChosenTexts | null> {
  const chosen = await vscode.window.showOpenDialog({
    canSelectMany: true,
    openLabel: 'Find Examples',
    title: 'Texts',
  });
  if (chosen === undefined) return null;
  const where = chosen.length === 1 ? path.basename(chosen[0].path) : 'files that you chose';
  return { files: await readFiles(chosen), where };
}

async function chooseFolder(): Promise<ChosenTexts | null> {
  const chosen = await vscode.window.showOpenDialog({
    canSelectFiles: false,
    canSelectFolders: true,
    openLabel: 'Find Examples',
    title: 'Folder of Texts',
  });
  if (chosen === undefined || chosen.length === 0) return null;
  return { files: await filesIn(chosen[0]), where: path.basename(chosen[0].path) };
}

/** Text files of a folder, or of the workspace. */
async function filesIn(folder: vscode.Uri | null): Promise<OwnFile[]> {
  const pattern = folder === null ? textFiles : new vscode.RelativePattern(folder, textFiles);
  return readFiles(await vscode.workspace.findFiles(pattern, skippedFolders, ownTextLimits.files));
}

async function readFiles(uris: readonly vscode.Uri[]): Promise<OwnFile[]> {
  const files: OwnFile[] = [];
  for (const uri of uris.slice(0, ownTextLimits.files)) {
    const { size } = await vscode.workspace.fs.stat(uri);
    if (size > ownTextLimits.fileBytes) continue;
    const text = textOf(await vscode.workspace.fs.readFile(uri));
    if (text !== null) files.push({ name: vscode.workspace.asRelativePath(uri), text });
  }
  return files;
}
