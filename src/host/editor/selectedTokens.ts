import * as vscode from 'vscode';
import type { Traces } from '../traces.ts';
import { tokenRanges, tokensBetween } from './tokenPlaces.ts';

/**
 * What is selected by hand in an editor that shows the active trace's prompt: the panel shows the columns of these
 * tokens. The whole prompt, and nothing, both mean all of them.
 */
export class SelectedTokens implements vscode.Disposable {
  readonly #traces: Traces;
  readonly #listener: vscode.Disposable;
  #told = '';

  constructor(traces: Traces) {
    this.#traces = traces;
    this.#listener = vscode.Disposable.from(
      vscode.window.onDidChangeTextEditorSelection(({ textEditor, kind }) => {
        // Selections that commands make, as Trace Prompt does, are no question about single tokens.
        if (kind !== undefined && kind !== vscode.TextEditorSelectionChangeKind.Command) this.#tell(textEditor);
      }),
      traces.onDidChange(({ type }) => {
        if (type === 'active') this.#told = '';
      }),
    );
  }

  dispose(): void {
    this.#listener.dispose();
  }

  #tell({ document, selections }: vscode.TextEditor): void {
    const trace = this.#traces.active;
    if (trace === null) return;
    const isSource = trace.record.source?.uri === document.uri.toString();
    const ranges = tokenRanges(document.getText(), trace.record, isSource);
    if (ranges === null) return;
    const offsets = selections.map(({ start, end }): [number, number] => [
      document.offsetAt(start),
      document.offsetAt(end),
    ]);
    const positions = tokensBetween(ranges, offsets);
    const told = positions.join(' ');
    if (told === this.#told) return;
    this.#told = told;
    this.#traces.selectTokens(positions);
  }
}
