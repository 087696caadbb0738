import path from 'node:path';
import * as vscode from 'vscode';
import { writeGraph } from '../../graph/writeGraph.ts';
import type { GraphPanels } from '../panel/graphPanels.ts';
import { answerOf, type TraceRecord, traceName } from '../traceRecord.ts';
import type { OpenTrace, Traces } from '../traces.ts';

/** Lets the user choose among the kept traces; undefined when none is chosen. */
export async function pickTrace(traces: Traces, title: string): Promise<TraceRecord | undefined> {
  if (traces.records.length === 0) {
    void vscode.window.showInformationMessage('There are no traces yet. Select a prompt and run Trace Prompt.');
    return undefined;
  }
  const items = traces.records.map((record) => ({
    label: traceName(record, 80),
    description: answerOf(record),
    detail:
      record.createdAt === null
        ? record.modelName
        : `${record.modelName}, ${new Date(record.createdAt).toLocaleString()}`,
    record,
  }));
  const chosen = await vscode.window.showQuickPick(items, { title, matchOnDescription: true });
  return chosen?.record;
}

export async function openGraph(
  traces: Traces,
  panels: GraphPanels,
  record?: TraceRecord,
  toSide = false,
): Promise<void> {
  const chosen = record ?? (await pickTrace(traces, 'Open Graph'));
  if (chosen !== undefined) await panels.open(chosen.id, toSide);
}

export async function renameTrace(traces: Traces, record?: TraceRecord): Promise<void> {
  const chosen = record ?? (await pickTrace(traces, 'Rename Trace'));
  if (chosen === undefined) return;
  const title = await vscode.window.showInputBox({
    title: 'Rename Trace',
    prompt: 'Leave it empty to show the prompt.',
    value: chosen.title || traceName(chosen, 200),
  });
  if (title !== undefined) await traces.rename(chosen.id, title.trim());
}

export async function deleteTrace(traces: Traces, record?: TraceRecord): Promise<void> {
  const chosen = record ?? (await pickTrace(traces, 'Delete Trace'));
  if (chosen === undefined) return;
  const answer = await vscode.window.showWarningMessage(
    `Delete the trace “${traceName(chosen)}” and what you pinned and named in it?`,
    { modal: true },
    'Delete',
  );
  if (answer === 'Delete') await traces.remove(chosen.id);
}

/** Writes a trace's graph to a file of the user's choice, from where it opens by a double-click. */
export async function saveTraceAs(traces: Traces, record?: TraceRecord): Promise<void> {
  const id = record?.id ?? traces.active?.record.id ?? (await pickTrace(traces, 'Save Graph As'))?.id;
  const trace = id === undefined ? null : (traces.opened(id) ?? (await traces.open(id)));
  if (trace === null) return;
  const target = await vscode.window.showSaveDialog({
    title: 'Save Graph As',
    defaultUri: suggestedFile(trace),
    filters: { 'Circuit graphs': ['circuit.json'], JSON: ['json'] },
  });
  if (target === undefined) return;
  await vscode.workspace.fs.writeFile(target, Buffer.from(writeGraph(trace.graph)));
  const chosen = await vscode.window.showInformationMessage(`Saved ${path.basename(target.path)}.`, 'Open');
  if (chosen !== undefined) await vscode.commands.executeCommand('vscode.open', target);
}

function suggestedFile({ record }: OpenTrace): vscode.Uri | undefined {
  const folder = vscode.workspace.workspaceFolders?.[0]?.uri;
  const name =
    traceName(record)
      .toLowerCase()
      .replace(/[^\p{L}\p{N}]+/gu, '-')
      .replace(/^-+|-+$/g, '') || 'trace';
  return folder === undefined ? undefined : vscode.Uri.joinPath(folder, `${name}.circuit.json`);
}
