import * as vscode from 'vscode';
import { UserError } from '../../protocol/errors.ts';
import type { EngineProcess } from '../engineProcess.ts';
import { visibleToken } from '../featureTree.ts';
import { inspectionText } from '../inspectionText.ts';
import type { Jobs } from '../runJob.ts';
import { traceName } from '../traceRecord.ts';
import type { Traces } from '../traces.ts';
import type { FeatureRow } from '../views/featuresView.ts';

const topFeatures = 8;
const topTokens = 5;

/** Shows what every layer does at one token of the active trace's prompt, as a table in an editor. */
export async function inspectActivations(
  engine: EngineProcess,
  traces: Traces,
  jobs: Jobs,
  texts: InspectionTexts,
  row?: FeatureRow,
): Promise<void> {
  const trace = traces.active;
  if (trace === null) {
    void vscode.window.showInformationMessage('Open a graph first: a token of its prompt is what is looked at.');
    return;
  }
  const { pair, prompt, promptText, modelName } = trace.record;
  if (pair === null) {
    throw new UserError(
      'model.unknown',
      `The model ${modelName} of this graph is not known on this machine.`,
      'Choose its folder and trace the prompt again.',
    );
  }
  const pos = row?.type === 'feature' ? row.node.pos : await pickToken(trace.graph.metadata.promptTokens);
  if (pos === undefined) return;
  const request = { pair, prompt, pos, topFeatures, topTokens, device: 'auto' as const };
  const inspection = await jobs.run('Inspecting activations', ({ signal, report }) =>
    engine.call('inspectActivations', request, { signal, onProgress: report }),
  );
  if (inspection === undefined) return;
  const name = `${traceName(trace.record, 32)}, token ${pos}`.replace(/[/\\?#]/g, ' ');
  const uri = vscode.Uri.from({ scheme: InspectionTexts.scheme, path: `/${name}.txt` });
  texts.set(uri, inspectionText(inspection, promptText));
  await vscode.window.showTextDocument(await vscode.workspace.openTextDocument(uri), { preview: true });
}

/** The tables as read-only documents: there is nothing to save, and closing asks nothing. */
export class InspectionTexts implements vscode.TextDocumentContentProvider, vscode.Disposable {
  static readonly scheme = 'prompt-circuits-activations';
  readonly #texts = new Map<string, string>();
  readonly #changed = new vscode.EventEmitter<vscode.Uri>();
  readonly onDidChange = this.#changed.event;
  readonly #registration = vscode.workspace.registerTextDocumentContentProvider(InspectionTexts.scheme, this);

  set(uri: vscode.Uri, text: string): void {
    this.#texts.set(uri.toString(), text);
    this.#changed.fire(uri);
  }

  provideTextDocumentContent(uri: vscode.Uri): string {
    return this.#texts.get(uri.toString()) ?? 'This table was made in an earlier session. Inspect the token again.';
  }

  dispose(): void {
    this.#registration.dispose();
    this.#changed.dispose();
  }
}

async function pickToken(tokens: readonly string[]): Promise<number | undefined> {
  const items = tokens.map((text, pos) => ({ label: visibleToken(text), description: `position ${pos}`, pos }));
  const chosen = await vscode.window.showQuickPick(items.reverse(), { title: 'Inspect Activations at Token' });
  return chosen?.pos;
}
