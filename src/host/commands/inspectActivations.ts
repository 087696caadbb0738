import * as vscode from 'vscode';
import { UserError } from '../../protocol/errors.ts';
import type { EngineProcess } from '../engineProcess.ts';
import { visibleToken } from '../featureTree.ts';
import { inspectionText } from '../inspectionText.ts';
import type { Jobs } from '../runJob.ts';
import type { Traces } from '../traces.ts';
import type { FeatureRow } from '../views/featuresView.ts';

const topFeatures = 8;
const topTokens = 5;

/** Shows what every layer does at one token of the active trace's prompt, as a table in an editor. */
export async function inspectActivations(
  engine: EngineProcess,
  traces: Traces,
  jobs: Jobs,
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
  const content = inspectionText(inspection, promptText);
  const document = await vscode.workspace.openTextDocument({ content, language: 'plaintext' });
  await vscode.window.showTextDocument(document, { preview: true });
}

async function pickToken(tokens: readonly string[]): Promise<number | undefined> {
  const items = tokens.map((text, pos) => ({ label: visibleToken(text), description: `position ${pos}`, pos }));
  const chosen = await vscode.window.showQuickPick(items.reverse(), { title: 'Inspect Activations at Token' });
  return chosen?.pos;
}
