import * as vscode from 'vscode';
import { percent } from '../../graph/percent.ts';
import { duration } from '../log.ts';
import { answerOf, type TraceRecord, traceName } from '../traceRecord.ts';
import type { Traces } from '../traces.ts';

/** Longer names would push the answer out of the side bar. */
const shownLetters = 27;

/** The history: one row a trace with its prompt, the model's answer and when it was made. */
export class TracesView implements vscode.TreeDataProvider<TraceRecord>, vscode.Disposable {
  readonly #traces: Traces;
  readonly #changed = new vscode.EventEmitter<TraceRecord | undefined>();
  readonly onDidChangeTreeData = this.#changed.event;
  readonly #disposables: vscode.Disposable[];

  constructor(traces: Traces) {
    this.#traces = traces;
    const view = vscode.window.createTreeView('promptCircuits.traces', { treeDataProvider: this });
    this.#disposables = [
      view,
      this.#changed,
      traces.onDidChange(({ type }) => {
        if (type === 'list' || type === 'active') this.#changed.fire(undefined);
      }),
    ];
  }

  getChildren(record?: TraceRecord): TraceRecord[] {
    return record === undefined ? [...this.#traces.records] : [];
  }

  getTreeItem(record: TraceRecord): vscode.TreeItem {
    const item = new vscode.TreeItem(traceName(record, shownLetters));
    const isActive = this.#traces.active?.record.id === record.id;
    item.id = record.id;
    item.description = [answerOf(record), timeOf(record)].filter(Boolean).join('  ');
    item.tooltip = tooltipOf(record);
    item.iconPath = new vscode.ThemeIcon('type-hierarchy', isActive ? new vscode.ThemeColor('charts.blue') : undefined);
    item.contextValue = 'trace';
    item.accessibilityInformation = {
      label: `${traceName(record, 200)}, answer ${answerOf(record)}, ${timeOf(record)}`,
    };
    item.command = { command: 'promptCircuits.openGraph', title: 'Open Graph', arguments: [record] };
    return item;
  }

  dispose(): void {
    for (const disposable of this.#disposables) disposable.dispose();
  }
}

/** The hour for today's traces, the day for older ones. */
function timeOf(record: TraceRecord): string {
  if (record.createdAt === null) return '';
  const time = new Date(record.createdAt);
  const isToday = time.toDateString() === new Date().toDateString();
  return isToday
    ? time.toLocaleTimeString(undefined, { hour: '2-digit', minute: '2-digit' })
    : time.toLocaleDateString(undefined, { day: 'numeric', month: 'short' });
}

function tooltipOf(record: TraceRecord): vscode.MarkdownString {
  const text = new vscode.MarkdownString();
  text.appendCodeblock(record.promptText, 'text');
  for (const { text: token, probability } of record.predictions.slice(0, 5)) {
    text.appendText(`${JSON.stringify(token)}  ${percent(probability, 1)}\n`);
  }
  const took = record.milliseconds === null ? '' : `, ${duration(record.milliseconds)}`;
  text.appendText(`\n${record.modelName} on ${record.device}${took}, ${record.tokens.length} tokens`);
  return text;
}
