import { UserError } from '../protocol/errors.ts';
import type { CircuitGraph, GraphView } from './circuitGraph.ts';
import { isObject, type JsonObject, parseJson } from './json.ts';
import type { GraphNode } from './node.ts';
import { errorId } from './nodeIds.ts';
import { labelId, readView } from './readView.ts';

/** A subgraph as Neuronpedia keeps it beside a graph. */
export type SubgraphRecord = {
  readonly modelId: string;
  readonly slug: string;
  readonly displayName: string;
  readonly pinnedIds: readonly string[];
  /** Label first, then node ids. */
  readonly supernodes: readonly (readonly string[])[];
  /** Pairs of `{layer}_{Cantor number}_{position}` and label. */
  readonly clerps: readonly (readonly [string, string])[];
  readonly pruningThreshold: number | null;
  readonly densityThreshold: number | null;
};

/** The view of a graph as a record; labels of nodes that are no features stay behind, for it has no place for them. */
export function toSubgraphRecord(graph: CircuitGraph, modelId: string, displayName: string): SubgraphRecord {
  const { view } = graph;
  return {
    modelId,
    slug: graph.metadata.slug,
    displayName,
    pinnedIds: pinnedWithMembers(view),
    supernodes: view.supernodes.map(({ label, members }) => [label, ...members]),
    clerps: labelPairs(graph),
    pruningThreshold: view.pruningThreshold,
    densityThreshold: null,
  };
}

/**
 * The fields of a record, or of a saved `qParams`, that is given as JSON text; `withSavedView` takes them.
 * @throws UserError when the text holds neither pinned nodes nor supernodes
 */
export function readSubgraphRecord(text: string): JsonObject {
  const { value } = parseJson(text, 'The subgraph');
  if (isObject(value) && (value.pinnedIds !== undefined || value.supernodes !== undefined)) return value;
  throw new UserError(
    'subgraph.notARecord',
    'This text is no saved subgraph: it has neither `pinnedIds` nor `supernodes`.',
    'Copy the whole record, from { to }.',
  );
}

/** Pinned nodes and, as other viewers want them pinned too, the members of supernodes; each once. */
export function pinnedWithMembers(view: GraphView): readonly string[] {
  return [...new Set([...view.pinned, ...view.supernodes.flatMap(({ members }) => members)])];
}

/** The user's labels of features, by the ids that viewers give them. */
export function labelPairs({ nodes, view }: CircuitGraph): (readonly [string, string])[] {
  return nodes.flatMap((node) => {
    const id = labelId(node);
    return id !== null && Object.hasOwn(view.labels, node.id) ? [[id, view.labels[node.id]] as const] : [];
  });
}

/**
 * The graph's view after taking over a record or the parameters of a share link: pinned nodes, supernodes and
 * threshold are replaced, labels added, places kept.
 * @param fields `pinnedIds`, `supernodes`, `clerps`, `pruningThreshold`, `clickedId`, `linkType`; lists or texts
 * @returns the view, and sentences about what the graph does not have
 */
export function withSavedView(
  graph: CircuitGraph,
  fields: JsonObject,
): { readonly view: GraphView; readonly warnings: readonly string[] } {
  const warnings: string[] = [];
  const byId = new Map(graph.nodes.map((node) => [String(node.id), node]));
  const { view } = readView(fields, {}, graph.nodes, (id) => nodeNamed(byId, id), warnings);
  return { view: { ...view, labels: { ...graph.view.labels, ...view.labels }, places: graph.view.places }, warnings };
}

/** The node with an id, also where the other side spells an error's as circuit-tracer does. */
function nodeNamed(byId: ReadonlyMap<string, GraphNode>, id: string): GraphNode | undefined {
  const error = /^0_(\d{1,4})_(\d{1,6})$/.exec(id);
  return byId.get(id) ?? (error ? byId.get(errorId(Number(error[1]), Number(error[2]))) : undefined);
}
