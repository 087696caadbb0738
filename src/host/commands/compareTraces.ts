import * as vscode from 'vscode';
import { mergeGraphs } from '../../graph/mergeGraphs.ts';
import { comparedNames } from '../comparedNames.ts';
import type { ComparisonPanels } from '../panel/comparisonPanels.ts';
import type { GraphPanels } from '../panel/graphPanels.ts';
import { answerOf, recordOfGraph, type TraceRecord, traceName } from '../traceRecord.ts';
import type { OpenTrace, Traces } from '../traces.ts';

/** Shows two traces beside each other: the active one, and the one that is given or picked. */
export async function compareTraces(
  traces: Traces,
  comparisons: ComparisonPanels,
  record?: TraceRecord,
): Promise<void> {
  const left = traces.active ?? (await pickOther(traces, null, 'Compare (1 of 2)'));
  if (left === null) return;
  const right =
    record === undefined || record.id === left.record.id
      ? await pickOther(traces, left.record.id, `Compare ${traceName(left.record)} With`)
      : await traces.open(record.id);
  if (right !== null) await comparisons.open({ left: left.record.id, right: right.record.id });
}

/** Draws two traces as one graph, in a panel of its own: what only one of them has, and what both have, as groups. */
export async function openMergedGraph(
  traces: Traces,
  panels: GraphPanels,
  left: OpenTrace,
  right: OpenTrace,
): Promise<void> {
  const names = comparedNames(left, right);
  const { graph } = mergeGraphs(left.graph, right.graph, [names.left, names.right]);
  const id = `comparison ${left.record.id} ${right.record.id}`;
  const merged = recordOfGraph(id, `${names.left} | ${names.right}`, graph, null);
  const warnings = [
    `Two traces in one picture: “${traceName(left.record)}” and “${traceName(right.record)}”. Scores and answers are in their own graphs.`,
  ];
  // Each side's answer, then what else the left one might say.
  const [answer, ...others] = left.record.predictions;
  const predictions = [answer, ...right.record.predictions.slice(0, 1), ...others].filter(
    (entry) => entry !== undefined,
  );
  traces.hold({ ...merged, predictions, warnings }, graph);
  await panels.open(id, true);
}

async function pickOther(traces: Traces, except: string | null, title: string): Promise<OpenTrace | null> {
  const items = traces.records
    .filter((record) => record.id !== except)
    .map((record) => ({ label: traceName(record, 80), description: answerOf(record), record }));
  if (items.length === 0) {
    void vscode.window.showInformationMessage('There is no other trace yet. Trace a second prompt to compare with.');
    return null;
  }
  const chosen = await vscode.window.showQuickPick(items, { title });
  return chosen === undefined ? null : traces.open(chosen.record.id);
}
