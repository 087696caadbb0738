import * as vscode from 'vscode';
import type { GraphPanels } from '../panel/graphPanels.ts';
import { answerOf, type TraceRecord, traceName } from '../traceRecord.ts';
import type { Traces } from '../traces.ts';

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
    ignoreFocusOut: true,
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
