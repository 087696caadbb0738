import * as vscode from 'vscode';
import type { GraphNode } from '../../graph/node.ts';
import type { TraceRecord } from '../traceRecord.ts';
import type { OpenTrace, Traces } from '../traces.ts';
import { tokenRanges } from './tokenPlaces.ts';

/** How strongly a token is coloured where the selected feature fires too, from weak to strong. */
const opacities = [0.12, 0.24, 0.36] as const;

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
  /** Weakest first. */
  readonly #elsewhere = opacities.map((opacity) =>
    vscode.window.createTextEditorDecorationType({
      borderRadius: '2px',
      border: '1px solid transparent',
      borderColor: new vscode.ThemeColor('editor.findMatchHighlightBorder'),
      light: { backgroundColor: `rgba(0, 110, 200, ${opacity})` },
      dark: { backgroundColor: `rgba(80, 170, 255, ${opacity})` },
      rangeBehavior: vscode.DecorationRangeBehavior.ClosedClosed,
    }),
  );
  readonly #disposables: vscode.Disposable[];

  constructor(traces: Traces) {
    this.#traces = traces;
    this.#disposables = [
      this.#node,
      ...this.#elsewhere,
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
      const largest = Math.max(node?.activation ?? 0, ...others.map((other) => other.activation ?? 0));
      for (const [level, decoration] of this.#elsewhere.entries()) {
        const isOfLevel = (other: GraphNode): boolean => levelOf(other.activation ?? 0, largest) === level;
        editor.setDecorations(
          decoration,
          others.filter(isOfLevel).flatMap((other) => at(other.pos)),
        );
      }
    }
  }
}

/** Which of the strengths shows an activation, against the largest one of the feature in the prompt. */
function levelOf(activation: number, largest: number): number {
  const share = largest > 0 ? Math.max(0, activation) / largest : 0;
  return Math.min(opacities.length - 1, Math.floor(share * opacities.length));
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
