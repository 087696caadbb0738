import type { CircuitGraph } from './circuitGraph.ts';
import { carriedShare, type Group, type GroupEdge, groupEdges, groupsOf, labelOf } from './groups.ts';
import { strongestPaths } from './paths.ts';

const mostPaths = 5;
const mostOutputs = 5;
const mostGroupEdges = 10;

/**
 * A summary of a graph for a pull request or an issue: what the model would say, how much of it the graph explains, the
 * supernodes and what they carry, and the strongest paths. All texts of the graph stand in code spans, so that none of
 * them is markup, a mention or a link.
 */
export function markdownSummary(graph: CircuitGraph): string {
  const { metadata } = graph;
  const target = targetOf(graph);
  const answer = target === null ? '' : ` → ${code(labelOf(graph, target))}`;
  const sections = [
    `### ${code(metadata.prompt.trim().slice(-80))}${answer}`,
    ...outputs(graph),
    ...scores(graph),
    ...(target === null ? [] : supernodes(graph, target)),
    ...(target === null ? [] : paths(graph, target)),
    footer(graph),
  ];
  return `${sections.join('\n\n')}\n`;
}

/** Text as a Markdown code span within one line; a span cannot hold what a reader would not see, so it is shown. */
export function code(text: string): string {
  const line = text.replaceAll('\n', '⏎').replaceAll('\r', '␍').replaceAll('\t', '⇥').replaceAll('|', '¦');
  const longest = Math.max(0, ...Array.from(line.matchAll(/`+/g), ([run]) => run.length));
  const fence = '`'.repeat(longest + 1);
  // A span drops one space at each end when it has both, and its marks must not meet others.
  const pad = line === '' || /^`|`$|^ .*[^ ].* $/.test(line) ? ' ' : '';
  return `${fence}${pad}${line}${pad}${fence}`;
}

function targetOf(graph: CircuitGraph): number | null {
  const logits = graph.nodes.flatMap((node, index) => (node.kind === 'logit' ? [index] : []));
  return logits.find((index) => graph.nodes[index].isTarget) ?? logits[0] ?? null;
}

function outputs(graph: CircuitGraph): string[] {
  const logits = graph.nodes.flatMap((node, index) => (node.kind === 'logit' ? [{ node, index }] : []));
  if (logits.length === 0) return [];
  const rows = logits
    .toSorted((a, b) => (b.node.probability ?? 0) - (a.node.probability ?? 0))
    .slice(0, mostOutputs)
    .map(({ node, index }) => `| ${code(labelOf(graph, index))} | ${share(node.probability)} |`);
  return [['| Next token | Probability |', '|---|---:|', ...rows].join('\n')];
}

function scores({ metadata, nodes, edges }: CircuitGraph): string[] {
  const counts = `${nodes.length} nodes, ${edges.source.length} edges`;
  if (metadata.scores === null) return [counts];
  const { replacement, completeness } = metadata.scores;
  return [
    `Replacement score ${replacement.toFixed(3)}, completeness score ${completeness.toFixed(3)} (whole graph); ${counts}`,
  ];
}

function supernodes(graph: CircuitGraph, target: number): string[] {
  const groups = groupsOf(graph);
  if (groups.length === 0) return [];
  const rows = groups.map(({ label, members }) => {
    const tokens = [...new Set(members.map((node) => graph.metadata.promptTokens[graph.nodes[node].pos] ?? ''))];
    return `| ${code(label)} | ${members.length} | ${tokens.map(code).join(' ')} | ${share(carriedShare(graph, members, target))} |`;
  });
  return [
    [
      `| Supernode | Nodes | At | Share of what reaches ${code(labelOf(graph, target))} that passes through it |`,
      '|---|---:|---|---:|',
      ...rows,
    ].join('\n'),
    ...effects(graph, groups),
  ];
}

/** The strongest direct effects between supernodes, summed over their members. */
function effects(graph: CircuitGraph, groups: readonly Group[]): string[] {
  const strongest = groupEdges(graph, groups).slice(0, mostGroupEdges);
  const line = ({ source, target, weight }: GroupEdge) =>
    `- ${code(groups[source].label)} → ${code(groups[target].label)}: ${weight < 0 ? '−' : '+'}${Math.abs(weight).toPrecision(3)}`;
  return strongest.length === 0 ? [] : [`Direct effects between them:\n\n${strongest.map(line).join('\n')}`];
}

function paths(graph: CircuitGraph, target: number): string[] {
  const lines = strongestPaths(graph, target, mostPaths).map(({ nodes, share: part, sign }) => {
    const steps = nodes.map((node) => step(graph, node));
    return `1. ${share(part)}${sign < 0 ? ', lowering' : ''}: ${steps.join(' → ')}`;
  });
  return lines.length === 0 ? [] : [`Strongest paths:\n\n${lines.join('\n')}`];
}

function step(graph: CircuitGraph, index: number): string {
  const node = graph.nodes[index];
  const token = code(graph.metadata.promptTokens[node.pos] ?? '');
  const label = code(labelOf(graph, index));
  if (node.kind === 'token' || node.kind === 'logit') return label;
  return `${label} (${node.kind === 'feature' ? `layer ${node.layer}` : `${node.kind}, layer ${node.layer}`}, at ${token})`;
}

function footer({ metadata }: CircuitGraph): string {
  const made = metadata.generator
    ? ` by ${code(`${metadata.generator.name} ${metadata.generator.version}`.trim())}`
    : '';
  const model = metadata.modelName === '' ? '' : ` of ${code(metadata.modelName)}`;
  return `<sub>Attribution graph${model} with ${code(metadata.scan)}, made${made}${metadata.createdAt ? ` on ${code(metadata.createdAt)}` : ''}.</sub>`;
}

function share(value: number | null): string {
  return value === null ? '' : `${(100 * value).toFixed(1)} %`;
}
