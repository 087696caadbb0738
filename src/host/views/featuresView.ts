import * as vscode from 'vscode';
import type { GraphNode } from '../../graph/node.ts';
import { percent } from '../../graph/percent.ts';
import {
  type FeatureGroup,
  type Grouping,
  groupFeatures,
  influenceById,
  influenceOfGroup,
  isSameTree,
  nodeLabel,
  visibleToken,
} from '../featureTree.ts';
import { featureName } from '../nodeNames.ts';
import { traceName } from '../traceRecord.ts';
import type { OpenTrace, Traces } from '../traces.ts';

/** A row: a group of features, or a feature at a token. */
export type FeatureRow =
  | { readonly type: 'group'; readonly group: FeatureGroup }
  | { readonly type: 'feature'; readonly node: GraphNode; readonly group: FeatureGroup };

/** Longer labels would push the figures out of the side bar; the tooltip has them whole. */
const shownLetters = 26;

type Rows = { readonly groups: readonly FeatureRow[]; readonly byNode: ReadonlyMap<string, FeatureRow> };

/** The features of the active trace as a tree: by supernode, layer or token, most influential first. */
export class FeaturesView implements vscode.TreeDataProvider<FeatureRow>, vscode.Disposable {
  readonly #traces: Traces;
  readonly #memory: vscode.Memento;
  readonly #changed = new vscode.EventEmitter<FeatureRow | undefined>();
  readonly onDidChangeTreeData = this.#changed.event;
  readonly #view: vscode.TreeView<FeatureRow>;
  readonly #disposables: vscode.Disposable[];
  #rows: Rows | null = null;
  #shares: ReadonlyMap<string, number> = new Map();

  constructor(traces: Traces, memory: vscode.Memento) {
    this.#traces = traces;
    this.#memory = memory;
    this.#view = vscode.window.createTreeView('promptCircuits.features', {
      treeDataProvider: this,
      showCollapseAll: true,
      canSelectMany: true,
    });
    this.#disposables = [
      this.#view,
      this.#changed,
      this.#view.onDidChangeSelection(({ selection }) => {
        const [row] = selection;
        if (selection.length === 1 && row.type === 'feature' && this.#view.visible) traces.select(row.node.id);
      }),
      this.#view.onDidChangeVisibility(() => this.#revealSelected()),
      traces.onDidChange((change) => {
        if (change.type === 'active') this.#refresh();
        if (change.type === 'view' && change.id === this.#active?.record.id) {
          if (!isSameTree(change.before, this.#active.graph.view)) this.#refresh();
        }
        if (change.type === 'selected') this.#revealSelected();
      }),
    ];
    this.#setGrouping(this.grouping);
  }

  get selection(): readonly FeatureRow[] {
    return this.#view.selection;
  }

  get grouping(): Grouping {
    return this.#memory.get<Grouping>('featureGrouping', 'layer');
  }

  setGrouping(grouping: Grouping): void {
    void this.#memory.update('featureGrouping', grouping);
    this.#setGrouping(grouping);
    this.#refresh();
  }

  getChildren(row?: FeatureRow): FeatureRow[] {
    if (row === undefined) return [...this.#build().groups];
    if (row.type === 'feature') return [];
    return row.group.nodes.map(
      (node) => this.#build().byNode.get(node.id) ?? { type: 'feature', node, group: row.group },
    );
  }

  getParent(row: FeatureRow): FeatureRow | undefined {
    if (row.type === 'group') return undefined;
    return this.#build().groups.find((other) => other.type === 'group' && other.group === row.group);
  }

  getTreeItem(row: FeatureRow): vscode.TreeItem {
    return row.type === 'group' ? this.#groupItem(row.group) : this.#featureItem(row.node);
  }

  dispose(): void {
    for (const disposable of this.#disposables) disposable.dispose();
  }

  get #active(): OpenTrace | null {
    return this.#traces.active;
  }

  #setGrouping(grouping: Grouping): void {
    void vscode.commands.executeCommand('setContext', 'promptCircuits.grouping', grouping);
  }

  #refresh(): void {
    this.#rows = null;
    this.#view.description = this.#active === null ? undefined : traceName(this.#active.record, 32);
    this.#changed.fire(undefined);
  }

  #build(): Rows {
    if (this.#rows !== null) return this.#rows;
    const graph = this.#active?.graph;
    this.#shares = graph === undefined ? new Map() : influenceById(graph);
    const byNode = new Map<string, FeatureRow>();
    const groups = graph === undefined ? [] : groupFeatures(graph, this.grouping, this.#shares);
    for (const group of groups) for (const node of group.nodes) byNode.set(node.id, { type: 'feature', node, group });
    this.#rows = { groups: groups.map((group) => ({ type: 'group', group })), byNode };
    return this.#rows;
  }

  #groupItem(group: FeatureGroup): vscode.TreeItem {
    const item = new vscode.TreeItem(group.label, vscode.TreeItemCollapsibleState.Collapsed);
    const isSupernode = group.key.startsWith('supernode');
    item.id = `${this.#active?.record.id} ${group.key}`;
    item.description = `${group.nodes.length} ${group.nodes.length === 1 ? 'feature' : 'features'}`;
    const graph = this.#active?.graph;
    // Told of the user's groups alone: it takes a pass over all edges each.
    if (isSupernode && graph !== undefined) item.description += `, ${percent(influenceOfGroup(graph, group.nodes))}`;
    item.contextValue = isSupernode ? 'supernode' : 'group';
    item.iconPath = new vscode.ThemeIcon(
      isSupernode ? 'group-by-ref-type' : this.grouping === 'token' ? 'symbol-string' : 'layers',
    );
    return item;
  }

  #featureItem(node: GraphNode): vscode.TreeItem {
    const trace = this.#active;
    if (trace === null) return new vscode.TreeItem(featureName(node));
    const { graph } = trace;
    const label = nodeLabel(graph, node);
    const token = visibleToken(graph.metadata.promptTokens[node.pos] ?? '');
    const share = percent(this.#shares.get(node.id) ?? 0);
    const isPinned = graph.view.pinned.includes(node.id);
    const activation = node.activation === null ? '' : node.activation.toPrecision(3);
    const item = new vscode.TreeItem(label.length <= shownLetters ? label : `${label.slice(0, shownLetters - 1)}…`);
    item.id = `${trace.record.id} ${node.id}`;
    const where = this.grouping === 'token' ? `L${node.layer}` : token;
    item.description = [share, where, activation].filter(Boolean).join('  ');
    item.tooltip = new vscode.MarkdownString();
    item.tooltip.appendText(
      `${label}\n\nLayer ${node.layer}, feature ${node.feature}, token ${node.pos} ${token}\n` +
        `Activation ${activation || 'unknown'}\n${share} of the answer passes through it`,
    );
    item.iconPath = new vscode.ThemeIcon(isPinned ? 'pinned' : 'circle-filled');
    item.contextValue = isPinned ? 'feature pinned' : 'feature';
    item.accessibilityInformation = {
      label: `${label}, layer ${node.layer}, token ${token}, influence ${share}, activation ${activation || 'unknown'}${isPinned ? ', pinned' : ''}`,
    };
    return item;
  }

  #revealSelected(): void {
    const { selected } = this.#traces;
    if (!this.#view.visible || selected === null) return;
    const row = this.#build().byNode.get(selected);
    if (row === undefined || this.#view.selection.some((other) => other === row)) return;
    this.#view.reveal(row, { select: true, focus: false, expand: true }).then(undefined, () => {
      // The tree was rebuilt meanwhile; the newer selection reveals itself.
    });
  }
}
