import * as vscode from 'vscode';
import { alignTokens } from '../../graph/alignTokens.ts';
import { editFromOther, editOfNodes } from '../../graph/editsOfNodes.ts';
import { type GraphEdit, noInterventions, type PatchedNodes } from '../../graph/interventions.ts';
import type { GraphNode } from '../../graph/node.ts';
import { interveneCommandLine, readEdit } from '../../protocol/editText.ts';
import { UserError } from '../../protocol/errors.ts';
import { builtInPair } from '../config.ts';
import { byInfluence, influenceById, nodeLabel, visibleToken } from '../featureTree.ts';
import type { InterventionRuns } from '../interventionRuns.ts';
import { featureName } from '../nodeNames.ts';
import { promptOf, requestFor } from '../runIntervention.ts';
import { traceName } from '../traceRecord.ts';
import type { OpenTrace, Traces } from '../traces.ts';
import type { FeatureRow } from '../views/featuresView.ts';
import { pickTrace } from './manageTraces.ts';

type Item = vscode.QuickPickItem & { readonly makeEdit: () => Promise<GraphEdit | null | undefined> };

/** Adds an edit of a row of the tree, or of what the user picks: groups, features, error nodes, or any feature by number. */
export async function addIntervention(traces: Traces, row?: FeatureRow, id?: string): Promise<void> {
  const trace = id === undefined ? traces.active : traces.opened(id);
  if (trace === null) {
    void vscode.window.showInformationMessage('Open a graph first: its features are what is changed.');
    return;
  }
  const edit =
    row === undefined
      ? await pickEdit(trace)
      : row.type === 'feature'
        ? editOfNodes(nodeLabel(trace.graph, row.node), [row.node])
        : editOfNodes(row.group.label, row.group.nodes);
  if (edit === undefined) return;
  if (edit === null) throw nothingToChange();
  addEdit(traces, trace.record.id, edit);
  if (row !== undefined) await vscode.commands.executeCommand('promptCircuits.interventions.focus');
}

/**
 * Adds an edit that takes another trace's activations: of a group or feature, of a whole position, or of the whole prompt.
 */
export async function takeFromTrace(traces: Traces, id?: string): Promise<void> {
  const trace = id === undefined ? traces.active : traces.opened(id);
  if (trace === null) {
    void vscode.window.showInformationMessage('Open a graph first: it takes the activations of another.');
    return;
  }
  const record = await pickTrace(traces, 'Take Activations From');
  const other = record === undefined ? null : await traces.open(record.id);
  if (other === null) return;
  const chosen = await vscode.window.showQuickPick(itemsOf(trace, other), {
    title: `Take From “${traceName(other.record)}”`,
    placeHolder: 'A group, a feature, a position, or all of it',
    // The trace was chosen already.
    ignoreFocusOut: true,
    matchOnDescription: true,
  });
  const edit = await chosen?.makeEdit();
  if (edit === undefined) return;
  if (edit === null) throw nothingToChange();
  addEdit(traces, trace.record.id, edit);
}

/** Runs the edits of the active trace. */
export function runInterventions(traces: Traces, runs: InterventionRuns): void {
  if (traces.active !== null) runs.request(traces.active.record.id);
}

/** The run of a trace's edits, to be pasted into a terminal. */
export async function copyCommandLine(extensionPath: string, trace: OpenTrace): Promise<void> {
  const { pair, ...request } = requestFor(trace);
  const isBuiltIn =
    pair.model === builtInPair(extensionPath).model && pair.transcoders === builtInPair(extensionPath).transcoders;
  await vscode.env.clipboard.writeText(interveneCommandLine({ pair, ...request }, isBuiltIn));
  vscode.window.setStatusBarMessage('$(check) Copied the command line', 3000);
}

function addEdit(traces: Traces, id: string, edit: GraphEdit): void {
  const now = traces.opened(id)?.graph.interventions ?? noInterventions;
  const same = JSON.stringify({ ...edit, isOn: true });
  if (now.edits.some((other) => JSON.stringify({ ...other, isOn: true }) === same)) return;
  traces.changeInterventions(id, { ...now, edits: [...now.edits, edit] }, null);
}

async function pickEdit({ graph }: OpenTrace): Promise<GraphEdit | null | undefined> {
  const ranked = byInfluence(graph.nodes, influenceById(graph));
  const nodeItem = (node: GraphNode): Item => ({
    label: nodeLabel(graph, node),
    description: `${featureName(node)} at ${node.pos} ${visibleToken(graph.metadata.promptTokens[node.pos] ?? '')}`,
    makeEdit: async () => editOfNodes(nodeLabel(graph, node), [node]),
  });
  const groups = graph.view.supernodes.map(({ label, members }): Item => {
    const nodes = graph.nodes.filter((node) => members.includes(node.id));
    return {
      label: label || 'Group',
      description: `${nodes.length} nodes`,
      iconPath: new vscode.ThemeIcon('group-by-ref-type'),
      makeEdit: async () => editOfNodes(label || 'Group', nodes),
    };
  });
  const byNumber: Item = {
    label: 'Another feature…',
    description: 'by layer and number, whether it is on in this prompt or not',
    iconPath: new vscode.ThemeIcon('symbol-numeric'),
    alwaysShow: true,
    makeEdit: askForFeature,
  };
  const chosen = await vscode.window.showQuickPick<Item>(
    [
      ...groups,
      ...ranked.filter(({ kind }) => kind === 'feature').map(nodeItem),
      ...ranked.filter(({ kind }) => kind === 'error').map(nodeItem),
      byNumber,
    ],
    { title: 'Add an Intervention', placeHolder: 'Label, token, layer or number', matchOnDescription: true },
  );
  return chosen?.makeEdit();
}

async function askForFeature(): Promise<GraphEdit | undefined> {
  const written = (text: string) => readEdit('set', text);
  const text = await vscode.window.showInputBox({
    ignoreFocusOut: true,
    title: 'Add a Feature by Number',
    prompt: 'LAYER:FEATURE@POSITION=VALUE, such as 2:117@5=3; positions count from 0, 5.. is from there on.',
    validateInput: (given) => (written(given) === null ? 'Write it as 2:117@5=3 or 2:117@5..=3.' : null),
  });
  const edit = text === undefined ? null : written(text);
  if (edit === null) return undefined;
  const { layer, feature, pos, value } = edit;
  const site = { layer, feature, pos: typeof pos === 'number' ? pos : pos.start, unit: value };
  const places = typeof pos === 'number' ? ('own' as const) : pos;
  return { name: `L${layer} #${feature}`, isOn: true, type: 'features', sites: [site], places, kind: 'set', factor: 1 };
}

function itemsOf(trace: OpenTrace, other: OpenTrace): Item[] {
  const { graph } = other;
  const pairs = alignTokens(trace.graph.metadata.promptTokens, graph.metadata.promptTokens);
  const prompt = promptOf(other);
  const tokens = prompt.type === 'tokens' ? prompt.ids : [];
  const short = traceName(other.record, 24);
  const all = { type: 'patch', isOn: true, tokens, layer: null, feature: null } as const;
  const isAsLong = pairs.every(({ left, right }) => left !== null && right !== null);
  const whole = (nodes: PatchedNodes, label: string, description: string): Item => ({
    label,
    description,
    iconPath: new vscode.ThemeIcon('replace-all'),
    makeEdit: async () => ({ ...all, name: `${label} of “${short}”`, pos: null, fromPos: null, nodes }),
  });
  const ranked = byInfluence(graph.nodes, influenceById(graph));
  const features = ranked.filter(({ kind }) => kind === 'feature');
  const groups = graph.view.supernodes.map(({ label, members }): Item => {
    const nodes = graph.nodes.filter((node) => members.includes(node.id));
    return {
      label: label || 'Group',
      description: `${nodes.length} nodes, set to what they are there`,
      iconPath: new vscode.ThemeIcon('group-by-ref-type'),
      makeEdit: async () => editFromOther(`${label} of “${short}”`, nodes, pairs),
    };
  });
  const positions = graph.metadata.promptTokens.map(
    (token, fromPos): Item => ({
      label: `Position ${fromPos} ${visibleToken(token)}`,
      description: 'all features there',
      iconPath: new vscode.ThemeIcon('symbol-string'),
      makeEdit: async () => {
        const counterpart = pairs.find(({ right }) => right === fromPos)?.left ?? (await askForPosition(trace));
        if (counterpart === undefined) return undefined;
        const name = `${visibleToken(token)} of “${short}”`;
        return { ...all, name, pos: counterpart, fromPos, nodes: 'features' };
      },
    }),
  );
  const errors = ranked
    .filter(({ kind }) => kind === 'error')
    .map(
      (node): Item => ({
        label: `${featureName(node)} at ${node.pos} ${visibleToken(graph.metadata.promptTokens[node.pos] ?? '')}`,
        description: 'error node',
        makeEdit: async () => {
          const pos = pairs.find(({ right }) => right === node.pos)?.left ?? (await askForPosition(trace));
          if (pos === undefined) return undefined;
          const name = `${featureName(node)} of “${short}”`;
          return { ...all, name, pos, fromPos: node.pos, layer: node.layer, nodes: 'errors' };
        },
      }),
    );
  return [
    ...groups,
    ...(isAsLong && tokens.length > 0
      ? [
          whole('features', 'All features', 'position by position'),
          whole('all', 'All features and error nodes', 'position by position'),
        ]
      : []),
    ...(tokens.length > 0 ? positions : []),
    ...features.map(
      (node): Item => ({
        label: nodeLabel(graph, node),
        description: `${featureName(node)} at ${node.pos} ${visibleToken(graph.metadata.promptTokens[node.pos] ?? '')}`,
        makeEdit: async () => editFromOther(`${nodeLabel(graph, node)} of “${short}”`, [node], pairs),
      }),
    ),
    ...(tokens.length > 0 ? errors : []),
  ];
}

async function askForPosition({ graph }: OpenTrace): Promise<number | undefined> {
  const items = graph.metadata.promptTokens.map((token, pos) => ({
    label: `Position ${pos} ${visibleToken(token)}`,
    pos,
  }));
  const chosen = await vscode.window.showQuickPick(items, { title: 'Which Position of This Prompt Takes It?' });
  return chosen?.pos;
}

function nothingToChange(): UserError {
  return new UserError(
    'intervention.kind',
    'There is no feature and no error node in it, so nothing can be changed.',
    'Choose a feature, or a group with features.',
  );
}
