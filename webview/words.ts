import type { GraphView } from '../src/graph/circuitGraph.ts';
import type { GraphNode } from '../src/graph/node.ts';
import { percent } from '../src/graph/percent.ts';
import type { GraphIndex } from './graphIndex.ts';
import { featureKey } from './visible.ts';

export { percent };

/** Labels that came from the transcoder set or another reader, by feature key. */
export type SetLabels = ReadonlyMap<string, { readonly label: string; readonly source: string }>;

/** A token's text with its white space made visible: “·Dallas”, “⏎”. */
export function showToken(text: string): string {
  if (text === '') return '∅';
  const visible = text.replace(/ /g, '·').replace(/\r?\n/g, '⏎').replace(/\t/g, '⇥');
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what would not be seen.
  return visible.replace(/[\u0000-\u001f\u007f-\u009f\u200b-\u200f]/g, (letter) => {
    const code = letter.codePointAt(0) ?? 0;
    return code < 256 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u${code.toString(16)}`;
  });
}

/** A token's text inside a sentence: quoted, trimmed of the leading space that most tokens have. */
export function quoteToken(text: string): string {
  const trimmed = text.replace(/\r?\n/g, '⏎').replace(/\t/g, '⇥').trim();
  return `“${trimmed === '' ? showToken(text) : trimmed}”`;
}

/** The text of an output's token, out of the label that the generators write. */
export function logitText(node: GraphNode): string {
  const match = /^(?:Output|Logit)?\s*"([\s\S]*)"\s*(?:\(p=[^)]*\))?\s*$/.exec(node.label);
  return match ? match[1] : node.label.replace(/\s*\(p=[^)]*\)\s*$/, '');
}

/** What the node is called when it stands alone: edited label, file label, set label, or what it is. */
export function nodeName(index: GraphIndex, node: number, view: GraphView, labels: SetLabels): string {
  return givenLabel(index, node, view, labels)?.label ?? plainName(index, node);
}

/** The label somebody gave to the node and where it is from; null when nobody did. */
export function givenLabel(
  index: GraphIndex,
  node: number,
  view: GraphView,
  labels: SetLabels,
): { label: string; source: string } | null {
  const { id, kind, label, layer, feature } = index.graph.nodes[node];
  const edited = view.labels[id];
  if (edited) return { label: edited, source: 'edited by you' };
  if (kind !== 'feature' && kind !== 'attention') return null;
  const fromSet = feature === null ? undefined : labels.get(featureKey(layer, feature));
  // A trace keeps the set's labels of its day: where they are still the set's, so is what they were made from.
  if (label !== '') return { label, source: fromSet?.label === label ? fromSet.source : 'from the graph file' };
  return fromSet && fromSet.label !== '' ? { label: fromSet.label, source: fromSet.source } : null;
}

/** What a node is, without any label: "Feature 24 · layer 1". */
export function plainName(index: GraphIndex, node: number): string {
  const { kind, layer, pos, feature, label } = index.graph.nodes[node];
  const token = index.graph.metadata.promptTokens[pos] ?? '';
  switch (kind) {
    case 'token':
      return quoteToken(token);
    case 'logit':
      return quoteToken(logitText(index.graph.nodes[node]));
    case 'error':
      return `Error · layer ${layer}`;
    case 'attention error':
      return `Attention error · layer ${layer}`;
    case 'feature':
      return `Feature ${feature ?? '?'} · layer ${layer}`;
    case 'attention':
      return `Attention feature ${feature ?? '?'} · layer ${layer}`;
    default:
      return label === '' ? `${kind === 'bias' ? 'Bias' : 'Node of an unknown kind'} · layer ${layer}` : label;
  }
}

/** One sentence for screen readers and tooltips: what it is, where, and how much it matters. */
export function describeNode(index: GraphIndex, node: number, view: GraphView, labels: SetLabels): string {
  const { kind, pos, layer, feature, probability } = index.graph.nodes[node];
  const name = nodeName(index, node, view, labels);
  const influence = `${percent(index.influence[node])} of the answer passes through it`;
  if (kind === 'token') return `Token ${name}, position ${pos}, ${influence}`;
  if (kind === 'logit') return `Output ${name}, probability ${percent(probability ?? 0)}`;
  const at = `at token ${quoteToken(index.graph.metadata.promptTokens[pos] ?? '')}`;
  const plain = plainName(index, node);
  if (kind === 'feature' && name !== plain) return `${name}, feature ${feature}, layer ${layer}, ${at}, ${influence}`;
  return `${plain.replace(' · ', ', ')}, ${at}, ${influence}`;
}

/** A signed share: "+12 %", "−3.1 %". */
export function signedPercent(share: number): string {
  return `${share < 0 ? '−' : '+'}${percent(Math.abs(share))}`;
}

/** A number with three significant digits and no exponent for ordinary sizes. */
export function shortNumber(value: number): string {
  if (!Number.isFinite(value)) return '–';
  if (value === 0) return '0';
  const size = Math.abs(value);
  if (size >= 1e5 || size < 1e-3) return value.toExponential(1);
  return String(Number(value.toPrecision(3))).replace('-', '−');
}

/** "1 node", "12 nodes". */
export function plural(count: number, one: string, many = `${one}s`): string {
  return `${countText(count)} ${count === 1 ? one : many}`;
}

/** 12345 → "12,345". Without the browser's own formatter, whose first use would hold up the first picture. */
export function countText(count: number): string {
  return String(count).replace(/\B(?=(?:\d{3})+$)/g, ',');
}
