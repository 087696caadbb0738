import type { CircuitGraph, GraphView } from '../../src/graph/circuitGraph.ts';
import type { Derived } from '../derive.ts';
import { logitText } from '../words.ts';

/**
 * What is on screen as a graph of its own: visible nodes, the edges between them, the names that the panel shows, and
 * the reader's supernodes or, where there are none, the groups of the summary.
 */
export function visiblePart({ index, visible, story, labelOf }: Derived, view: GraphView): CircuitGraph {
  const { graph } = index;
  const kept = Array.from(visible.nodes).sort((a, b) => a - b);
  const placeOf = new Map(kept.map((node, place) => [node, place]));
  const edges = Array.from(graph.edges.weight.keys()).filter(
    (edge) => placeOf.has(graph.edges.source[edge]) && placeOf.has(graph.edges.target[edge]),
  );
  const nameOf = (node: number) => (graph.nodes[node].kind === 'logit' ? logitText(graph.nodes[node]) : labelOf(node));
  const labels = Object.fromEntries(
    kept.flatMap((node) => (nameOf(node) === '' ? [] : [[graph.nodes[node].id, nameOf(node)]])),
  );
  const groups = story.groups
    .filter(({ members }) => members.length > 1)
    .map(({ name, members }) => ({ label: name, members: members.map((node) => graph.nodes[node].id as string) }));
  return {
    ...graph,
    nodes: kept.map((node) => graph.nodes[node]),
    edges: {
      source: Uint32Array.from(edges, (edge) => placeOf.get(graph.edges.source[edge]) ?? 0),
      target: Uint32Array.from(edges, (edge) => placeOf.get(graph.edges.target[edge]) ?? 0),
      weight: Float32Array.from(edges, (edge) => graph.edges.weight[edge]),
    },
    view: { ...view, labels, supernodes: view.supernodes.length > 0 ? view.supernodes : groups },
  };
}
