import type { Derived } from '../derive.ts';
import { logitText } from '../words.ts';

/**
 * The visible nodes and the edges between them as two CSV tables, one after the other with an empty line between.
 * Influence is the node's share of the answer's paths; share is the edge's share of its target's input.
 */
export function graphAsCsv({ index, visible, nameOf }: Derived): string {
  const { nodes, edges, metadata } = index.graph;
  const shown = Array.from(visible.nodes).sort((a, b) => a - b);
  const lines = [
    csvLine([
      'node',
      'kind',
      'layer',
      'position',
      'token',
      'feature',
      'label',
      'activation',
      'influence',
      'probability',
    ]),
  ];
  for (const node of shown) {
    const { id, kind, layer, pos, feature, activation, probability } = nodes[node];
    const token = kind === 'logit' ? logitText(nodes[node]) : (metadata.promptTokens[pos] ?? '');
    const place = kind === 'token' || kind === 'logit' ? null : layer;
    lines.push(
      csvLine([id, kind, place, pos, token, feature, nameOf(node), activation, index.influence[node], probability]),
    );
  }
  lines.push('', csvLine(['source', 'target', 'weight', 'share']));
  for (let edge = 0; edge < edges.weight.length; edge++) {
    const source = edges.source[edge];
    const target = edges.target[edge];
    if (visible.isVisible[source] === 0 || visible.isVisible[target] === 0) continue;
    lines.push(csvLine([nodes[source].id, nodes[target].id, edges.weight[edge], index.share[edge]]));
  }
  return `${lines.join('\r\n')}\r\n`;
}

/** One line; texts are quoted, and kept from being taken for a formula by spreadsheets. */
function csvLine(cells: readonly (string | number | null)[]): string {
  return cells
    .map((cell) => {
      if (cell === null) return '';
      if (typeof cell === 'number') return String(cell);
      const safe = /^[=+\-@\t\r]/.test(cell) ? `'${cell}` : cell;
      return /[",\r\n']/.test(safe) ? `"${safe.replace(/"/g, '""')}"` : safe;
    })
    .join(',');
}
