import type { CircuitGraph } from '../graph/circuitGraph.ts';
import type { GraphNode } from '../graph/node.ts';
import { featureName } from './nodeNames.ts';

export type Grouping = 'supernode' | 'layer' | 'token';

export type FeatureGroup = { readonly key: string; readonly label: string; readonly nodes: readonly GraphNode[] };

/**
 * The features of a graph in groups, most influential first in each; groups of layers and tokens in their order,
 * supernodes as they were made, then what is pinned alone and what is in none.
 */
export function groupFeatures(graph: CircuitGraph, grouping: Grouping): FeatureGroup[] {
  const features = graph.nodes.filter((node) => node.kind === 'feature' || node.kind === 'attention');
  if (grouping === 'supernode') return bySupernode(graph, features);
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
    .map((key) => ({ key: `${grouping} ${key}`, label: label(key), nodes: byInfluence(groups.get(key) ?? []) }));
}

function bySupernode(graph: CircuitGraph, features: readonly GraphNode[]): FeatureGroup[] {
  const { supernodes, pinned } = graph.view;
  const grouped = new Set(supernodes.flatMap((supernode) => supernode.members));
  const groups: FeatureGroup[] = supernodes.map(({ label, members }, i) => ({
    key: `supernode ${i}`,
    label: label || `Group ${i + 1}`,
    nodes: byInfluence(features.filter((node) => members.includes(node.id))),
  }));
  const isPinned = new Set(pinned);
  const loose = features.filter((node) => !grouped.has(node.id));
  groups.push({ key: 'pinned', label: 'Pinned', nodes: byInfluence(loose.filter((node) => isPinned.has(node.id))) });
  const title = groups.some((group) => group.nodes.length > 0) ? 'Not grouped' : 'All features';
  groups.push({ key: 'loose', label: title, nodes: byInfluence(loose.filter((node) => !isPinned.has(node.id))) });
  return groups.filter((group) => group.nodes.length > 0);
}

/** Most influential first: the stored influence is a running share, so small comes first, unknown last. */
export function byInfluence(nodes: readonly GraphNode[]): GraphNode[] {
  return [...nodes].sort((a, b) => (a.influence ?? 2) - (b.influence ?? 2) || a.layer - b.layer || a.pos - b.pos);
}

/**
 * Each node's own share of all influence, from the running shares: its own less that of the next more influential one.
 * Nodes whose influence is not known are left out.
 */
export function ownShares(nodes: readonly GraphNode[]): ReadonlyMap<string, number> {
  const known = nodes.filter((node) => node.influence !== null && node.kind !== 'logit');
  const sorted = [...known].sort((a, b) => (a.influence ?? 0) - (b.influence ?? 0));
  const shares = new Map<string, number>();
  let before = 0;
  for (const node of sorted) {
    const running = node.influence ?? 0;
    shares.set(node.id, Math.max(0, running - before));
    before = running;
  }
  return shares;
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
