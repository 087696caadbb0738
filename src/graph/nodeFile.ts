import { pairFeature } from './featureNumber.ts';
import type { GraphNode, NodeKind } from './node.ts';

/** Kinds by `feature_type`. */
export const kindOfType: ReadonlyMap<string, NodeKind> = new Map([
  ['cross layer transcoder', 'feature'],
  ['transcoder', 'feature'],
  ['unexplored node', 'feature'],
  ['mlp reconstruction error', 'error'],
  ['embedding', 'token'],
  ['logit', 'logit'],
  ['lorsa', 'attention'],
  ['lorsa error', 'attention error'],
  ['bias', 'bias'],
  ['unknown', 'unknown'],
]);

/** `feature_type` by kind, as circuit-tracer and Neuronpedia write it. */
export const typeOfKind: Readonly<Record<NodeKind, string>> = {
  feature: 'cross layer transcoder',
  error: 'mlp reconstruction error',
  token: 'embedding',
  logit: 'logit',
  attention: 'lorsa',
  'attention error': 'lorsa error',
  bias: 'bias',
  unknown: 'unknown',
};

/** Fields of a node in a file that `GraphNode` holds, or that follow from it. */
export const nodeFields: ReadonlySet<string> = new Set([
  'node_id',
  'feature',
  'layer',
  'ctx_idx',
  'feature_type',
  'jsNodeId',
  'clerp',
  'influence',
  'activation',
  'token_prob',
  'is_target_logit',
  'token_id',
  'run_idx',
  'reverse_ctx_idx',
]);

/** `layer` as files have it: E for tokens; logits one above the layer after the last, as circuit-tracer has them. */
export function fileLayer(node: GraphNode, nLayers: number): string {
  if (node.kind === 'logit') return String(nLayers + 1);
  return node.layer < 0 ? 'E' : String(node.layer);
}

/** `feature` as files have it: Cantor number; −1 for errors; the position for tokens; the vocabulary id for logits. */
export function fileFeature(node: GraphNode): number | null {
  if (node.kind === 'error') return -1;
  if (node.kind === 'token') return node.pos;
  if (node.feature === null) return null;
  return node.kind === 'logit' || node.layer < 0 ? node.feature : pairFeature(node.layer, node.feature);
}

/** `jsNodeId`, the key by which the original viewer joins the same feature at several tokens. */
export function fileJsNodeId(node: GraphNode): string {
  if (node.kind === 'error') return `${node.layer}_${node.pos}-0`;
  if (node.kind === 'token') return `E_${node.feature ?? 0}-${node.pos}`;
  if (node.kind === 'logit') return `L_${node.feature ?? 0}-${node.pos}`;
  return node.feature === null ? `${node.id}-0` : `${node.layer}_${node.feature}-0`;
}

/** `clerp`: the label; a logit's names its probability, without which Neuronpedia's viewer fails. */
export function fileLabel(node: GraphNode): string {
  if (node.kind !== 'logit') return node.label;
  return `Output "${node.label}" (p=${(node.probability ?? 0).toFixed(3)})`;
}

/**
 * A logit's token text and probability out of its `clerp`, as circuit-tracer (`Output "x" (p=0.1)`) and others (`Logit`,
 * single quotes) write it; the text as it is when it has another form.
 */
export function logitLabel(clerp: string): { readonly label: string; readonly probability: number | null } {
  const match = /^(?:Output|Logit|output:) (?:"([\s\S]*)"|'([\s\S]*)') \(p=([^)]*)\)$/.exec(clerp);
  const number = match?.[3] ?? /\(p=([\d.eE+-]+)\)/.exec(clerp)?.[1];
  const probability = number === undefined || number === '' ? Number.NaN : Number(number);
  return {
    label: match ? (match[1] ?? match[2]) : clerp,
    probability: probability >= 0 && probability <= 1 ? probability : null,
  };
}

/** What a `clerp` says of a node that is no logit: nothing, where the newer generator repeats the feature's number. */
export function plainLabel(clerp: string, kind: NodeKind, number: unknown): string {
  if (kind === 'token') return /^Emb: "([\s\S]*)"$/.exec(clerp)?.[1] ?? clerp;
  return (kind === 'feature' || kind === 'attention') && clerp === `F${number}` ? '' : clerp;
}

/** The vocabulary id in a token's id `E_{id}_{pos}`, where a file keeps it and nowhere else; null when it has another form. */
export function vocabularyIdIn(nodeId: string): number | null {
  const match = /^E_(\d{1,9})_\d+$/.exec(nodeId);
  return match ? Number(match[1]) : null;
}

/** The feature's index in an id `{layer}_{index}_{pos}` or `{layer}_{kind}_{index}_{pos}`; null when it has another form. */
export function featureIndexIn(nodeId: string): number | null {
  const match = /^\d+_(?:[A-Za-z]+_)?(\d{1,9})_\d+$/.exec(nodeId);
  return match ? Number(match[1]) : null;
}
