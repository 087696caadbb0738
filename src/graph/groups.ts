import type { CircuitGraph, Edges } from './circuitGraph.ts';
import { incomingEdges, influence } from './influence.ts';

/** A supernode, or a pinned node on its own, as indices into `graph.nodes`. */
export type Group = { readonly label: string; readonly members: readonly number[] };

/** All direct effects from the members of one group to those of another, summed with their signs. */
export type GroupEdge = { readonly source: number; readonly target: number; readonly weight: number };

/** The view's supernodes and then its other pinned nodes; members that the graph does not have are left out. */
export function groupsOf(graph: CircuitGraph): Group[] {
  const indexOf = new Map(graph.nodes.map((node, index) => [String(node.id), index]));
  const found = (ids: readonly string[]) => [...new Set(ids.flatMap((id) => indexOf.get(id) ?? []))];
  const supernodes = graph.view.supernodes.map(({ label, members }) => ({ label, members: found(members) }));
  const grouped = new Set(supernodes.flatMap(({ members }) => members));
  const single = found(graph.view.pinned).filter((node) => !grouped.has(node));
  return [
    ...supernodes.filter(({ members }) => members.length > 0),
    ...single.map((node) => ({ label: labelOf(graph, node), members: [node] })),
  ];
}

/** What a node is called: the user's label, the file's, or its place. */
export function labelOf(graph: CircuitGraph, index: number): string {
  const node = graph.nodes[index];
  const own = Object.hasOwn(graph.view.labels, node.id) ? graph.view.labels[node.id] : '';
  if (own !== '') return own;
  if (node.label !== '') return node.label;
  if (node.kind === 'feature' || node.kind === 'attention') return `L${node.layer}/${node.feature ?? '?'}`;
  return node.kind === 'token' ? (graph.metadata.promptTokens[node.pos] ?? '') : `${node.kind} L${node.layer}`;
}

/** The summed edges between groups, largest first. A node in several groups counts in each. */
export function groupEdges(graph: CircuitGraph, groups: readonly Group[]): GroupEdge[] {
  const groupsWith = new Map<number, number[]>();
  for (const [group, { members }] of groups.entries()) {
    for (const node of members) groupsWith.set(node, [...(groupsWith.get(node) ?? []), group]);
  }
  const sums = new Map<number, number>();
  const { source, target, weight } = graph.edges;
  for (let edge = 0; edge < source.length; edge++) {
    for (const from of groupsWith.get(source[edge]) ?? []) {
      for (const to of groupsWith.get(target[edge]) ?? []) {
        const key = from * groups.length + to;
        if (from !== to) sums.set(key, (sums.get(key) ?? 0) + weight[edge]);
      }
    }
  }
  return Array.from(sums, ([key, sum]) => ({
    source: Math.floor(key / groups.length),
    target: key % groups.length,
    weight: sum,
  })).sort((a, b) => Math.abs(b.weight) - Math.abs(a.weight) || a.source - b.source || a.target - b.target);
}

/**
 * How much of what reaches a node passes through the given nodes: of all paths into `target`, each weighted by the
 * product of its edges' shares of their targets' input, the part that meets one of them. From 0 to 1; a path that meets
 * several counts once.
 */
export function carriedShare(graph: CircuitGraph, members: readonly number[], target: number): number {
  const isMember = new Set(members);
  if (isMember.has(target)) return 1;
  const outputWeight = new Float64Array(graph.nodes.length);
  outputWeight[target] = 1;
  // Paths end at the first member they meet, seen from the target.
  const reached = influence(incomingEdges(graph.nodes.length, graph.edges), outputWeight, isMember);
  return Math.min(
    1,
    [...isMember].reduce((sum, node) => sum + reached[node], 0),
  );
}

/** The edges that do not lead into any of the nodes: paths end where they meet one. */
export function withoutInputs(edges: Edges, nodes: ReadonlySet<number>): Edges {
  const source = new Uint32Array(edges.source.length);
  const target = new Uint32Array(edges.source.length);
  const weight = new Float32Array(edges.source.length);
  let count = 0;
  for (let edge = 0; edge < edges.source.length; edge++) {
    if (nodes.has(edges.target[edge])) continue;
    source[count] = edges.source[edge];
    target[count] = edges.target[edge];
    weight[count++] = edges.weight[edge];
  }
  return { source: source.slice(0, count), target: target.slice(0, count), weight: weight.slice(0, count) };
}
