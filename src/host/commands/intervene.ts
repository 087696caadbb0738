import * as vscode from 'vscode';
import { percent } from '../../graph/percent.ts';
import { UserError } from '../../protocol/errors.ts';
import type { EngineProcess } from '../engineProcess.ts';
import { nodeLabel } from '../featureTree.ts';
import { ablationOf, runIntervention } from '../runIntervention.ts';
import type { Jobs } from '../runJob.ts';
import type { Traces } from '../traces.ts';
import type { FeatureRow } from '../views/featuresView.ts';
import { nodeOf } from './features.ts';

/** Runs the active trace's prompt again with one feature turned off, and says what the model answers then. */
export async function ablateFeature(
  engine: EngineProcess,
  traces: Traces,
  jobs: Jobs,
  row?: FeatureRow,
): Promise<void> {
  const trace = traces.active;
  const node = nodeOf(traces, row);
  if (trace === null || node === null) return;
  // Labels of sets are often quoted words already.
  const label = nodeLabel(trace.graph, node).replace(/^“([^“”]*)”$/, '$1');
  const result = await jobs.run(`Ablating “${label}”`, ({ signal }) => {
    if (node.kind !== 'feature' || node.feature === null) {
      throw new UserError('intervention.kind', `${label} is no feature and cannot be ablated.`, 'Choose a feature.');
    }
    return runIntervention(engine, ablationOf(trace, [node.id]), { signal });
  });
  if (result === undefined) return;
  const words = ({ text, probability }: { text: string; probability: number }): string =>
    `“${text.trim()}” ${percent(probability, 1)}`;
  const [before] = result.before;
  const [after] = result.after;
  const same = result.after.find((prediction) => prediction.id === before.id);
  const change = after.id === before.id ? '' : ` The top answer is now ${words(after)}.`;
  void vscode.window.showInformationMessage(
    `Without “${label}”: “${before.text.trim()}” ${percent(before.probability, 1)} → ${same === undefined ? 'not in the top answers' : percent(same.probability, 1)}.${change}`,
  );
}
