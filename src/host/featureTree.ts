import type { CircuitGraph, GraphView } from '../graph/circuitGraph.ts';
import { flowThrough, flowToOutputs } from '../graph/flow.ts';
import type { GraphNode } from '../graph/node.ts';
import { featureName } from './nodeNames.ts';

export type Grouping = 'supernode' | 'layer' | 'token';

export type FeatureGroup = { readonly key: string; readonly label: string; readonly nodes: readonly GraphNode[] };

/**
 * The features of a graph in groups, most influential first in each; groups of layers and tokens in their order,
 * supernodes as they were made, then what is pinned alone and what is in none.
 */
export function groupFeatures(
  graph: CircuitGraph,
  grouping: Grouping,
  influence: ReadonlyMap<string, number> = influenceById(graph),
): FeatureGroup[] {
  const features = graph.nodes.filter((node) => node.kind === 'feature' || node.kind === 'attention');
  if (grouping === 'supernode') return bySupernode(graph, features, influence);
  const groups = new Map<number, GraphNode[]>();
  for (const node of features) {
    const key = grouping === 'layer' ? node.layer : node.pos;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [node]);
    else group.push(node);
  }
  const label = (key: number): string =>
    grouping === 'layer' ? `Layer ${key}` : `${key}: ${visibleToken(graph.metadata.promptTokens[key] ?? '')}`;
  return [...groups.keys()]
    .sort((a, b) => a - b)
    .map((key) => ({
      key: `${grouping} ${key}`,
      label: label(key),
      nodes: byInfluence(groups.get(key) ?? [], influence),
    }));
}

function bySupernode(
  graph: CircuitGraph,
  features: readonly GraphNode[],
  influence: ReadonlyMap<string, number>,
): FeatureGroup[] {
  const sorted = (nodes: readonly GraphNode[]): GraphNode[] => byInfluence(nodes, influence);
  const { supernodes, pinned } = graph.view;
  const grouped = new Set(supernodes.flatMap((supernode) => supernode.members));
  const groups: FeatureGroup[] = supernodes.map(({ label, members }, i) => ({
    key: `supernode ${i}`,
    label: label || `Group ${i + 1}`,
    nodes: sorted(features.filter((node) => members.includes(node.id))),
  }));
  const isPinned = new Set(pinned);
  const loose = features.filter((node) => !grouped.has(node.id));
  groups.push({ key: 'pinned', label: 'Pinned', nodes: sorted(loose.filter((node) => isPinned.has(node.id))) });
  const title = groups.some((group) => group.nodes.length > 0) ? 'Not grouped' : 'All features';
  groups.push({ key: 'loose', label: title, nodes: sorted(loose.filter((node) => !isPinned.has(node.id))) });
  return groups.filter((group) => group.nodes.length > 0);
}

/** Most influential first. */
export function byInfluence(nodes: readonly GraphNode[], influence: ReadonlyMap<string, number>): GraphNode[] {
  const of = (node: GraphNode): number => influence.get(node.id) ?? 0;
  return [...nodes].sort((a, b) => of(b) - of(a) || a.layer - b.layer || a.pos - b.pos);
}

/** By node id: the share of the answer's paths that pass through the node, as the graph panel says it. */
export function influenceById(graph: CircuitGraph): ReadonlyMap<string, number> {
  const flow = flowToOutputs(graph, new Set());
  return new Map(graph.nodes.map((node, index) => [node.id, flow[index]]));
}

/** The share of the answer's paths that pass through at least one of the nodes. */
export function influenceOfGroup(graph: CircuitGraph, nodes: readonly GraphNode[]): number {
  const indexOf = new Map(graph.nodes.map((node, index) => [node.id, index]));
  return flowThrough(
    graph,
    nodes.flatMap((node) => indexOf.get(node.id) ?? []),
  );
}

/** The words for a node in trees and lists: the user's label, the set's, or its number. */
export function nodeLabel(graph: CircuitGraph, node: GraphNode): string {
  const own = Object.hasOwn(graph.view.labels, node.id) ? graph.view.labels[node.id] : '';
  return own || node.label || featureName(node);
}

/** A token with its white space visible. */
export function visibleToken(text: string): string {
  return text.replaceAll(' ', '·').replaceAll('\n', '↵').replaceAll('\t', '⇥') || '∅';
}

/** Whether two views give the same tree of features: what is chosen, thresholds and places are not shown in it. */
export function isSameTree(one: GraphView, other: GraphView): boolean {
  const shown = ({ pinned, supernodes, labels }: GraphView) => JSON.stringify([pinned, supernodes, labels]);
  return shown(one) === shown(other);
}
