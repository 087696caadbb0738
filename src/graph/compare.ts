import { alignTokens, type Pair } from './alignTokens.ts';
import type { CircuitGraph } from './circuitGraph.ts';
import type { GraphNode } from './node.ts';

/** A node that both graphs have, by its index in each; changes are right minus left, null where one does not say. */
export type SharedNode = {
  readonly left: number;
  readonly right: number;
  readonly activationChange: number | null;
  /** Of the stored cumulative share: negative when the node has become more important. */
  readonly influenceChange: number | null;
};

/** An edge that both graphs have, by its index in each. */
export type SharedEdge = { readonly left: number; readonly right: number; readonly change: number };

export type GraphComparison = {
  /** Positions of both prompts in order; null on a side that has no token there. */
  readonly positions: readonly Pair[];
  readonly nodes: {
    readonly onlyLeft: readonly number[];
    readonly onlyRight: readonly number[];
    readonly both: readonly SharedNode[];
  };
  readonly edges: {
    readonly onlyLeft: readonly number[];
    readonly onlyRight: readonly number[];
    readonly both: readonly SharedEdge[];
  };
};

/**
 * What two traces share and where they differ. A feature is the same when layer and index agree and its tokens are
 * aligned; a token when its text agrees too; an output when its token does, wherever it stands.
 */
export function compareGraphs(left: CircuitGraph, right: CircuitGraph): GraphComparison {
  const positions = alignTokens(left.metadata.promptTokens, right.metadata.promptTokens);
  const placeLeft = new Map(
    positions.flatMap((pair, place) => (pair.left === null ? [] : [[pair.left, place] as const])),
  );
  const placeRight = new Map(
    positions.flatMap((pair, place) => (pair.right === null ? [] : [[pair.right, place] as const])),
  );
  const rightByKey = new Map<string, number[]>();
  for (const [index, node] of right.nodes.entries()) {
    const key = nodeKey(node, placeRight.get(node.pos));
    rightByKey.set(key, [...(rightByKey.get(key) ?? []), index]);
  }
  const both: SharedNode[] = [];
  const onlyLeft: number[] = [];
  const rightOf = new Map<number, number>();
  for (const [index, node] of left.nodes.entries()) {
    const other = rightByKey.get(nodeKey(node, placeLeft.get(node.pos)))?.shift();
    if (other === undefined) onlyLeft.push(index);
    else {
      rightOf.set(index, other);
      both.push(sharedNode(node, index, right.nodes[other], other));
    }
  }
  const onlyRight = [...rightByKey.values()].flat().sort((a, b) => a - b);
  return { positions, nodes: { onlyLeft, onlyRight, both }, edges: compareEdges(left, right, rightOf) };
}

/** True for a node whose activation in the right graph is more than a tenth away from that in the left. */
export function isChanged(left: CircuitGraph, { activationChange, left: index }: SharedNode): boolean {
  return Math.abs(activationChange ?? 0) > 0.1 * Math.abs(left.nodes[index].activation ?? 0);
}

function nodeKey(node: GraphNode, place: number | undefined): string {
  if (node.kind === 'logit') return `logit ${node.feature} ${node.label}`;
  if (node.kind === 'token') return `token ${place} ${node.label}`;
  const isNumbered = node.feature !== null || node.kind === 'error' || node.kind === 'attention error';
  return `${node.kind} ${node.layer} ${place} ${isNumbered ? node.feature : node.id}`;
}

function sharedNode(a: GraphNode, left: number, b: GraphNode, right: number): SharedNode {
  return {
    left,
    right,
    activationChange: change(a.activation, b.activation),
    influenceChange: change(a.influence, b.influence),
  };
}

function change(before: number | null, after: number | null): number | null {
  return before === null || after === null ? null : after - before;
}

function compareEdges(
  left: CircuitGraph,
  right: CircuitGraph,
  rightOf: ReadonlyMap<number, number>,
): GraphComparison['edges'] {
  const size = right.nodes.length;
  const open = new Map<number, number[]>();
  for (let edge = 0; edge < right.edges.source.length; edge++) {
    const key = right.edges.target[edge] * size + right.edges.source[edge];
    const waiting = open.get(key);
    if (waiting) waiting.push(edge);
    else open.set(key, [edge]);
  }
  const both: SharedEdge[] = [];
  const onlyLeft: number[] = [];
  for (let edge = 0; edge < left.edges.source.length; edge++) {
    const source = rightOf.get(left.edges.source[edge]);
    const target = rightOf.get(left.edges.target[edge]);
    const other = source === undefined || target === undefined ? undefined : open.get(target * size + source)?.shift();
    if (other === undefined) onlyLeft.push(edge);
    else both.push({ left: edge, right: other, change: right.edges.weight[other] - left.edges.weight[edge] });
  }
  return { both, onlyLeft, onlyRight: [...open.values()].flat().sort((a, b) => a - b) };
}
