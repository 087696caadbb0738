import type { CircuitGraph } from './circuitGraph.ts';
import { foreignFields, foreignNode } from './foreignFields.ts';
import { asCount, asNumber, asText, isObject, type JsonObject } from './json.ts';

/** A node that an attention result names: one of the graph's by its index, or one that was pruned, by its words. */
export type AttentionEnd = { readonly node: number | null; readonly name: string; readonly pos: number | null };

export type AttentionPair = { readonly query: AttentionEnd; readonly key: AttentionEnd; readonly weight: number };
export type AttentionShare = { readonly end: AttentionEnd; readonly weight: number };

/**
 * Why an attention feature looks where it looks, as other generators trace it: contributions to the score between its
 * query and its key, by pairs of nodes and by each side alone, strongest first.
 */
export type AttentionResults = {
  readonly pairs: readonly AttentionPair[];
  readonly queries: readonly AttentionShare[];
  readonly keys: readonly AttentionShare[];
};

const field = 'qk_tracing_results';
const prunedField = 'qk_only_nodes';

/** Files hold the strongest few; more are not read. */
const mostEntries = 1000;

/** The attention results that a file carries for a node; null when it has none. What is malformed is left out. */
export function attentionResults(
  graph: Pick<CircuitGraph, 'nodes' | 'foreign'>,
  indexOf: ReadonlyMap<string, number>,
  node: number,
): AttentionResults | null {
  const foreign = foreignFields(graph.foreign);
  const own = foreignNode(foreign, graph.nodes[node].id)?.[field];
  if (!isObject(own)) return null;
  const pruned = prunedNodes(foreign.file?.[prunedField]);
  const endOf = (id: unknown): AttentionEnd | null => {
    if (typeof id !== 'string') return null;
    const index = indexOf.get(id);
    if (index !== undefined) return { node: index, name: id, pos: graph.nodes[index].pos };
    return pruned.get(id) ?? { node: null, name: id, pos: null };
  };
  const share = (entry: unknown): AttentionShare[] => {
    if (!Array.isArray(entry)) return [];
    const [end, weight] = [endOf(entry[0]), asNumber(entry[1])];
    return end === null || weight === null ? [] : [{ end, weight }];
  };
  const pair = (entry: unknown): AttentionPair[] => {
    if (!Array.isArray(entry)) return [];
    const [query, key, weight] = [endOf(entry[0]), endOf(entry[1]), asNumber(entry[2])];
    return query === null || key === null || weight === null ? [] : [{ query, key, weight }];
  };
  const results = {
    pairs: strongest(listIn(own, 'pair_wise_contributors').flatMap(pair)),
    queries: strongest(listIn(own, 'top_q_marginal_contributors').flatMap(share)),
    keys: strongest(listIn(own, 'top_k_marginal_contributors').flatMap(share)),
  };
  return results.pairs.length + results.queries.length + results.keys.length > 0 ? results : null;
}

/** Of all foreign fields those that `attentionResults` reads, for a page that gets a graph without the others. */
export function attentionFields(foreign: JsonObject): JsonObject {
  const { nodes, file } = foreignFields(foreign);
  const found: Record<string, JsonObject> = {};
  for (const [id, fields] of Object.entries(nodes ?? {})) {
    if (isObject(fields) && Object.hasOwn(fields, field)) found[id] = { [field]: fields[field] };
  }
  if (Object.keys(found).length === 0) return {};
  const pruned = file && Object.hasOwn(file, prunedField) ? { file: { [prunedField]: file[prunedField] } } : {};
  return { nodes: found, ...pruned };
}

/** Nodes that only attention results name, by the file's id. */
function prunedNodes(value: unknown): ReadonlyMap<string, AttentionEnd> {
  const found = new Map<string, AttentionEnd>();
  if (!Array.isArray(value)) return found;
  for (const node of value) {
    const id = isObject(node) ? asText(node.node_id) : null;
    if (!isObject(node) || id === null) continue;
    const label = asText(node.clerp) ?? '';
    found.set(id, { node: null, name: label === '' ? id : label, pos: asCount(node.ctx_idx) });
  }
  return found;
}

function listIn(value: JsonObject, name: string): readonly unknown[] {
  const list = Object.hasOwn(value, name) ? value[name] : null;
  return Array.isArray(list) ? list.slice(0, mostEntries) : [];
}

function strongest<Entry extends { readonly weight: number }>(entries: readonly Entry[]): readonly Entry[] {
  return [...entries].sort((a, b) => Math.abs(b.weight) - Math.abs(a.weight));
}
