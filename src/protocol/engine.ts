import type { CircuitGraph } from '../graph/circuitGraph.ts';
import type { PatchedNodes } from '../graph/interventions.ts';
import type { Site } from '../graph/node.ts';
import type { GraphWeights } from '../graph/weights.ts';
import type { PositionChoice } from './positions.ts';

/** Spoken first by both sides; a mismatch means that the window runs an older half of the extension. */
export const engineProtocolVersion = 1;

/** A model folder and the transcoder set that replaces its MLPs. Absolute folders; the set may be absent for plain runs. */
export type ModelPair = { readonly model: string; readonly transcoders: string | null };

export type DeviceChoice = 'auto' | 'cpu' | 'cuda' | 'webgpu' | 'dml' | 'coreml';

export type Token = {
  readonly id: number;
  /** The token's text as decoded on its own; bytes that are no whole character are shown as \xNN. */
  readonly text: string;
  /** Half-open range of UTF-16 units in the given text; null for tokens that were put in front. */
  readonly range: readonly [number, number] | null;
};

export type Prompt =
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'tokens'; readonly ids: readonly number[] }
  /** Role messages, rendered through the model's chat template. */
  | { readonly type: 'chat'; readonly messages: readonly { readonly role: string; readonly content: string }[] };

/** What the graph explains. */
export type Targets =
  | { readonly type: 'top' }
  | { readonly type: 'ids'; readonly ids: readonly number[] }
  | { readonly type: 'texts'; readonly texts: readonly string[] }
  /** Logit of `a` minus logit of `b`; each a token text. */
  | { readonly type: 'difference'; readonly a: string; readonly b: string }
  | {
      readonly type: 'directions';
      readonly directions: readonly {
        readonly label: string;
        readonly probability: number;
        readonly vector: Float32Array;
      }[];
    };

export type AttributionSettings = {
  readonly maxLogits: number;
  readonly logitProbability: number;
  readonly batchSize: number;
  /** How many ranking batches between two influence rankings when features are limited. */
  readonly updateInterval: number;
  /**
   * A number: that many; 'all': every active feature; 'adaptive': until those left carry less than `adaptiveShare`, or are
   * none that the graph would keep.
   */
  readonly maxFeatureNodes: number | 'all' | 'adaptive';
  readonly adaptiveShare: number;
  readonly nodeThreshold: number;
  readonly edgeThreshold: number;
};

export const defaultAttribution: AttributionSettings = {
  maxLogits: 10,
  logitProbability: 0.95,
  batchSize: 256,
  updateInterval: 4,
  maxFeatureNodes: 'adaptive',
  adaptiveShare: 0.02,
  nodeThreshold: 0.8,
  edgeThreshold: 0.98,
};

export type TraceRequest = {
  readonly pair: ModelPair;
  readonly prompt: Prompt;
  readonly targets: Targets;
  /** Which of the prompt's positions the trace is about; absent: all. */
  readonly positions?: PositionChoice;
  readonly settings: AttributionSettings;
  /** What of the graph is kept for the panel, wider than what it shows first. */
  readonly keep: { readonly nodeThreshold: number; readonly edgeThreshold: number };
  readonly device: DeviceChoice;
  readonly slug: string;
};

export type Phase =
  | 'load model'
  | 'tokenize'
  | 'forward'
  | 'features'
  | 'targets'
  | 'direct effects'
  | 'influence'
  | 'prune'
  | 'own text'
  | 'lens'
  | 'generate';

export type Progress = {
  readonly phase: Phase;
  readonly done: number;
  readonly total: number;
  /** While text is generated: the token that was just chosen, without the edits or with them. */
  readonly token?: Prediction & { readonly run: 'before' | 'after' };
};

export type Prediction = { readonly id: number; readonly text: string; readonly probability: number };

export type TraceResult = {
  readonly graph: CircuitGraph;
  readonly tokens: readonly Token[];
  /** The model's most likely next tokens, most likely first. */
  readonly predictions: readonly Prediction[];
  /** Milliseconds by phase, in order. */
  readonly phases: readonly { readonly phase: Phase; readonly milliseconds: number }[];
  /** Active features whose inputs were computed. */
  readonly attributedFeatures: number;
  /** Share of the influence that ends at, or passes through, active features that were not attributed; 0 when all were. */
  readonly unexpandedInfluence: number;
  /** Whether what such features hand on was estimated, and counts in influence and scores; else it ends at them. */
  readonly isRestEstimated: boolean;
  /** Sum of |weight| of edges that were not stored, as a share of all; 0 when all were. */
  readonly droppedEdgeWeight: number;
  /** Mean share of the MLP outputs' variance that the transcoders explain on this prompt, by layer. */
  readonly explainedVariance: readonly number[];
  readonly device: string;
  readonly warnings: readonly string[];
};

export type Tokenized = { readonly tokens: readonly Token[]; readonly warnings: readonly string[] };

export type FeatureExample = {
  readonly tokens: readonly string[];
  readonly activations: readonly number[];
  /** Index of the token the example was chosen for; null when unknown. */
  readonly peak: number | null;
};

export type FeatureCard = {
  readonly layer: number;
  readonly feature: number;
  readonly label: string;
  /** What the label was made from; empty when there is no label. */
  readonly labelSource: string;
  readonly quantiles: readonly { readonly name: string; readonly examples: readonly FeatureExample[] }[];
  readonly topLogits: readonly string[];
  readonly bottomLogits: readonly string[];
  /** 'file': logits from the set's example files; 'computed': decoder · unembedding, here and now. */
  readonly logitsFrom: 'file' | 'computed';
  readonly activationFrequency: number | null;
  readonly histogram: readonly number[];
  readonly quantileValues: readonly number[];
  readonly activationMin: number | null;
  readonly activationMax: number | null;
  /** Where the examples are from, in words for the reader; absent without examples. */
  readonly examplesFrom?: string;
  /** What the feature does on the reader's own texts, where they asked for it. */
  readonly ownText?: OwnText;
};

/** What the reader's own texts say of a feature, in the fields of its card. */
export type OwnExamples = Pick<
  FeatureCard,
  | 'layer'
  | 'feature'
  | 'quantiles'
  | 'activationFrequency'
  | 'histogram'
  | 'quantileValues'
  | 'activationMin'
  | 'activationMax'
>;

export type OwnText = Omit<OwnExamples, 'layer' | 'feature'> & {
  /** Which texts: "12 files of your workspace, 8,431 tokens, 22 Nov 2026". */
  readonly source: string;
};

export type CollectRequest = {
  readonly pair: ModelPair;
  readonly texts: readonly { readonly name: string; readonly text: string }[];
  readonly features: readonly { readonly layer: number; readonly feature: number }[];
  /** Of longer texts, evenly spread stretches are read until there are so many. */
  readonly maxTokens: number;
  readonly device: DeviceChoice;
};

export type CollectResult = {
  /** One for each feature that the set has, with empty lists where it never fires. */
  readonly features: readonly OwnExamples[];
  /** Texts of which something was read. */
  readonly texts: number;
  /** Tokens that were read, and that the texts have in all. */
  readonly tokens: number;
  readonly tokensGiven: number;
  readonly milliseconds: number;
};

/** What a folder holds, found by its files and tensor names. */
export type ModelDescription = {
  readonly folder: string;
  readonly family: string;
  readonly name: string;
  readonly nLayers: number;
  readonly dModel: number;
  readonly dVocab: number;
  readonly maxPositions: number;
  readonly parameters: number;
  readonly weightBytes: number;
  readonly storedType: string;
};
export type SetDescription = {
  readonly folder: string;
  readonly kind: 'per-layer' | 'cross-layer';
  readonly layout: string;
  readonly activation: 'relu' | 'jumprelu' | 'topk' | 'groupmax';
  readonly nLayers: number;
  readonly featuresPerLayer: number;
  readonly inputHook: string;
  readonly outputHook: string;
  readonly hasSkip: boolean;
  readonly hasExamples: boolean;
  readonly weightBytes: number;
  readonly scan: string;
};
export type EngineStatus = {
  readonly version: string;
  readonly loaded: { readonly model: ModelDescription; readonly set: SetDescription | null } | null;
  readonly device: string;
  readonly deviceReason: string;
  /** Resident memory of the engine process, bytes, less evictable file pages where the system tells. */
  readonly ownBytes: number;
};

/** One change to the features of a run. Position: one, a half-open range, or open-ended (`stop: null`). */
export type Intervention = {
  readonly layer: number;
  readonly feature: number;
  readonly pos: number | { readonly start: number; readonly stop: number | null };
  /** set: the activation becomes `value`; scale: times `value`; add: plus `value`; ablate: 0. */
  readonly kind: 'set' | 'scale' | 'add' | 'ablate';
  readonly value: number;
};

/**
 * Activations taken from another prompt: the features that are on in either become what they are in that prompt.
 * `pos` null: at every position, where both prompts must have as many tokens. `layer`, `feature` null: all.
 */
export type Patch = {
  readonly prompt: Prompt;
  readonly pos: number | null;
  /** The position in the other prompt; null: the same. */
  readonly fromPos: number | null;
  readonly layer: number | null;
  readonly feature: number | null;
  /** Which nodes: features where absent; 'errors', what the transcoders leave unexplained; or both. */
  readonly nodes?: PatchedNodes;
};

/** What the transcoders leave unexplained of one layer's output at one position, times `factor`. */
export type ErrorEdit = { readonly layer: number; readonly pos: number; readonly factor: number };

export type InterveneRequest = {
  readonly pair: ModelPair;
  readonly prompt: Prompt;
  /** If one feature is named twice at a position the last holds. */
  readonly interventions: readonly Intervention[];
  /** Applied before the interventions. */
  readonly patches?: readonly Patch[];
  /** Of two at one place the last holds; one wins over a patch. Prompt positions only. */
  readonly errors?: readonly ErrorEdit[];
  readonly freezeAttention: boolean;
  /** Layers whose other features and errors stay as in the original run; null: none. */
  readonly constrainedLayers: readonly number[] | null;
  readonly topTokens: number;
  /** Tokens to generate after the prompt; 0: only the next-token prediction. */
  readonly newTokens: number;
  readonly sampling: { readonly temperature: number; readonly topP: number; readonly seed: number } | null;
  readonly device: DeviceChoice;
};

export type InterveneResult = {
  /** The most likely next tokens of both runs, without the edits; then the same tokens with them. Each most likely first. */
  readonly before: readonly Prediction[];
  readonly after: readonly Prediction[];
  readonly generatedBefore: readonly Prediction[];
  readonly generatedAfter: readonly Prediction[];
  /** Features that changed most at the prompt's positions, largest change first. */
  readonly changed: readonly {
    readonly layer: number;
    readonly pos: number;
    readonly feature: number;
    readonly before: number;
    readonly after: number;
  }[];
  readonly milliseconds: number;
};

export type InspectRequest = {
  readonly pair: ModelPair;
  readonly prompt: Prompt;
  /** The first and last token position to look at; null: as many of the last ones as can be looked at in one go. */
  readonly positions: readonly [first: number, last: number] | null;
  readonly topFeatures: number;
  readonly topTokens: number;
  readonly device: DeviceChoice;
};

/** What one layer does at one position. Norms are Euclidean lengths of residual-stream vectors. */
export type LayerInspection = {
  readonly layer: number;
  /** Of the residual stream as the layer reads it. */
  readonly residNorm: number;
  /** Of what attention adds. */
  readonly attentionNorm: number;
  /** Of what the MLP adds. */
  readonly mlpNorm: number;
  /** Of what the transcoder leaves unexplained; null at special positions and without a set. */
  readonly errorNorm: number | null;
  readonly activeFeatures: number;
  /** Largest activations first. */
  readonly features: readonly { readonly feature: number; readonly activation: number; readonly label: string }[];
  /** What the model would say if it stopped after this layer (logit lens). */
  readonly lens: readonly Prediction[];
};

export type Inspection = {
  /** All of the prompt's. */
  readonly tokens: readonly Token[];
  /** The position of `columns[0]`. */
  readonly first: number;
  /** [position − first][layer] */
  readonly columns: readonly (readonly LayerInspection[])[];
};

/** A claim of a graph: what the sources, taken together, do to the target. */
export type Claim = {
  readonly sources: readonly Site[];
  readonly target:
    | { readonly type: 'feature'; readonly layer: number; readonly pos: number; readonly feature: number }
    /** The token's logit at the last position, less the mean of all logits. */
    | { readonly type: 'logit'; readonly id: number };
  /** Sum of the graph's edges from the sources to the target. */
  readonly weight: number;
};

export type VerifyRequest = {
  readonly pair: ModelPair;
  readonly prompt: Prompt;
  readonly claims: readonly Claim[];
  /** The sources' activations are multiplied by it: 0 turns them off. Not 1. */
  readonly factor: number;
  /** Features of the subgraph whose faithfulness is asked: all others are turned off. Null: not asked. */
  readonly kept: readonly Site[] | null;
  readonly device: DeviceChoice;
};

export type VerifiedClaim = {
  /** (factor − 1) · weight: what the graph says the target changes by. */
  readonly predicted: number;
  /** What it changes by with everything else frozen, as the graph's method assumes. */
  readonly frozen: number;
  /** What it changes by with nothing frozen: in the model as it is. */
  readonly free: number;
  /** By `VerifyResult.rule`. */
  readonly verdict: 'verified' | 'contradicted';
};

export type VerifyResult = {
  readonly claims: readonly VerifiedClaim[];
  /** The rule behind the verdicts, in words. */
  readonly rule: string;
  /** Pearson's correlation of predicted and measured changes; null for fewer than three claims. */
  readonly correlationFrozen: number | null;
  readonly correlationFree: number | null;
  /** Share of claims whose free change has the predicted sign; null without claims. */
  readonly signAgreement: number | null;
  /** The most likely token and its probability: as it is, with only the kept features left on, and with all turned off. */
  readonly survival: {
    readonly token: Prediction;
    readonly withKept: number;
    readonly withNone: number;
  } | null;
  readonly milliseconds: number;
};

/** Every call the engine answers. A new call is one line here and one function in `engine/calls.ts`. */
export type EngineCalls = {
  status: { params: Record<string, never>; result: EngineStatus; progress: never };
  inspectModel: { params: { readonly folder: string }; result: ModelDescription; progress: never };
  inspectTranscoders: { params: { readonly folder: string }; result: SetDescription; progress: never };
  tokenize: { params: { readonly pair: ModelPair; readonly prompt: Prompt }; result: Tokenized; progress: never };
  /** Which weights the pair's folders hold now. */
  weights: { params: { readonly pair: ModelPair }; result: GraphWeights; progress: never };
  /** Directions of the user's own, from a file of vectors as wide as the model in `folder`. */
  readDirections: {
    params: { readonly folder: string; readonly file: string };
    result: readonly { readonly label: string; readonly vector: Float32Array }[];
    progress: never;
  };
  trace: { params: TraceRequest; result: TraceResult; progress: Progress };
  featureCard: {
    params: {
      readonly pair: ModelPair;
      readonly layer: number;
      readonly feature: number;
      /** JSON text of the feature's examples as the set's makers host it, for folders that have none. Untrusted. */
      readonly hosted?: string;
    };
    result: FeatureCard;
    progress: never;
  };
  featureLabels: {
    params: { readonly pair: ModelPair };
    result: readonly {
      readonly layer: number;
      readonly feature: number;
      readonly label: string;
      readonly source: string;
    }[];
    progress: never;
  };
  /** Reads a graph file too large to parse in the window's own process. */
  readGraph: {
    params: { readonly bytes: Uint8Array };
    result: { readonly graph: CircuitGraph; readonly warnings: readonly string[] };
    progress: never;
  };
  /** What features do on the reader's own texts. */
  collectExamples: { params: CollectRequest; result: CollectResult; progress: Progress };
  inspectActivations: { params: InspectRequest; result: Inspection; progress: Progress };
  intervene: { params: InterveneRequest; result: InterveneResult; progress: Progress };
  verify: { params: VerifyRequest; result: VerifyResult; progress: Progress };
  unload: { params: Record<string, never>; result: null; progress: never };
};
