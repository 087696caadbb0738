/**
 * How model families differ, as data. One entry each: what config.json leaves unsaid, which norms, biases and extra
 * parts a layer has, and what its tensors are called. `transformer.ts` knows no family by name.
 *
 * A new family is an entry here and a tiny reference model made by `test/fixtures/make_reference.py`; the comparison with
 * plain loops (`test/engine/modelPlain.test.ts`) takes it up by itself.
 */

/** Every tensor a layer may have. Projections are stored [out, in], as Linear layers are. */
export type LayerRole =
  | 'attnNorm'
  | 'query'
  | 'queryBias'
  | 'key'
  | 'keyBias'
  | 'value'
  | 'valueBias'
  | 'attnOutput'
  | 'attnOutputBias'
  | 'queryNorm'
  | 'keyNorm'
  | 'sinks'
  | 'postAttnNorm'
  | 'mlpNorm'
  | 'gate'
  | 'gateBias'
  | 'up'
  | 'upBias'
  | 'down'
  | 'downBias'
  | 'postMlpNorm'
  | 'router'
  | 'routerBias';

export type Family = {
  readonly name: string;
  /** Values of `model_type` in config.json. */
  readonly modelTypes: readonly string[];
  /** What the models' own code assumes where config.json is silent. */
  readonly defaults: Readonly<Record<string, unknown>>;
  /** Norm gains are stored as the factor less this. */
  readonly normGainOffset: 0 | 1;
  /** Norms after attention and after the MLP, before each is added to the residual stream. */
  readonly hasPostNorms: boolean;
  /** Norms of each head's query and key before they are rotated. */
  readonly hasQueryKeyNorms: boolean;
  /** Embedding rows are multiplied by √dModel. */
  readonly scalesEmbedding: boolean;
  /** Which projections of attention have biases; 'config': all four where `attention_bias` says so. */
  readonly attentionBias: 'none' | 'query key value' | 'config';
  /** A learned score per head that takes part in the softmax and carries nothing. */
  readonly hasSinks: boolean;
  /** The MLP is a mixture of experts with a router. */
  readonly hasExperts: boolean;
  /** Layers with a sliding window turn by `rope_local_base_freq` instead of `rope_theta`. */
  readonly hasLocalRope: boolean;
  /** Whether a layer attends within a sliding window where config.json has no `layer_types`. */
  readonly slides: (layer: number, config: Readonly<Record<string, unknown>>) => boolean;
  readonly names: Readonly<Partial<Record<LayerRole, string>>>;
};

/** Names within `model.layers.N.`, as nearly every family has them. */
const commonNames = {
  attnNorm: 'input_layernorm.weight',
  query: 'self_attn.q_proj.weight',
  queryBias: 'self_attn.q_proj.bias',
  key: 'self_attn.k_proj.weight',
  keyBias: 'self_attn.k_proj.bias',
  value: 'self_attn.v_proj.weight',
  valueBias: 'self_attn.v_proj.bias',
  attnOutput: 'self_attn.o_proj.weight',
  attnOutputBias: 'self_attn.o_proj.bias',
  queryNorm: 'self_attn.q_norm.weight',
  keyNorm: 'self_attn.k_norm.weight',
  mlpNorm: 'post_attention_layernorm.weight',
  gate: 'mlp.gate_proj.weight',
  gateBias: 'mlp.gate_proj.bias',
  up: 'mlp.up_proj.weight',
  upBias: 'mlp.up_proj.bias',
  down: 'mlp.down_proj.weight',
  downBias: 'mlp.down_proj.bias',
} as const;

const gemmaNames = {
  ...commonNames,
  postAttnNorm: 'post_attention_layernorm.weight',
  mlpNorm: 'pre_feedforward_layernorm.weight',
  postMlpNorm: 'post_feedforward_layernorm.weight',
} as const;

const llama: Family = {
  name: 'Llama',
  modelTypes: ['llama'],
  defaults: { rms_norm_eps: 1e-6, rope_theta: 10000, max_position_embeddings: 2048, hidden_act: 'silu' },
  normGainOffset: 0,
  hasPostNorms: false,
  hasQueryKeyNorms: false,
  scalesEmbedding: false,
  attentionBias: 'config',
  hasSinks: false,
  hasExperts: false,
  hasLocalRope: false,
  slides: () => false,
  names: commonNames,
};

const mistral: Family = {
  ...llama,
  name: 'Mistral',
  modelTypes: ['mistral'],
  defaults: { ...llama.defaults, max_position_embeddings: 131072, num_key_value_heads: 8, sliding_window: 4096 },
  attentionBias: 'none',
  slides: () => true,
};

const qwen2: Family = {
  ...llama,
  name: 'Qwen 2',
  modelTypes: ['qwen2'],
  defaults: { ...llama.defaults, max_position_embeddings: 32768, sliding_window: 4096 },
  attentionBias: 'query key value',
  slides: (layer, config) => config.use_sliding_window === true && layer >= numberOr(config.max_window_layers, 28),
};

const qwen3: Family = {
  ...qwen2,
  name: 'Qwen 3',
  modelTypes: ['qwen3'],
  defaults: { ...qwen2.defaults, head_dim: 128 },
  attentionBias: 'config',
  hasQueryKeyNorms: true,
};

const gemma2: Family = {
  ...llama,
  name: 'Gemma 2',
  modelTypes: ['gemma2'],
  defaults: {
    vocab_size: 256000,
    hidden_size: 2304,
    intermediate_size: 9216,
    num_hidden_layers: 26,
    num_attention_heads: 8,
    num_key_value_heads: 4,
    head_dim: 256,
    hidden_activation: 'gelu_pytorch_tanh',
    max_position_embeddings: 8192,
    rms_norm_eps: 1e-6,
    tie_word_embeddings: true,
    rope_theta: 10000,
    query_pre_attn_scalar: 256,
    sliding_window: 4096,
    final_logit_softcapping: 30,
    attn_logit_softcapping: 50,
  },
  normGainOffset: 1,
  hasPostNorms: true,
  scalesEmbedding: true,
  slides: (layer) => layer % 2 === 0,
  names: gemmaNames,
};

const gemma3: Family = {
  ...gemma2,
  name: 'Gemma 3',
  // The multimodal wrapper keeps its text part's settings in `text_config`, with the model type gemma3_text.
  modelTypes: ['gemma3_text', 'gemma3'],
  defaults: {
    ...gemma2.defaults,
    vocab_size: 262208,
    max_position_embeddings: 131072,
    rope_theta: 1_000_000,
    rope_local_base_freq: 10000,
    final_logit_softcapping: null,
    attn_logit_softcapping: null,
  },
  hasQueryKeyNorms: true,
  hasLocalRope: true,
  slides: (layer, config) =>
    (layer + 1) % numberOr(config.sliding_window_pattern ?? config._sliding_window_pattern, 6) !== 0,
};

const gptOss: Family = {
  ...llama,
  name: 'GPT-OSS',
  modelTypes: ['gpt_oss'],
  defaults: {
    rms_norm_eps: 1e-5,
    rope_theta: 150000,
    max_position_embeddings: 131072,
    head_dim: 64,
    hidden_act: 'silu',
    sliding_window: 128,
    attention_bias: true,
    num_experts_per_tok: 4,
    num_local_experts: 128,
    swiglu_limit: 7,
  },
  hasSinks: true,
  hasExperts: true,
  slides: (layer) => layer % 2 === 0,
  names: {
    ...commonNames,
    sinks: 'self_attn.sinks',
    router: 'mlp.router.weight',
    routerBias: 'mlp.router.bias',
  },
};

export const families: readonly Family[] = [llama, mistral, qwen2, qwen3, gemma2, gemma3, gptOss];

function numberOr(value: unknown, otherwise: number): number {
  return typeof value === 'number' && value > 0 ? value : otherwise;
}
