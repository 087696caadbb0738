/**
 * What the rest of the engine knows of a model: its dimensions, its weights by role, and what one forward pass leaves.
 * Families differ only by the data behind these types (`families.ts`).
 */

/** Roles of the weight tensors, the same for every family. Projections are stored [out, in], as Linear layers are. */
export type LayerWeight =
  | 'attnNorm'
  | 'query'
  | 'key'
  | 'value'
  | 'attnOutput'
  | 'postAttnNorm'
  | 'mlpNorm'
  | 'postMlpNorm';
export type ModelWeight = 'embedding' | 'finalNorm' | 'unembedding';

export type ModelDimensions = {
  readonly family: string;
  readonly nLayers: number;
  readonly dModel: number;
  readonly nHeads: number;
  readonly nKeyValueHeads: number;
  readonly dHead: number;
  readonly dVocab: number;
  readonly maxPositions: number;
};

/** Weights used where they lie: read from the file when asked for, widened to float32, never kept twice. */
export type Weights = {
  /**
   * A layer's tensor in float32, in `target` when given (reused buffers), else in a new array. Norm gains come as the
   * factor that multiplies (Gemma: 1 + weight). `attnOutput` is [dModel, head·dHead], `value` is [kvHead·dHead, dModel].
   * Null when the family has no such tensor (postAttnNorm, postMlpNorm outside Gemma).
   */
  readonly layer: (layer: number, role: LayerWeight, target?: Float32Array) => Float32Array | null;
  /** Rows [from, to) of a two-dimensional model tensor, or the whole norm gain, in float32. */
  readonly model: (role: ModelWeight, from?: number, to?: number, target?: Float32Array) => Float32Array;
};

/** What an attention pattern is made from again in parts: entry = exp(score − logSum), score = query · key, capped. */
export type AttentionFactors = {
  readonly nPos: number;
  /** [head, pos, dHead] rotated and scaled */
  readonly queries: Float32Array;
  /** [kvHead, pos, dHead] rotated */
  readonly keys: Float32Array;
  /** [head, pos] logarithm of the sum that the softmax divides by */
  readonly logSums: Float32Array;
  /** A query sees only this many last positions; null: all. */
  readonly window: number | null;
  /** Scores are capped to ± this by tanh; null: not. */
  readonly softCap: number | null;
};

/** What one layer leaves for attribution. All float32, row-major. */
export type LayerCapture = {
  /**
   * [head, pos (query), pos (key)]; rows sum to 1, or to less where the family has attention sinks. Empty where it was
   * not kept, and for long prompts, where parts of it are made from `attnFactors`.
   */
  readonly attnPattern: Float32Array;
  /** What `patternBlock` makes parts of the pattern from; null where `attnPattern` is kept. */
  readonly attnFactors: AttentionFactors | null;
  /** [pos] 1/√(mean square + ε) at the attention's input norm; multiplied by the gain it carries a gradient back. */
  readonly attnNormScale: Float32Array;
  /** [pos] the same at the norm after attention (Gemma), else null. */
  readonly postAttnNormScale: Float32Array | null;
  /** [pos] the same at the norm before the MLP. */
  readonly mlpNormScale: Float32Array;
  /** [pos] the same at the norm after the MLP (Gemma), else null. */
  readonly postMlpNormScale: Float32Array | null;
  /** [pos, dModel] residual stream after attention: `hook_resid_mid`. */
  readonly residMid: Float32Array;
  /** [pos, dModel] the MLP's own output: `mlp.hook_out`. */
  readonly mlpOut: Float32Array;
  /** [pos, dModel] what is added to the residual stream: `hook_mlp_out`. The same array as mlpOut where there is no norm between. */
  readonly mlpAdded: Float32Array;
};

export type ForwardResult = {
  readonly nPos: number;
  /** [pos, dModel] embedding rows as they enter the residual stream (Gemma: times √dModel). */
  readonly tokenVectors: Float32Array;
  readonly layers: readonly LayerCapture[];
  /** [pos, dModel] the residual stream after the last layer, before the final norm. */
  readonly residFinal: Float32Array;
  /** [pos] 1/√(mean square + ε) at the final norm. */
  readonly finalNormScale: Float32Array;
  /** [pos, dVocab] after the final soft cap, for 'all'; [1, dVocab] of the last position for 'last'; empty for 'none'. */
  readonly logits: Float32Array;
};

/** Hooks into a forward pass: what interventions, and nothing else, need. */
export type ForwardOptions = {
  readonly logits: 'all' | 'last' | 'none';
  readonly signal?: AbortSignal;
  /** Called between layers. */
  readonly onProgress?: (done: number, total: number) => void;
  /** Attention patterns of another run, by layer, to use instead of computing them. */
  readonly frozenPatterns?: ((layer: number) => Float32Array) | null;
  /** Norm scales of another run to use instead of computing them. */
  readonly frozenNorms?: ForwardResult | null;
  /**
   * Called after attention of each layer with the residual stream there; the result, if any, replaces what the MLP
   * would add to the residual stream (`hook_mlp_out`). `added` computes the model's own when it is wanted.
   */
  readonly replaceMlp?: (
    layer: number,
    residMid: Float32Array,
    mlpNormScale: Float32Array,
    added: () => Promise<{ readonly mlpOut: Float32Array; readonly mlpAdded: Float32Array }>,
    /** What an output [pos, dModel] of the MLP itself would add: through the norm after it, where there is one. */
    addedFrom: (mlpOut: Float32Array) => Float32Array,
  ) => Promise<Float32Array | null>;
  /** Runs the ids as continuation of the cached positions, and puts their keys and values into the cache. */
  readonly cache?: KeyValueCache;
  /** Default true. False: `attnPattern` is left empty, which saves memory when only logits are wanted. */
  readonly keepsPatterns?: boolean;
  /** Gives the array for each layer's pattern, such as one that worker threads see; absent: memory of this thread alone. */
  readonly newPattern?: (length: number) => Float32Array;
};

/** Keys and values of positions that have been run, for generation. Made by `createCache`, filled by `forward`. */
export type KeyValueCache = {
  /** Positions in the cache. */
  length: number;
  /** Opaque: only the model reads it. */
  readonly layers: unknown[];
};

export type LanguageModel = {
  readonly folder: string;
  readonly dimensions: ModelDimensions;
  readonly weights: Weights;
  /**
   * Runs the model on the ids; UserError when there are more than `maxPositions` or an id is outside the vocabulary.
   * Calls wait for each other: the layers share their buffers. (So `replaceMlp` must not call `forward`.)
   * With a cache, attention patterns are [head, pos, keys], keys counting the cached positions too.
   */
  readonly forward: (ids: readonly number[], options: ForwardOptions) => Promise<ForwardResult>;
  /**
   * Logits [pos, dVocab] of residual streams [pos, dModel] taken at any depth, through the final norm and soft cap: the
   * logit lens (nostalgebraist 2020).
   */
  readonly readOut: (resid: Float32Array, signal?: AbortSignal) => Promise<Float32Array>;
  readonly createCache: () => KeyValueCache;
  /** Keeps weights in memory as float32 until disposed of, where the model is small enough: for many runs in a row. */
  readonly holdWeights: () => Disposable;
  readonly [Symbol.dispose]: () => void;
};
