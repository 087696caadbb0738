import path from 'node:path';
import * as vscode from 'vscode';
import type { CircuitGraph } from '../../graph/circuitGraph.ts';
import { edgesCsv, nodesCsv } from '../../graph/csv.ts';
import { neuronpediaProblems, toCircuitTracer, toNeuronpedia } from '../../graph/exportGraph.ts';
import { markdownSummary } from '../../graph/markdown.ts';
import { parseShareLink, shareLink } from '../../graph/shareLink.ts';
import { readSubgraphRecord, toSubgraphRecord, withSavedView } from '../../graph/subgraphRecord.ts';
import { writeGraph } from '../../graph/writeGraph.ts';
import type { GraphPanels } from '../panel/graphPanels.ts';
import { type TraceRecord, traceName } from '../traceRecord.ts';
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
  {
    label: 'Subgraph record',
    description: 'to the clipboard: pins, supernodes and labels as Neuronpedia keeps them',
    ending: null,
    make: async (graph) =>
      JSON.stringify(toSubgraphRecord(graph, graph.metadata.modelName, graph.metadata.slug), null, 2),
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
export async function exportGraph(traces: Traces, record?: TraceRecord): Promise<void> {
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

/** Writes a trace's graph to a file of the user's choice, from where it opens by a double-click. */
export async function saveGraphAs(traces: Traces, record?: TraceRecord): Promise<void> {
  const id = record?.id ?? traces.active?.record.id ?? (await pickTrace(traces, 'Save Graph As'))?.id;
  const trace = id === undefined ? null : (traces.opened(id) ?? (await traces.open(id)));
  if (trace === null) return;
  const target = await vscode.window.showSaveDialog({
    title: 'Save Graph As',
    defaultUri: suggestedFile(trace, 'circuit.json'),
    // By its last part alone: the dialog would put a longer ending behind a name that has it already.
    filters: { 'Circuit graphs': ['json'] },
  });
  if (target === undefined) return;
  await vscode.workspace.fs.writeFile(target, Buffer.from(writeGraph(trace.graph)));
  const chosen = await vscode.window.showInformationMessage(`Saved ${path.basename(target.path)}.`, 'Open');
  if (chosen !== undefined) await vscode.commands.executeCommand('vscode.open', target);
}

/** Takes over the view that a share link of Neuronpedia or of another viewer describes, in the open graph or a trace. */
export async function openShareLink(traces: Traces, panels: GraphPanels): Promise<void> {
  const text = await vscode.window.showInputBox({
    ignoreFocusOut: true,
    title: 'Open Share Link',
    prompt:
      'Pinned nodes, supernodes and labels of the link, or of a subgraph record, replace those of the graph. Nothing is downloaded.',
    placeHolder: 'https://…/graph?slug=…&pinnedIds=…',
  });
  if (text === undefined) return;
  const { slug, saved } = savedViewIn(text);
  const id = traces.active?.record.id ?? (await pickTrace(traces, 'Open Share Link'))?.id;
  const trace = id === undefined ? null : (traces.opened(id) ?? (await traces.open(id)));
  if (trace === null) return;
  const { view, warnings } = withSavedView(trace.graph, saved);
  traces.changeView(trace.record.id, view, 'tree');
  if (traces.active?.record.id !== trace.record.id) await panels.open(trace.record.id);
  const notes = [
    ...(slug === trace.graph.metadata.slug
      ? []
      : [`It is about “${slug}”; this graph is “${trace.graph.metadata.slug}”.`]),
    ...warnings,
  ];
  if (notes.length > 0) void vscode.window.showWarningMessage(notes.join(' '));
}

/** What a share link, or a subgraph record as text, says of a graph. */
function savedViewIn(text: string): { readonly slug: string; readonly saved: Readonly<Record<string, unknown>> } {
  if (text.trimStart().startsWith('{')) {
    const saved = readSubgraphRecord(text);
    return { slug: typeof saved.slug === 'string' ? saved.slug : '', saved };
  }
  const link = parseShareLink(text);
  return { slug: link.slug, saved: link.view };
}

async function neuronpediaFile(graph: CircuitGraph): Promise<string | undefined> {
  const problems = neuronpediaProblems(graph);
  const modelId = await vscode.window.showInputBox({
    ignoreFocusOut: true,
    title: 'Export for Neuronpedia',
    prompt: ['Neuronpedia’s name of the model.', ...problems].join(' '),
    placeHolder: 'gemma-2-2b',
  });
  if (modelId === undefined || modelId === '') return undefined;
  const sourceSet = await vscode.window.showInputBox({
    ignoreFocusOut: true,
    title: 'Export for Neuronpedia',
    prompt: 'Neuronpedia’s name of the transcoder set; empty when it has none.',
    placeHolder: 'gemmascope-transcoder-16k',
  });
  return sourceSet === undefined ? undefined : toNeuronpedia(graph, modelId, sourceSet === '' ? null : sourceSet);
}

async function linkText(graph: CircuitGraph): Promise<string | undefined> {
  const viewer = await vscode.window.showInputBox({
    ignoreFocusOut: true,
    title: 'Share Link',
    prompt: 'Address of the viewer that has the graph: of Neuronpedia, or of circuit-tracer’s server.',
    placeHolder: 'http://localhost:8032',
  });
  if (viewer === undefined || viewer === '') return undefined;
  const modelId = await vscode.window.showInputBox({
    ignoreFocusOut: true,
    title: 'Share Link',
    prompt: 'Neuronpedia’s name of the model; empty for other viewers.',
  });
  return modelId === undefined ? undefined : shareLink(graph, viewer, modelId === '' ? null : modelId);
}

function suggestedFile({ record }: OpenTrace, ending: string): vscode.Uri | undefined {
  const folder = vscode.workspace.workspaceFolders?.[0]?.uri;
  const name =
    traceName(record)
      .toLowerCase()
      .replace(/[^\p{L}\p{N}]+/gu, '-')
      .replace(/^-+|-+$/g, '') || 'trace';
  return folder === undefined ? undefined : vscode.Uri.joinPath(folder, `${name}.${ending}`);
}
