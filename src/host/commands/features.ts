import * as vscode from 'vscode';
import type { CircuitGraph, Supernode } from '../../graph/circuitGraph.ts';
import { type GraphNode, nodesOfFeature } from '../../graph/node.ts';
import { byInfluence, type Grouping, influenceById, nodeLabel, visibleToken } from '../featureTree.ts';
import { featureName } from '../nodeNames.ts';
import type { GraphPanels } from '../panel/graphPanels.ts';
import type { Traces } from '../traces.ts';
import type { FeatureRow, FeaturesView } from '../views/featuresView.ts';

const groupings: readonly { readonly label: string; readonly grouping: Grouping; readonly detail: string }[] = [
  { label: 'Supernode', grouping: 'supernode', detail: 'Your groups, then what is pinned, then the rest' },
  { label: 'Layer', grouping: 'layer', detail: 'From the first layer to the last' },
  { label: 'Token', grouping: 'token', detail: 'In the order of the prompt' },
];

export async function groupFeaturesBy(view: FeaturesView): Promise<void> {
  const items = groupings.map((entry) => ({
    ...entry,
    description: entry.grouping === view.grouping ? 'current' : undefined,
  }));
  const chosen = await vscode.window.showQuickPick(items, { title: 'Group Features By' });
  if (chosen !== undefined) view.setGrouping(chosen.grouping);
}

/** Finds a feature of the active trace by label, token, layer or number, and selects it everywhere. */
export async function searchFeatures(traces: Traces): Promise<void> {
  const trace = traces.active;
  if (trace === null) {
    void vscode.window.showInformationMessage('Open a graph first: its features are what is searched.');
    return;
  }
  const items = featureItems(trace.graph);
  const chosen = await vscode.window.showQuickPick(items, {
    title: 'Search Features',
    placeHolder: 'Label, token, layer or feature number',
    matchOnDescription: true,
  });
  if (chosen !== undefined) traces.select(chosen.node.id);
}

/**
 * Makes a supernode of features: of the rows selected in the tree, or of those that the user picks, and asks for its name.
 * They leave the groups they were in.
 */
export async function createSupernode(traces: Traces, rows: readonly FeatureRow[]): Promise<void> {
  const trace = traces.active;
  if (trace === null) {
    void vscode.window.showInformationMessage('Open a graph first: its features are what is grouped.');
    return;
  }
  const chosen = rows.flatMap((row) => (row.type === 'feature' ? [row.node] : []));
  const nodes = chosen.length > 1 ? chosen : await pickFeatures(trace.graph);
  if (nodes === undefined || nodes.length === 0) return;
  const members: string[] = nodes.map((node) => node.id);
  const label = await vscode.window.showInputBox({
    ignoreFocusOut: true,
    title: `Name of the Group of ${members.length}`,
    value: nodeLabel(trace.graph, nodes[0]),
    validateInput: (text) => (text.trim() === '' ? 'A group needs a name.' : null),
  });
  if (label === undefined) return;
  const { view } = trace.graph;
  let { supernodes } = view;
  for (const member of members) supernodes = without(supernodes, member);
  supernodes = [...supernodes, { label: label.trim(), members }];
  const pinned = [...view.pinned, ...members.filter((id) => !view.pinned.includes(id))];
  traces.changeView(trace.record.id, { ...view, pinned, supernodes }, 'tree');
}

async function pickFeatures(graph: CircuitGraph): Promise<readonly GraphNode[] | undefined> {
  const chosen = await vscode.window.showQuickPick(featureItems(graph), {
    title: 'Group Features as Supernode',
    placeHolder: 'Type a label, token or number, and check the features',
    canPickMany: true,
    // What was checked is not lost when the keyboard goes elsewhere.
    ignoreFocusOut: true,
    matchOnDescription: true,
  });
  return chosen?.map((item) => item.node);
}

/** Gives a supernode another name. */
export async function renameSupernode(traces: Traces, row?: FeatureRow): Promise<void> {
  const trace = traces.active;
  const at = supernodeOf(row);
  if (trace === null || at === null) return;
  const { view } = trace.graph;
  const label = await vscode.window.showInputBox({
    title: 'Rename Group',
    value: view.supernodes[at]?.label,
    ignoreFocusOut: true,
  });
  if (label === undefined || label.trim() === '') return;
  const supernodes = view.supernodes.map((each, i) => (i === at ? { ...each, label: label.trim() } : each));
  traces.changeView(trace.record.id, { ...view, supernodes }, 'tree');
}

/** Takes a supernode apart; its features stay pinned. */
export function removeSupernode(traces: Traces, row?: FeatureRow): void {
  const trace = traces.active;
  const at = supernodeOf(row);
  if (trace === null || at === null) return;
  const { view } = trace.graph;
  const supernodes = view.supernodes.filter((_, i) => i !== at);
  traces.changeView(trace.record.id, { ...view, supernodes }, 'tree');
}

/** Which of the view's supernodes a row of the tree is. */
function supernodeOf(row?: FeatureRow): number | null {
  const number = row?.type === 'group' ? /^supernode (\d+)$/.exec(row.group.key)?.[1] : undefined;
  return number === undefined ? null : Number(number);
}

type FeatureItem = vscode.QuickPickItem & { readonly node: GraphNode };

/** A graph's features to pick from, most influential first. */
function featureItems(graph: CircuitGraph): FeatureItem[] {
  const shares = influenceById(graph);
  return byInfluence(
    graph.nodes.filter((node) => node.kind === 'feature'),
    shares,
  ).map((node) => ({
    label: nodeLabel(graph, node),
    description: `${featureName(node)} at ${node.pos}: ${visibleToken(graph.metadata.promptTokens[node.pos] ?? '')}`,
    detail: `${(100 * (shares.get(node.id) ?? 0)).toFixed(1)} % of the answer passes through it`,
    node,
  }));
}

/** Pins a feature of the tree, or takes its pin away. */
export function togglePin(traces: Traces, row?: FeatureRow): void {
  const trace = traces.active;
  const node = nodeOf(traces, row);
  if (trace === null || node === null) return;
  const { view } = trace.graph;
  const isPinned = view.pinned.includes(node.id);
  const pinned = isPinned ? view.pinned.filter((id) => id !== node.id) : [...view.pinned, node.id];
  const supernodes = isPinned ? without(view.supernodes, node.id) : view.supernodes;
  traces.changeView(trace.record.id, { ...view, pinned, supernodes }, 'tree');
}

/** Gives a feature a name of the user's own; an empty one brings the set's back. */
export async function renameFeature(traces: Traces, row?: FeatureRow): Promise<void> {
  const trace = traces.active;
  const node = nodeOf(traces, row);
  if (trace === null || node === null) return;
  const label = await vscode.window.showInputBox({
    ignoreFocusOut: true,
    title: `Rename ${featureName(node)}`,
    prompt: 'Leave it empty to bring back the label of the transcoder set.',
    value: nodeLabel(trace.graph, node),
  });
  if (label === undefined) return;
  const { nodes, view } = trace.graph;
  const labels = { ...view.labels };
  for (const same of nodesOfFeature(nodes, nodes.indexOf(node))) {
    if (label.trim() === '') delete labels[nodes[same].id];
    else labels[nodes[same].id] = label.trim();
  }
  traces.changeView(trace.record.id, { ...view, labels }, 'tree');
}

/** Brings up the graph with the feature selected, so that its card is on screen. */
export async function openCard(traces: Traces, panels: GraphPanels, row?: FeatureRow): Promise<void> {
  const trace = traces.active;
  const node = nodeOf(traces, row);
  if (trace === null || node === null) return;
  traces.select(node.id);
  if (traces.records.some((record) => record.id === trace.record.id)) await panels.open(trace.record.id);
}

/** The row's feature or, from the palette, the selected one. */
export function nodeOf(traces: Traces, row?: FeatureRow): GraphNode | null {
  if (row?.type === 'feature') return row.node;
  const { active, selected } = traces;
  return active?.graph.nodes.find((node) => node.id === selected) ?? null;
}

function without(supernodes: readonly Supernode[], id: string): Supernode[] {
  return supernodes
    .map(({ label, members }) => ({ label, members: members.filter((member) => member !== id) }))
    .filter(({ members }) => members.length > 0);
}
