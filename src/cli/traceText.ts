import type { CircuitGraph } from '../graph/circuitGraph.ts';
import type { GraphNode } from '../graph/node.ts';
import { strongestPaths } from '../graph/paths.ts';
import { percent } from '../graph/percent.ts';
import { weightsText } from '../graph/weights.ts';
import type { TraceResult } from '../protocol/engine.ts';

const nPaths = 8;

/** A trace as text for a terminal. */
export function traceText(result: TraceResult, loadMilliseconds: number): string {
  const { graph, predictions, tokens, phases } = result;
  const { scores, activeFeatures, pruning, weights } = graph.metadata;
  const kept = (kind: GraphNode['kind']) => graph.nodes.filter((node) => node.kind === kind).length;
  const lines = [
    `Tokens: ${tokens.map(({ text }) => shown(text)).join(' ')}`,
    '',
    'Predictions',
    ...predictions.slice(0, 5).map(({ text, probability }) => `  ${probability.toFixed(4)}  ${shown(text)}`),
    '',
    `Replacement score   ${scores?.replacement.toFixed(4)}`,
    `Completeness score  ${scores?.completeness.toFixed(4)}`,
    `Active features     ${activeFeatures}`,
    `Kept                ${graph.nodes.length} nodes (${kept('feature')} features, ${kept('error')} errors, ${kept('token')} tokens, ${kept('logit')} logits), ${graph.edges.weight.length} edges, at ${pruning?.nodeThreshold} of the influence of nodes and ${pruning?.edgeThreshold} of edges`,
    `Attributed features ${result.attributedFeatures}`,
    `Not attributed      features that hold ${percent(result.unexpandedInfluence, 1)} of the influence${estimated(result)}`,
    `Variance explained  ${result.explainedVariance.map((share) => share.toFixed(2)).join(' ')} (by layer)`,
    ...(weights === undefined ? [] : [`Weights             ${weightsText(weights)}`]),
    '',
    `Strongest paths to ${shown(outputText(graph))}`,
    ...pathLines(graph),
    '',
    `Time: load ${seconds(loadMilliseconds)}, ${phases.map(({ phase, milliseconds }) => `${phase} ${seconds(milliseconds)}`).join(', ')}`,
    ...result.warnings.map((warning) => `Note: ${warning}`),
  ];
  return `${lines.join('\n')}\n`;
}

function estimated({ isRestEstimated }: TraceResult): string {
  return isRestEstimated
    ? '; of those that are nodes all the same, what they hand on is estimated from attributed features beside them'
    : '';
}

function pathLines(graph: CircuitGraph): string[] {
  const output = graph.nodes.findIndex((node) => node.isTarget);
  const paths = output < 0 ? [] : strongestPaths(graph, output, nPaths);
  if (paths.length === 0) return ['  none'];
  return paths.map(({ nodes, share, sign }) => {
    const names = nodes.map((node) => nodeName(graph, graph.nodes[node]));
    return `  ${percent(share, 1).padStart(7)} ${sign > 0 ? '+' : '−'}  ${names.join(' → ')}`;
  });
}

function nodeName(graph: CircuitGraph, node: GraphNode): string {
  const at = `${shown(graph.metadata.promptTokens[node.pos] ?? '')}${node.pos}`;
  if (node.kind === 'feature')
    return `L${node.layer}/${node.feature}${node.label ? ` ${shown(node.label)}` : ''} at ${at}`;
  if (node.kind === 'error') return `error L${node.layer} at ${at}`;
  return node.kind === 'token' ? `${shown(node.label)}${node.pos}` : shown(node.label);
}

function outputText(graph: CircuitGraph): string {
  return graph.nodes.find((node) => node.isTarget)?.label ?? '';
}

/** Quoted, with control characters spelled out: token texts are not to be trusted with a terminal. */
function shown(text: string): string {
  return JSON.stringify(text).replace(
    /[\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

function seconds(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(2)} s`;
}
