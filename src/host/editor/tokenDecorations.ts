import * as vscode from 'vscode';
import type { GraphNode } from '../../graph/node.ts';
import type { TraceRecord } from '../traceRecord.ts';
import type { OpenTrace, Traces } from '../traces.ts';
import { tokenRanges } from './tokenPlaces.ts';

/**
 * Shows in every editor that holds the active trace's prompt where the selected (or hovered) node sits, and where else
 * its feature fires, stronger where it fires more.
 */
export class TokenDecorations implements vscode.Disposable {
  readonly #traces: Traces;
  readonly #node = vscode.window.createTextEditorDecorationType({
    backgroundColor: new vscode.ThemeColor('editor.findMatchBackground'),
    borderRadius: '2px',
    overviewRulerColor: new vscode.ThemeColor('editorOverviewRuler.findMatchForeground'),
    rangeBehavior: vscode.DecorationRangeBehavior.ClosedClosed,
  });
  readonly #elsewhere = vscode.window.createTextEditorDecorationType({
    backgroundColor: new vscode.ThemeColor('editor.findMatchHighlightBackground'),
    borderRadius: '2px',
    rangeBehavior: vscode.DecorationRangeBehavior.ClosedClosed,
  });
  readonly #disposables: vscode.Disposable[];

  constructor(traces: Traces) {
    this.#traces = traces;
    this.#disposables = [
      this.#node,
      this.#elsewhere,
      traces.onDidChange(({ type }) => {
        if (type === 'active' || type === 'selected' || type === 'hovered') this.#draw();
      }),
      vscode.window.onDidChangeVisibleTextEditors(() => this.#draw()),
      vscode.workspace.onDidChangeTextDocument(({ document, contentChanges }) => {
        const isShown = vscode.window.visibleTextEditors.some((editor) => editor.document === document);
        if (contentChanges.length > 0 && isShown) this.#draw();
      }),
    ];
  }

  dispose(): void {
    for (const disposable of this.#disposables) disposable.dispose();
  }

  #draw(): void {
    const trace = this.#traces.active;
    const id = this.#traces.hovered ?? this.#traces.selected;
    const node = trace?.graph.nodes.find((candidate) => candidate.id === id);
    for (const editor of vscode.window.visibleTextEditors) {
      const ranges = trace === null ? null : rangesIn(editor.document, trace.record);
      const at = (pos: number): vscode.Range[] => ranges?.[pos] ?? [];
      editor.setDecorations(this.#node, node === undefined ? [] : at(node.pos));
      const others = trace === null || node === undefined ? [] : alsoFires(trace, node);
      editor.setDecorations(
        this.#elsewhere,
        others.flatMap((other) => at(other.pos)),
      );
    }
  }
}

/** The same feature at other positions. */
function alsoFires({ graph }: OpenTrace, node: GraphNode): GraphNode[] {
  if (node.kind !== 'feature') return [];
  return graph.nodes.filter(
    (other) =>
      other.kind === 'feature' &&
      other.layer === node.layer &&
      other.feature === node.feature &&
      other.pos !== node.pos,
  );
}

/** Ranges of each token in a document; null where the document does not hold the prompt. */
function rangesIn(document: vscode.TextDocument, record: TraceRecord): vscode.Range[][] | null {
  const isSource = record.source?.uri === document.uri.toString();
  const ranges = tokenRanges(document.getText(), record, isSource);
  return (
    ranges?.map((places) =>
      places.map(([start, end]) => new vscode.Range(document.positionAt(start), document.positionAt(end))),
    ) ?? null
  );
}
