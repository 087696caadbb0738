import type { CircuitGraph } from './circuitGraph.ts';
import { labelOf } from './groups.ts';

/** One row per node, for a spreadsheet or a script. */
export function nodesCsv(graph: CircuitGraph): string {
  const groupOf = new Map(graph.view.supernodes.flatMap(({ label, members }) => members.map((id) => [id, label])));
  const pinned = new Set(graph.view.pinned);
  const head = ['id', 'kind', 'layer', 'position', 'token', 'feature', 'label', 'activation', 'influence'];
  const rows = graph.nodes.map((node, index) => [
    text(node.id),
    node.kind,
    number(node.layer),
    number(node.pos),
    text(graph.metadata.promptTokens[node.pos] ?? ''),
    number(node.feature),
    text(labelOf(graph, index)),
    number(node.activation),
    number(node.influence),
    number(node.probability),
    node.isTarget ? 'yes' : '',
    pinned.has(node.id) ? 'yes' : '',
    text(groupOf.get(node.id) ?? ''),
  ]);
  return table([...head, 'probability', 'target', 'pinned', 'supernode'], rows);
}

/** One row per edge, by the ids of the nodes' table. */
export function edgesCsv(graph: CircuitGraph): string {
  const { source, target, weight, ambiguous } = graph.edges;
  const rows = Array.from(source, (from, edge) => [
    text(graph.nodes[from].id),
    text(graph.nodes[target[edge]].id),
    number(weight[edge]),
    ...(ambiguous ? [ambiguous[edge] === 1 ? 'yes' : ''] : []),
  ]);
  return table(['source', 'target', 'weight', ...(ambiguous ? ['ambiguous'] : [])], rows);
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [head, ...rows].map((row) => `${row.join(',')}\r\n`).join('');
}

function number(value: number | null): string {
  return value === null ? '' : String(value);
}

/** Quotes a text; one that a spreadsheet would run as a formula gets an apostrophe in front, as spreadsheets write it. */
function text(value: string): string {
  const safe = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]|^\s|\s$/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
