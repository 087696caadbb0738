import * as vscode from 'vscode';
import { formatBytes } from '../remote/sizes.ts';
import { folderOf, type ModelRow, nameOfRow } from '../views/modelsView.ts';
import { applyPair, chooseModel, downloadPair, type ModelServices, runDownload } from './chooseModel.ts';

/** Puts a row's model to use; without a row the user chooses. */
export async function applyModel(services: ModelServices, row?: ModelRow): Promise<void> {
  if (row?.type === 'built-in') await applyPair(services, 'per-layer');
  else if (row?.type === 'found' && row.pair.model !== null) {
    await applyPair(services, { model: row.pair.model.folder, transcoders: row.pair.set?.folder ?? null });
  } else await chooseModel(services);
}

/** A known pair, or what is missing of one on this machine. */
export async function downloadModel(services: ModelServices, row?: ModelRow): Promise<void> {
  if (row?.type === 'known') await downloadPair(services, row.pair);
  else if (row?.type === 'found') {
    const { model, set } = row.pair;
    const modelName = model?.place?.repo ?? (model === null ? hubName(set?.modelName ?? null) : null);
    await downloadPair(services, {
      model: modelName,
      transcoders: set?.place === undefined ? null : (set?.name ?? null),
    });
  } else await chooseModel(services);
}

/** Sets may name their model without its owner: then only the user knows where it is. */
function hubName(modelName: string | null): string | null {
  return modelName?.includes('/') ? modelName : null;
}

export function pauseDownload({ library }: ModelServices, row?: ModelRow): void {
  for (const { pair } of row?.type === 'download' ? [row.download] : library.downloads.list) {
    library.downloads.pause(pair);
  }
}

export async function resumeDownload(services: ModelServices, row?: ModelRow): Promise<void> {
  const stopped = services.library.downloads.list.filter(({ status }) => status === 'paused' || status === 'failed');
  const chosen = row?.type === 'download' ? [row.download] : stopped;
  await Promise.all(chosen.map(({ pair }) => runDownload(services, pair)));
}

export async function cancelDownload({ library }: ModelServices, row?: ModelRow): Promise<void> {
  if (row?.type !== 'download') return;
  const { pair, received } = row.download;
  const answer = await vscode.window.showWarningMessage(
    `Stop downloading ${nameOfRow(row)}?`,
    { modal: true, detail: `Files that have arrived whole stay; of the rest ${formatBytes(received)} may be lost.` },
    'Stop',
  );
  if (answer === 'Stop') await library.downloads.cancel(pair);
}

/** Takes an own folder off the list; its files are not touched. */
export async function forgetModel({ library }: ModelServices, row?: ModelRow): Promise<void> {
  if (row?.type === 'found' && row.isOwn && row.pair.model !== null) await library.forget(row.pair.model.folder);
}

/** Deletes a pair from the hub cache, after a question. */
export async function deleteModel({ library }: ModelServices, row?: ModelRow): Promise<void> {
  if (row?.type !== 'found' || row.isOwn) return;
  const { model, set } = row.pair;
  const parts = [model, set].filter((part) => part !== null);
  const bytes = parts.reduce((sum, part) => sum + part.bytes, 0);
  const answer = await vscode.window.showWarningMessage(
    `Delete ${nameOfRow(row)} from this machine?`,
    {
      modal: true,
      detail: `${formatBytes(bytes)}: ${parts.map(({ name }) => name).join(' and ')}.\nPython programs use the same cache and would have to download it again.`,
    },
    'Delete',
  );
  if (answer === 'Delete') await library.delete(parts.flatMap(({ place }) => (place === null ? [] : [place])));
}

/** Shows the folder in the system's file manager; where there is none (a browser, a remote machine) copies its path. */
export async function revealModel(row?: ModelRow): Promise<void> {
  const folder = row === undefined ? null : folderOf(row);
  if (folder === null) return;
  if (vscode.env.uiKind === vscode.UIKind.Desktop && vscode.env.remoteName === undefined) {
    await vscode.commands.executeCommand('revealFileInOS', vscode.Uri.file(folder));
    return;
  }
  await vscode.env.clipboard.writeText(folder);
  void vscode.window.showInformationMessage(`Copied the path: ${folder}`);
}

/** For models whose terms must be accepted. Kept in the editor's secret storage, sent only to the hub. */
export async function setHubToken({ library }: ModelServices): Promise<void> {
  const token = await vscode.window.showInputBox({
    title: 'Hub Access Token',
    prompt: `Sent to ${library.endpoint} only, with read access. Leave it empty to forget the token kept here.`,
    password: true,
    ignoreFocusOut: true,
    validateInput: (text) =>
      /^[\x21-\x7e]*$/.test(text.trim()) ? null : 'A token has no spaces or special characters.',
  });
  if (token === undefined) return;
  await library.setToken(token.trim());
  void vscode.window.showInformationMessage(token.trim() === '' ? 'The token is forgotten.' : 'The token is kept.');
}
