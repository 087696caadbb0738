import type { GraphScores, GraphView } from '../src/graph/circuitGraph.ts';
import { withoutInputs } from '../src/graph/groups.ts';
import { incomingEdges } from '../src/graph/influence.ts';
import type { NodeKind } from '../src/graph/node.ts';
import { scores } from '../src/graph/scores.ts';
import type { GraphIndex } from './graphIndex.ts';
import { edgesOf } from './graphIndex.ts';

/** A box of the subgraph: a supernode, or a pinned node on its own. */
export type Box = {
  readonly id: string;
  /** Which of `view.supernodes`; null for a single node. */
  readonly supernode: number | null;
  readonly members: readonly number[];
  readonly kind: NodeKind;
  readonly layer: number;
  readonly pos: number;
};

/** All direct effects between the members of two boxes, summed. */
export type BoxEdge = {
  readonly source: number;
  readonly target: number;
  readonly weight: number;
  /** Signed share of the target box's direct input, its members weighted by influence. */
  readonly share: number;
};

export type Subgraph = { readonly boxes: readonly Box[]; readonly edges: readonly BoxEdge[] };

/** The pinned nodes and supernodes, and, once there are any, the explained output. */
export function subgraphOf(index: GraphIndex, view: GraphView): Subgraph {
  const boxes: Box[] = [];
  const boxOf = new Map<number, number>();
  const add = (id: string, supernode: number | null, members: readonly number[]) => {
    const { nodes } = index.graph;
    const kinds = new Set(members.map((node) => nodes[node].kind));
    const layers = members.map((node) => nodes[node].layer);
    for (const node of members) boxOf.set(node, boxes.length);
    boxes.push({
      id,
      supernode,
      members,
      kind: kinds.size === 1 ? nodes[members[0]].kind : 'unknown',
      layer: layers.reduce((sum, layer) => sum + layer, 0) / layers.length,
      pos: Math.max(...members.map((node) => nodes[node].pos)),
    });
  };
  supernodeMembers(index, view).forEach(({ members }, supernode) => {
    const free = members.filter((node) => !boxOf.has(node));
    if (free.length > 0) add(`supernode ${supernode}`, supernode, free);
  });
  for (const node of pinnedNodes(index, view)) if (!boxOf.has(node)) add(index.graph.nodes[node].id, null, [node]);
  if (boxes.length > 0) {
    const target = index.graph.nodes.findIndex((node) => node.kind === 'logit' && node.isTarget);
    if (target >= 0 && !boxOf.has(target)) add(index.graph.nodes[target].id, null, [target]);
  }
  return { boxes, edges: boxEdges(index, boxes, boxOf) };
}

/** The view's supernodes as node indices; ids that the graph does not have are skipped. */
export function supernodeMembers(index: GraphIndex, view: GraphView): { label: string; members: number[] }[] {
  return view.supernodes.map(({ label, members }) => ({ label, members: indicesOf(index, members) }));
}

/** Pinned nodes as indices, supernodes' members included. */
export function pinnedNodes(index: GraphIndex, view: GraphView): Set<number> {
  return new Set(indicesOf(index, [...view.pinned, ...view.supernodes.flatMap(({ members }) => members)]));
}

/**
 * Scores of the graph when only the pinned nodes explain anything: every other feature counts as an error, so its own
 * inputs are left out. Tokens and outputs take part as ever.
 */
export function subgraphScores(index: GraphIndex, pinned: ReadonlySet<number>): GraphScores {
  const { graph } = index;
  const kinds = graph.nodes.map(
    ({ kind }, node): NodeKind => (pinned.has(node) || kind === 'token' || kind === 'logit' ? kind : 'error'),
  );
  const errors = new Set(kinds.flatMap((kind, node) => (kind === 'error' ? [node] : [])));
  const incoming = incomingEdges(graph.nodes.length, withoutInputs(graph.edges, errors));
  return scores({ ...index.weighted, incoming, kinds });
}

function indicesOf(index: GraphIndex, ids: readonly string[]): number[] {
  return ids.map((id) => index.indexOf.get(id)).filter((node) => node !== undefined);
}

function boxEdges(index: GraphIndex, boxes: readonly Box[], boxOf: ReadonlyMap<number, number>): BoxEdge[] {
  const { source, weight } = index.graph.edges;
  const sums = new Map<string, { source: number; target: number; weight: number; share: number }>();
  boxes.forEach(({ members }, target) => {
    const total = members.reduce((sum, node) => sum + index.influence[node], 0);
    for (const node of members) {
      const part = total > 0 ? index.influence[node] / total : 1 / members.length;
      for (const edge of edgesOf(index, 'inputs', node)) {
        const from = boxOf.get(source[edge]);
        if (from === undefined || from === target) continue;
        const key = `${from},${target}`;
        const sum = sums.get(key) ?? { source: from, target, weight: 0, share: 0 };
        sum.weight += weight[edge];
        sum.share += index.share[edge] * part;
        sums.set(key, sum);
      }
    }
  });
  return [...sums.values()].sort((a, b) => Math.abs(a.share) - Math.abs(b.share));
}
