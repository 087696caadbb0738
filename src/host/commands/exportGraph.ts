import path from 'node:path';
import * as vscode from 'vscode';
import type { CircuitGraph } from '../../graph/circuitGraph.ts';
import { edgesCsv, nodesCsv } from '../../graph/csv.ts';
import { neuronpediaProblems, toCircuitTracer, toNeuronpedia } from '../../graph/exportGraph.ts';
import { markdownSummary } from '../../graph/markdown.ts';
import { parseShareLink, shareLink } from '../../graph/shareLink.ts';
import { withSavedView } from '../../graph/subgraphRecord.ts';
import type { TraceRecord } from '../traceRecord.ts';
import type { OpenTrace, Traces } from '../traces.ts';
import { pickTrace } from './manageTraces.ts';

type Target = vscode.QuickPickItem & {
  /** Makes the text; undefined when the user stepped back. */
  readonly make: (graph: CircuitGraph) => Promise<string | undefined>;
  /** Ending of the file; null: to the clipboard. */
  readonly ending: string | null;
};

const targets: readonly Target[] = [
  {
    label: 'circuit-tracer',
    description: 'a graph file for its viewer',
    ending: 'json',
    make: async (graph) => toCircuitTracer(graph),
  },
  {
    label: 'Neuronpedia',
    description: 'a graph file to upload there yourself; nothing is sent',
    ending: 'json',
    make: neuronpediaFile,
  },
  {
    label: 'Share link',
    description: 'to the clipboard: this view, for a graph that is there',
    ending: null,
    make: linkText,
  },
  { label: 'Table of nodes', description: 'CSV', ending: 'nodes.csv', make: async (graph) => nodesCsv(graph) },
  { label: 'Table of edges', description: 'CSV', ending: 'edges.csv', make: async (graph) => edgesCsv(graph) },
  {
    label: 'Markdown summary',
    description: 'to the clipboard, for a pull request',
    ending: null,
    make: async (graph) => markdownSummary(graph),
  },
];

/** Takes a trace's graph elsewhere, in the form that the user chooses. */
export async function exportGraphFor(traces: Traces, record?: TraceRecord): Promise<void> {
  const id = record?.id ?? traces.active?.record.id ?? (await pickTrace(traces, 'Export Graph'))?.id;
  const trace = id === undefined ? null : (traces.opened(id) ?? (await traces.open(id)));
  if (trace === null) return;
  const chosen = await vscode.window.showQuickPick(targets, { title: 'Export Graph For' });
  const text = await chosen?.make(trace.graph);
  if (chosen === undefined || text === undefined) return;
  if (chosen.ending === null) {
    await vscode.env.clipboard.writeText(text);
    void vscode.window.showInformationMessage(`Copied: ${chosen.label}.`);
    return;
  }
  const file = await vscode.window.showSaveDialog({
    title: 'Export Graph',
    defaultUri: suggestedFile(trace, chosen.ending),
  });
  if (file === undefined) return;
  await vscode.workspace.fs.writeFile(file, Buffer.from(text));
  const answer = await vscode.window.showInformationMessage(`Saved ${path.basename(file.path)}.`, 'Open');
  if (answer !== undefined) await vscode.commands.executeCommand('vscode.open', file);
}

/** Takes over the view that a share link of Neuronpedia or of another viewer describes, in the graph that is shown. */
export async function applyShareLink(traces: Traces): Promise<void> {
  const trace = traces.active;
  if (trace === null) {
    void vscode.window.showInformationMessage('Open the graph that the link is about first.');
    return;
  }
  const text = await vscode.window.showInputBox({
    title: 'Apply Share Link',
    prompt: 'Pinned nodes, supernodes and labels of the link replace those of the open graph. Nothing is downloaded.',
    placeHolder: 'https://…/graph?slug=…&pinnedIds=…',
  });
  if (text === undefined) return;
  const link = parseShareLink(text);
  const { view, warnings } = withSavedView(trace.graph, link.view);
  traces.changeView(trace.record.id, view, 'tree');
  const notes = [
    ...(link.slug === trace.graph.metadata.slug
      ? []
      : [`The link is about “${link.slug}”, this graph is “${trace.graph.metadata.slug}”.`]),
    ...warnings,
  ];
  if (notes.length > 0) void vscode.window.showWarningMessage(notes.join(' '));
}

async function neuronpediaFile(graph: CircuitGraph): Promise<string | undefined> {
  const problems = neuronpediaProblems(graph);
  const modelId = await vscode.window.showInputBox({
    title: 'Export for Neuronpedia',
    prompt: ['Neuronpedia’s name of the model.', ...problems].join(' '),
    placeHolder: 'gemma-2-2b',
  });
  if (modelId === undefined || modelId === '') return undefined;
  const sourceSet = await vscode.window.showInputBox({
    title: 'Export for Neuronpedia',
    prompt: 'Neuronpedia’s name of the transcoder set; empty when it has none.',
    placeHolder: 'gemmascope-transcoder-16k',
  });
  return sourceSet === undefined ? undefined : toNeuronpedia(graph, modelId, sourceSet === '' ? null : sourceSet);
}

async function linkText(graph: CircuitGraph): Promise<string | undefined> {
  const viewer = await vscode.window.showInputBox({
    title: 'Share Link',
    prompt: 'Address of the viewer that has the graph: of Neuronpedia, or of circuit-tracer’s server.',
    placeHolder: 'http://localhost:8032',
  });
  if (viewer === undefined || viewer === '') return undefined;
  const modelId = await vscode.window.showInputBox({
    title: 'Share Link',
    prompt: 'Neuronpedia’s name of the model; empty for other viewers.',
  });
  return modelId === undefined ? undefined : shareLink(graph, viewer, modelId === '' ? null : modelId);
}

function suggestedFile({ graph }: OpenTrace, ending: string): vscode.Uri | undefined {
  const folder = vscode.workspace.workspaceFolders?.[0]?.uri;
  return folder === undefined ? undefined : vscode.Uri.joinPath(folder, `${graph.metadata.slug}.${ending}`);
}
