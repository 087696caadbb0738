import type { CircuitGraph } from '../graph/circuitGraph.ts';
import { compareGraphs, type GraphComparison } from '../graph/compare.ts';
import { labelOf } from '../graph/groups.ts';
import { Options } from './options.ts';
import { readGraphFile } from './readGraphFile.ts';
import type { Terminal } from './terminal.ts';

const mostListed = 10;

const help = `Usage: prompt-circuits compare LEFT RIGHT

  Says what two graphs share and where they differ: nodes that only one of them
  has, and nodes of both whose activation changed most. Tokens are aligned.
`;

export async function compareCommand(args: readonly string[], terminal: Terminal): Promise<number> {
  const options = new Options(args, {}, help);
  if (options.flag('help')) {
    terminal.out(help);
    return 0;
  }
  if (options.positionals.length !== 2) throw options.wrong('Name two graph files.');
  const [left, right] = options.positionals.map((file) => readGraphFile(file, terminal));
  terminal.out(comparisonText(left, right, compareGraphs(left, right)));
  return 0;
}

/** A comparison as text for a terminal. */
export function comparisonText(
  left: CircuitGraph,
  right: CircuitGraph,
  { positions, nodes, edges }: GraphComparison,
): string {
  const aligned = positions.map((pair) => {
    const [a, b] = [tokenAt(left, pair.left), tokenAt(right, pair.right)];
    return a === b ? a : `[${a} | ${b}]`;
  });
  const changed = nodes.both
    .filter(({ activationChange }) => activationChange !== null && activationChange !== 0)
    .toSorted((a, b) => Math.abs(b.activationChange ?? 0) - Math.abs(a.activationChange ?? 0));
  const lines = [
    `Tokens: ${aligned.join(' ')}`,
    `Nodes:  ${nodes.both.length} in both, ${nodes.onlyLeft.length} only left, ${nodes.onlyRight.length} only right`,
    `Edges:  ${edges.both.length} in both, ${edges.onlyLeft.length} only left, ${edges.onlyRight.length} only right`,
    ...section('Activation changed most', changed, ({ left: index, right: other }) => {
      const [before, after] = [left.nodes[index].activation ?? 0, right.nodes[other].activation ?? 0];
      return `${before.toFixed(3)} → ${after.toFixed(3)}  ${nodeName(left, index)}`;
    }),
    ...section('Only left, most influential first', byInfluence(left, nodes.onlyLeft), (index) =>
      nodeName(left, index),
    ),
    ...section('Only right, most influential first', byInfluence(right, nodes.onlyRight), (index) =>
      nodeName(right, index),
    ),
  ];
  return `${lines.join('\n')}\n`;
}

function section<Item>(title: string, items: readonly Item[], line: (item: Item) => string): string[] {
  if (items.length === 0) return [];
  const more = items.length > mostListed ? [`  and ${items.length - mostListed} more`] : [];
  return ['', title, ...items.slice(0, mostListed).map((item) => `  ${line(item)}`), ...more];
}

function byInfluence(graph: CircuitGraph, indices: readonly number[]): number[] {
  const share = (index: number) => graph.nodes[index].influence ?? (graph.nodes[index].kind === 'logit' ? 0 : 1);
  return indices.toSorted((a, b) => share(a) - share(b) || a - b);
}

function nodeName(graph: CircuitGraph, index: number): string {
  const node = graph.nodes[index];
  const place = node.kind === 'feature' ? `L${node.layer}/${node.feature}` : node.kind;
  const label = labelOf(graph, index);
  return `${place}${label === place ? '' : ` ${JSON.stringify(label)}`} at ${tokenAt(graph, node.pos)}${node.pos}`;
}

function tokenAt(graph: CircuitGraph, pos: number | null): string {
  return pos === null ? '' : JSON.stringify(graph.metadata.promptTokens[pos] ?? '');
}
