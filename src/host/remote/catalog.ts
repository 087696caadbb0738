import { estimateTrace, type Machine, type TraceEstimate } from '../../protocol/estimate.ts';

/** A model and a transcoder set that belong together, as both are published. */
export type KnownPair = {
  /** Name as its makers write it. */
  readonly name: string;
  /** Hub references (`reference.ts`). */
  readonly model: string;
  readonly transcoders: string;
  readonly kind: 'per-layer' | 'cross-layer';
  /** Bytes to download; null where only the hub knows (it is asked before a download). */
  readonly modelBytes: number | null;
  readonly transcoderBytes: number | null;
  readonly nLayers: number;
  readonly dModel: number;
  readonly dVocab: number;
  /** Null where the set does not say before it is downloaded. */
  readonly featuresPerLayer: number | null;
  /** True: its terms must be accepted on the hub, and an access token set. */
  readonly isGated: boolean;
  /** Shown first, to those who have no model yet. */
  readonly isSuggested?: true;
};

const gigabyte = 1e9;
const megabyte = 1e6;

type Size = { readonly nLayers: number; readonly dModel: number; readonly dVocab: number };

const gemma3: Readonly<Record<string, Size & { readonly modelBytes: number }>> = {
  '270m': { nLayers: 18, dModel: 640, dVocab: 262_144, modelBytes: 575 * megabyte },
  '1b': { nLayers: 26, dModel: 1152, dVocab: 262_144, modelBytes: 2 * gigabyte },
  '4b': { nLayers: 34, dModel: 2560, dVocab: 262_208, modelBytes: 8.6 * gigabyte },
  '12b': { nLayers: 48, dModel: 3840, dVocab: 262_208, modelBytes: 24.4 * gigabyte },
  '27b': { nLayers: 62, dModel: 5376, dVocab: 262_208, modelBytes: 54.9 * gigabyte },
};

const gemma2: Size = { nLayers: 26, dModel: 2304, dVocab: 256_000 };
const llama1b: Size = { nLayers: 16, dModel: 2048, dVocab: 128_256 };
const qwen = (nLayers: number, dModel: number): Size => ({ nLayers, dModel, dVocab: 151_936 });

/**
 * The pairs that people use, most modest first. Sizes are those of the published files, or of the shapes where those
 * decide it; the set's own files say the rest once they are here.
 */
export const knownPairs: readonly KnownPair[] = [
  gemmaScope2('270m', 'pt', { isSuggested: true }),
  gemmaScope2('270m', 'it'),
  gemmaScope2('1b', 'pt'),
  gemmaScope2('1b', 'it'),
  {
    ...qwen(28, 1024),
    name: 'Qwen3 0.6B',
    model: 'Qwen/Qwen3-0.6B',
    transcoders: 'mwhanna/qwen3-0.6b-transcoders-lowl0',
    kind: 'per-layer',
    modelBytes: 1.5 * gigabyte,
    transcoderBytes: 28 * 671 * megabyte,
    featuresPerLayer: 163_840,
    isGated: false,
  },
  {
    ...qwen(28, 1024),
    name: 'Qwen3 0.6B Base, cross-layer',
    model: 'Qwen/Qwen3-0.6B-Base',
    transcoders: 'bluelightai/clt-qwen3-0.6b-base-20k',
    kind: 'cross-layer',
    modelBytes: 1.2 * gigabyte,
    transcoderBytes: null,
    featuresPerLayer: 20_480,
    isGated: false,
  },
  {
    ...gemma2,
    name: 'Gemma 2 2B',
    model: 'google/gemma-2-2b',
    transcoders: 'mntss/gemma-scope-transcoders',
    kind: 'per-layer',
    modelBytes: 5.2 * gigabyte,
    transcoderBytes: 26 * 302 * megabyte,
    featuresPerLayer: 16_384,
    isGated: true,
  },
  {
    ...llama1b,
    name: 'Llama 3.2 1B',
    model: 'meta-llama/Llama-3.2-1B',
    transcoders: 'mntss/transcoder-Llama-3.2-1B',
    kind: 'per-layer',
    modelBytes: 2.5 * gigabyte,
    transcoderBytes: null,
    featuresPerLayer: 131_072,
    isGated: true,
  },
  {
    ...llama1b,
    name: 'Llama 3.2 1B, cross-layer',
    model: 'meta-llama/Llama-3.2-1B',
    transcoders: 'mntss/clt-llama-3.2-1b-524k',
    kind: 'cross-layer',
    modelBytes: 2.5 * gigabyte,
    transcoderBytes: 20.4 * gigabyte,
    featuresPerLayer: 32_768,
    isGated: true,
  },
  {
    ...qwen(28, 2048),
    name: 'Qwen3 1.7B',
    model: 'Qwen/Qwen3-1.7B',
    transcoders: 'mwhanna/qwen3-1.7b-transcoders-lowl0',
    kind: 'per-layer',
    modelBytes: 4.1 * gigabyte,
    transcoderBytes: null,
    featuresPerLayer: 163_840,
    isGated: false,
  },
  {
    ...gemma2,
    name: 'Gemma 2 2B, cross-layer 426k',
    model: 'google/gemma-2-2b',
    transcoders: 'mntss/clt-gemma-2-2b-426k',
    kind: 'cross-layer',
    modelBytes: 5.2 * gigabyte,
    transcoderBytes: 33 * gigabyte,
    featuresPerLayer: 16_384,
    isGated: true,
  },
  gemmaScope2('4b', 'pt'),
  gemmaScope2('4b', 'it'),
  {
    ...qwen(36, 2560),
    name: 'Qwen3 4B',
    model: 'Qwen/Qwen3-4B',
    transcoders: 'mwhanna/qwen3-4b-transcoders',
    kind: 'per-layer',
    modelBytes: 8 * gigabyte,
    transcoderBytes: 57 * gigabyte,
    featuresPerLayer: 163_840,
    isGated: false,
  },
  {
    ...qwen(36, 4096),
    name: 'Qwen3 8B',
    model: 'Qwen/Qwen3-8B',
    transcoders: 'mwhanna/qwen3-8b-transcoders',
    kind: 'per-layer',
    modelBytes: 16.4 * gigabyte,
    transcoderBytes: null,
    featuresPerLayer: null,
    isGated: false,
  },
  {
    nLayers: 32,
    dModel: 4096,
    dVocab: 128_256,
    name: 'Llama 3.1 8B Instruct',
    model: 'meta-llama/Llama-3.1-8B-Instruct',
    transcoders: 'facebook/crv-8b-instruct-transcoders',
    kind: 'per-layer',
    modelBytes: 16.1 * gigabyte,
    transcoderBytes: null,
    featuresPerLayer: null,
    isGated: true,
  },
  gemmaScope2('12b', 'pt'),
  gemmaScope2('12b', 'it'),
  {
    nLayers: 24,
    dModel: 2880,
    dVocab: 201_088,
    name: 'GPT-OSS 20B, cross-layer',
    model: 'openai/gpt-oss-20b',
    transcoders: 'mntss/clt-131k',
    kind: 'cross-layer',
    modelBytes: 13.8 * gigabyte,
    transcoderBytes: null,
    featuresPerLayer: null,
    isGated: false,
  },
  gemmaScope2('27b', 'pt'),
  gemmaScope2('27b', 'it'),
];

function gemmaScope2(
  size: keyof typeof gemma3,
  variant: 'pt' | 'it',
  more: { readonly isSuggested?: true } = {},
): KnownPair {
  const { modelBytes, ...shape } = gemma3[size];
  const featuresPerLayer = 16_384;
  const title = size === '270m' ? '270M' : size.toUpperCase();
  return {
    ...shape,
    ...more,
    modelBytes,
    featuresPerLayer,
    name: `Gemma 3 ${title}${variant === 'it' ? ' Instruct' : ''}`,
    // The smallest one's base model has no ending.
    model: `google/gemma-3-${size}${size === '270m' && variant === 'pt' ? '' : `-${variant}`}`,
    transcoders: `mwhanna/gemma-scope-2-${size}-${variant}/transcoder_all/width_16k_l0_small`,
    kind: 'per-layer',
    // Encoder, decoder, two biases and a threshold per layer, in float32.
    transcoderBytes: shape.nLayers * 4 * (featuresPerLayer * (2 * shape.dModel + 2) + shape.dModel),
    isGated: true,
  };
}

/** The machine that models are judged for; `freeDisk` in bytes where downloads go. */
export type HostMachine = Machine & { readonly freeDisk: number };

export type Fit = {
  /** Bytes of files; null when the hub has not been asked. */
  readonly downloadBytes: number | null;
  /** What a trace of a prompt of two sentences takes. */
  readonly trace: TraceEstimate;
  readonly verdict: 'fits' | 'slow' | 'too large' | 'no room on disk' | 'unknown';
};

/** A prompt of two sentences. */
const usualTokens = 32;

/**
 * Whether a pair can be traced here. Weights are read where they lie, so that only working memory must fit; files larger
 * than the memory are read from disk again for each trace, which is slow. The graphics card is not judged: what it
 * could take over is only known once the engine has measured it.
 */
export function fitOf(pair: KnownPair, machine: HostMachine): Fit {
  const trace = estimateTrace({ ...sizeOfPair(pair), nTokens: usualTokens, maxFeatureNodes: 'adaptive' }, machine);
  const { modelBytes, transcoderBytes } = pair;
  const downloadBytes = modelBytes === null || transcoderBytes === null ? null : modelBytes + transcoderBytes;
  return { downloadBytes, trace, verdict: verdictOf(trace, downloadBytes, machine) };
}

function verdictOf(trace: TraceEstimate, downloadBytes: number | null, machine: HostMachine): Fit['verdict'] {
  if (trace.verdict === 'over') return 'too large';
  if (downloadBytes === null) return 'unknown';
  if (downloadBytes > machine.freeDisk) return 'no room on disk';
  return trace.verdict === 'slow' || downloadBytes + trace.bytes > machine.memory ? 'slow' : 'fits';
}

/** Sizes as a trace sees them; what is not published is taken from the shapes of its kind. */
function sizeOfPair(pair: KnownPair): Pick<Parameters<typeof estimateTrace>[0], 'model' | 'set'> {
  const { nLayers, dModel, dVocab, kind } = pair;
  const parameters = nLayers * 12 * dModel ** 2 + dVocab * dModel;
  const featuresPerLayer = pair.featuresPerLayer ?? 131_072;
  const writes = kind === 'cross-layer' ? (nLayers + 1) / 2 : 1;
  const setBytes = nLayers * featuresPerLayer * dModel * (1 + writes) * 2;
  return {
    model: { nLayers, dModel, dVocab, parameters, weightBytes: pair.modelBytes ?? parameters * 2 },
    set: { kind, nLayers, featuresPerLayer, weightBytes: pair.transcoderBytes ?? setBytes },
  };
}
