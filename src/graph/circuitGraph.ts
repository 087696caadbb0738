import type { SimilarPair } from './decoderSimilarity.ts';
import type { Interventions } from './interventions.ts';
import type { GraphNode } from './node.ts';
import type { GraphWeights } from './weights.ts';

/** Edges as parallel arrays: edge i runs from nodes[source[i]] to nodes[target[i]] with a signed direct effect. */
export type Edges = {
  readonly source: Uint32Array;
  readonly target: Uint32Array;
  readonly weight: Float32Array;
  /** 1 where a foreign file does not tell whether the edge starts at this layer-0 feature or at the error that shares its id. */
  readonly ambiguous?: Uint8Array;
};

export type GraphScores = {
  /** Share of the influence on the targets that starts at tokens and not at errors (whole graph, unpruned). */
  readonly replacement: number;
  /** Influence-weighted mean share of each node's input that is not error (whole graph, unpruned). */
  readonly completeness: number;
};

export type GenerationSettings = {
  readonly maxLogits: number;
  readonly logitProbability: number;
  readonly batchSize: number;
  /** Null: every active feature was attributed. */
  readonly maxFeatureNodes: number | null;
};

export type PruningSettings = { readonly nodeThreshold: number; readonly edgeThreshold: number };

export type Generator = { readonly name: string; readonly version: string; readonly url?: string };

export type GraphMetadata = {
  readonly slug: string;
  /** The transcoder set's reference (circuit-tracer) or Neuronpedia's model id. */
  readonly scan: string;
  readonly modelName: string;
  readonly prompt: string;
  /** Decoded token texts, one per position. Untrusted text. */
  readonly promptTokens: readonly string[];
  readonly promptTokenIds: readonly number[] | null;
  readonly nLayers: number;
  /** Null when the file does not say and they could not be computed. */
  readonly scores: GraphScores | null;
  readonly generation: GenerationSettings | null;
  readonly pruning: PruningSettings | null;
  /** Where the pruning slider starts. */
  readonly nodeThreshold: number;
  /** Number of active features before selection and pruning; null when unknown. */
  readonly activeFeatures: number | null;
  readonly generator: Generator | null;
  readonly createdAt: string | null;
  /** Absent when the file does not say. */
  readonly weights?: GraphWeights;
};

/** What the user made of the graph: kept in the file (`qParams` and our own fields), changed only in the panel. */
export type Supernode = { readonly label: string; readonly members: readonly string[] };
export type GraphView = {
  readonly pinned: readonly string[];
  readonly supernodes: readonly Supernode[];
  /** Labels by node id, edited by the user; they win over GraphNode.label. */
  readonly labels: Readonly<Record<string, string>>;
  readonly clicked: string | null;
  readonly linkType: 'input' | 'output' | 'either' | 'both';
  readonly pruningThreshold: number | null;
  /** Places of nodes in the subgraph, in thousandths of the panel. */
  readonly places: Readonly<Record<string, readonly [number, number]>>;
};

export const emptyView: GraphView = {
  pinned: [],
  supernodes: [],
  labels: {},
  clicked: null,
  linkType: 'both',
  pruningThreshold: null,
  places: {},
};

/**
 * An attribution graph: nodes in stable order (features by layer, position, feature; errors; tokens; logits) and
 * their direct effects. `nodes` may be the pruned part of a larger graph; `metadata.scores` always speaks of the whole.
 */
export type CircuitGraph = {
  readonly metadata: GraphMetadata;
  readonly nodes: readonly GraphNode[];
  readonly edges: Edges;
  readonly view: GraphView;
  /** Absent: none were made. */
  readonly interventions?: Interventions;
  /** Features that write alike, most influential pairs first. Absent: not known. */
  readonly similar?: readonly SimilarPair[];
  /** Fields of a foreign file that we do not understand: written back as they were (`foreignFields.ts` knows the shape). */
  readonly foreign: Readonly<Record<string, unknown>>;
};
