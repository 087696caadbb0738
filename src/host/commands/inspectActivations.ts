import * as vscode from 'vscode';
import { UserError } from '../../protocol/errors.ts';
import { visibleToken } from '../featureTree.ts';
import type { GraphPanels } from '../panel/graphPanels.ts';
import type { Traces } from '../traces.ts';
import type { FeatureRow } from '../views/featuresView.ts';

/** Brings up the table of layers in the active trace's panel, at the row's token or one that the user picks. */
export async function inspectActivations(traces: Traces, panels: GraphPanels, row?: FeatureRow): Promise<void> {
  const trace = traces.active;
  if (trace === null) {
    void vscode.window.showInformationMessage('Open a graph first: a token of its prompt is what is looked at.');
    return;
  }
  if (trace.record.pair === null) {
    throw new UserError(
      'model.unknown',
      `The model ${trace.record.modelName} of this graph is not known on this machine.`,
      'Choose its folder and trace the prompt again.',
    );
  }
  const pos = row?.type === 'feature' ? row.node.pos : await pickToken(trace.graph.metadata.promptTokens);
  if (pos === undefined) return;
  if (row?.type === 'feature') traces.select(row.node.id);
  if (traces.records.some(({ id }) => id === trace.record.id)) await panels.open(trace.record.id);
  traces.showLayers(pos);
}

async function pickToken(tokens: readonly string[]): Promise<number | undefined> {
  const items = tokens.map((text, pos) => ({ label: visibleToken(text), description: `position ${pos}`, pos }));
  const chosen = await vscode.window.showQuickPick(items.reverse(), { title: 'Inspect Activations at Token' });
  return chosen?.pos;
}
