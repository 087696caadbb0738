import path from 'node:path';
import * as vscode from 'vscode';
import { type AblationFound, circuitTestOf } from '../../graph/assertionDraft.ts';
import { readAssertionFile, writeAssertionFile } from '../../graph/assertionFile.ts';
import type { CircuitTest } from '../../graph/assertions.ts';
import type { ModelPair } from '../../protocol/engine.ts';
import { UserError } from '../../protocol/errors.ts';
import { builtInPair } from '../config.ts';
import type { EngineProcess } from '../engineProcess.ts';
import { ablationOf, runIntervention } from '../runIntervention.ts';
import type { Jobs } from '../runJob.ts';
import { type TraceRecord, traceName } from '../traceRecord.ts';
import type { OpenTrace, Traces } from '../traces.ts';
import { pickTrace } from './manageTraces.ts';

export type CircuitTestServices = {
  readonly extensionPath: string;
  readonly engine: EngineProcess;
  readonly traces: Traces;
  readonly jobs: Jobs;
};

/**
 * Writes a file of circuit tests that hold for a trace, its supernodes ablated one by one to see what they do; into a
 * file that has tests already, one more is put.
 */
export async function createCircuitTest(services: CircuitTestServices, record?: TraceRecord): Promise<void> {
  const { traces, jobs, engine } = services;
  const id = record?.id ?? traces.active?.record.id ?? (await pickTrace(traces, 'Create Circuit Test'))?.id;
  const trace = id === undefined ? null : (traces.opened(id) ?? (await traces.open(id)));
  if (trace === null) return;
  const ablations = await jobs.run('Ablating supernodes', ({ signal }) => ablateEach(engine, trace, signal));
  if (ablations === undefined) return;
  const test = circuitTestOf(trace.graph, trace.record.prompt, trace.record.predictions, ablations);
  const target = await vscode.window.showSaveDialog({
    title: 'Create Circuit Test',
    saveLabel: 'Create',
    defaultUri: suggestedFile(trace),
    // By its last part alone: the dialog would put a longer ending behind a name that has it already.
    filters: { 'Circuit tests': ['json'] },
  });
  if (target === undefined) return;
  const pair = pairInFile(services.extensionPath, trace.record.pair, target);
  const others = await testsIn(target);
  await vscode.workspace.fs.writeFile(target, Buffer.from(writeAssertionFile({ ...pair, tests: [...others, test] })));
  await vscode.window.showTextDocument(target);
}

async function ablateEach(engine: EngineProcess, trace: OpenTrace, signal: AbortSignal): Promise<AblationFound[]> {
  const found: AblationFound[] = [];
  for (const { label, members } of trace.graph.view.supernodes) {
    const request = ablationOf(trace, members);
    if (request.interventions.length === 0) continue;
    const { after } = await runIntervention(engine, request, { signal });
    found.push({ supernode: label, predictions: after });
  }
  return found;
}

/** The tests that a file has already; none when it is not there. */
async function testsIn(file: vscode.Uri): Promise<readonly CircuitTest[]> {
  let bytes: Uint8Array;
  try {
    bytes = await vscode.workspace.fs.readFile(file);
  } catch {
    return [];
  }
  return readAssertionFile(new TextDecoder().decode(bytes)).tests;
}

/** The trace's model as the file names it: not at all for the built-in model, else relative to the file. */
function pairInFile(
  extensionPath: string,
  pair: ModelPair | null,
  file: vscode.Uri,
): { readonly model: string | null; readonly transcoders: string | null } {
  if (pair === null || pair.transcoders === null) {
    throw new UserError(
      'model.unknown',
      'The model of this graph is not known on this machine, so its tests could not run.',
      'Choose its folder and trace the prompt again.',
    );
  }
  if (pair.model === builtInPair(extensionPath).model) return { model: null, transcoders: null };
  const folder = path.dirname(file.fsPath);
  return { model: path.relative(folder, pair.model), transcoders: path.relative(folder, pair.transcoders) };
}

function suggestedFile({ record }: OpenTrace): vscode.Uri | undefined {
  const folder = vscode.workspace.workspaceFolders?.[0]?.uri;
  const name =
    traceName(record, 40)
      .toLowerCase()
      .replace(/[^\p{L}\p{N}]+/gu, '-')
      .replace(/^-+|-+$/g, '') || 'trace';
  return folder === undefined ? undefined : vscode.Uri.joinPath(folder, `${name}.circuit-test.json`);
}
