declare const nodeIdBrand: unique symbol;

/** Opaque text that names one node within one graph. Never parsed: layer, position and feature are fields. */
export type NodeId = string & { readonly [nodeIdBrand]: 'NodeId' };

/** Where a transcoder feature sits: a layer, a token position, and the feature's index in that layer. */
export type Site = { readonly layer: number; readonly pos: number; readonly feature: number };

/**
 * What a node stands for.
 * - `feature`: a transcoder feature (per-layer or cross-layer) active at a position
 * - `error`: what the transcoder leaves unexplained of one MLP output
 * - `token`: the embedding of an input token
 * - `logit`: an explained output
 * - `attention`, `attention error`: attention features of other generators, drawn but never computed here
 * - `bias`, `unknown`: kinds read from other tools' files, drawn as neutral nodes
 */
export type NodeKind = 'feature' | 'error' | 'token' | 'logit' | 'attention' | 'attention error' | 'bias' | 'unknown';

export type GraphNode = {
  readonly id: NodeId;
  readonly kind: NodeKind;
  /** 0…nLayers−1 for features and errors; −1 for tokens; nLayers for logits. */
  readonly layer: number;
  readonly pos: number;
  /** Feature index in its layer; vocabulary id for tokens and logits (custom targets: vocabulary size + i); null otherwise. */
  readonly feature: number | null;
  /** The words shown for the node; empty when nothing is known. Untrusted text. */
  readonly label: string;
  readonly activation: number | null;
  /** Cumulative share of total influence held by this node and all with more: small = important. Null when unknown. */
  readonly influence: number | null;
  /** Probability of a logit's token; null for other kinds. */
  readonly probability: number | null;
  /** True for the first (explained) logit. */
  readonly isTarget: boolean;
};

/** The indices of all nodes of the same feature, at whatever token; of another kind of node, itself alone. */
export function nodesOfFeature(nodes: readonly GraphNode[], node: number): number[] {
  const { kind, layer, feature } = nodes[node];
  if ((kind !== 'feature' && kind !== 'attention') || feature === null) return [node];
  return nodes.flatMap((other, index) =>
    other.kind === kind && other.layer === layer && other.feature === feature ? [index] : [],
  );
}
