import * as vscode from 'vscode';
import { lensPlaces } from './lensPlaces.ts';

/** Where a lens traces from. */
export type LensPlace = { readonly uri: string; readonly offset: number };

/** *Trace Prompt* above the prompts of prompt files, programs and YAML files, unless the user turned that off. */
export class PromptLenses implements vscode.CodeLensProvider, vscode.Disposable {
  readonly #changed = new vscode.EventEmitter<void>();
  readonly onDidChangeCodeLenses = this.#changed.event;
  readonly #disposables: vscode.Disposable;

  constructor() {
    const schemes = ['file', 'untitled', 'vscode-remote', 'vscode-vfs'];
    this.#disposables = vscode.Disposable.from(
      this.#changed,
      vscode.languages.registerCodeLensProvider(
        schemes.map((scheme) => ({ scheme })),
        this,
      ),
      vscode.workspace.onDidChangeConfiguration((change) => {
        if (change.affectsConfiguration('promptCircuits.codeLens')) this.#changed.fire();
      }),
    );
  }

  provideCodeLenses(document: vscode.TextDocument): vscode.CodeLens[] {
    if (!vscode.workspace.getConfiguration('promptCircuits', document).get('codeLens', true)) return [];
    const { fileName, languageId } = document;
    return lensPlaces({ text: document.getText(), languageId, fileName }).map((offset) => {
      const place: LensPlace = { uri: document.uri.toString(), offset };
      const at = document.positionAt(offset);
      return new vscode.CodeLens(new vscode.Range(at, at), {
        title: '$(type-hierarchy) Trace Prompt',
        tooltip: 'Show why the model answers this prompt as it does',
        command: 'promptCircuits.traceAt',
        arguments: [place],
      });
    });
  }

  dispose(): void {
    this.#disposables.dispose();
  }
}
