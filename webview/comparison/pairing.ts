import type { CircuitGraph } from '../../src/graph/circuitGraph.ts';
import { emptyView } from '../../src/graph/circuitGraph.ts';
import { isChanged } from '../../src/graph/compare.ts';
import { alignGraph, mergeGraphs } from '../../src/graph/mergeGraphs.ts';
import type { ComparedTraces, Side } from '../../src/protocol/comparison.ts';
import type { PanelTrace } from '../../src/protocol/panel.ts';
import type { GraphIndex } from '../graphIndex.ts';
import { indexGraph } from '../graphIndex.ts';

/** The three pictures of the page: each trace by itself, and both as one. */
export type Pane = Side | 'one';
export const paneNames: readonly Pane[] = ['left', 'right', 'one'];

/** Where a node is: in one of the graphs, in both, or in both with another activation. */
export type Presence = 'left' | 'right' | 'same' | 'changed';

/**
 * Two traces made comparable. A node of the comparison is a _pair_: it has one number in all three pictures, which is its
 * index in the merged graph.
 */
export type Pairing = {
  readonly traces: ComparedTraces;
  /** The graphs as they are drawn: tokens at the places of the alignment. */
  readonly panes: Readonly<Record<Pane, PanelTrace>>;
  readonly index: Readonly<Record<Pane, GraphIndex>>;
  /** [pair] index of the node in a picture, −1 where it is not. */
  readonly nodeOf: Readonly<Record<Pane, Int32Array>>;
  /** [node] pair of a picture's node. */
  readonly pairOf: Readonly<Record<Pane, Int32Array>>;
  /** [pair] */
  readonly presence: readonly Presence[];
  /** Places at which a side has no token. */
  readonly gaps: Readonly<Record<Side, ReadonlySet<number>>>;
};

/** Aligns two traces and finds out what they share. */
export function pairTraces(traces: ComparedTraces): Pairing {
  const { left, right, names } = traces;
  const merged = mergeGraphs(left.graph, right.graph, [names.left, names.right]);
  const { positions, nodes } = merged.comparison;
  const { nLayers } = merged.graph.metadata;
  const presence = new Array<Presence>(merged.graph.nodes.length).fill('right');
  for (const node of nodes.onlyLeft) presence[node] = 'left';
  for (const shared of nodes.both) presence[shared.left] = isChanged(left.graph, shared) ? 'changed' : 'same';
  const drawn = (trace: PanelTrace, pane: Pane, graph: CircuitGraph): PanelTrace => ({
    ...trace,
    id: `${pane} of ${left.id} and ${right.id}`,
    graph: { ...graph, view: { ...emptyView, labels: graph.view.labels, linkType: 'either' } },
  });
  const panes = {
    left: drawn(left, 'left', alignGraph(left.graph, positions, 'left', nLayers)),
    right: drawn(right, 'right', alignGraph(right.graph, positions, 'right', nLayers)),
    one: drawn({ ...left, predictions: [] }, 'one', {
      ...merged.graph,
      view: { ...merged.graph.view, labels: { ...right.graph.view.labels, ...left.graph.view.labels } },
    }),
  };
  const nodeOf = { left: merged.leftOf, right: merged.rightOf, one: Int32Array.from(presence.keys()) };
  const gapsOf = (side: Side): ReadonlySet<number> =>
    new Set(positions.flatMap((pair, place) => (pair[side] === null ? [place] : [])));
  return {
    traces,
    panes,
    index: {
      left: indexGraph(panes.left.graph),
      right: indexGraph(panes.right.graph),
      one: indexGraph(panes.one.graph),
    },
    nodeOf,
    pairOf: {
      left: inverse(nodeOf.left, left.graph.nodes.length),
      right: inverse(nodeOf.right, right.graph.nodes.length),
      one: nodeOf.one,
    },
    presence,
    gaps: { left: gapsOf('left'), right: gapsOf('right') },
  };
}

/** The other picture's node for a picture's node; null where it has none. */
export function counterpart({ nodeOf, pairOf }: Pairing, node: number | null, from: Pane, to: Pane): number | null {
  if (node === null) return null;
  const found = nodeOf[to][pairOf[from][node]];
  return found < 0 ? null : found;
}

function inverse(nodeOf: Int32Array, nNodes: number): Int32Array {
  const pairOf = new Int32Array(nNodes).fill(-1);
  for (const [pair, node] of nodeOf.entries()) if (node >= 0) pairOf[node] = pair;
  return pairOf;
}
