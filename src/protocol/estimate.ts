import type { AttributionSettings, ModelDescription, SetDescription } from './engine.ts';
import {
  mostAdaptiveFeatures,
  mostCarryBytes,
  mostHeldModelBytes,
  mostPatternBytes,
  mostRowBytes,
  mostWrittenBytes,
  mostWrittenShare,
  pieceBatchBytes,
} from './limits.ts';

export type Machine = {
  /** Bytes of memory that all programs share. */
  readonly memory: number;
  /** Bytes of it that are free; absent: all. */
  readonly available?: number;
  readonly cores: number;
};

export type TraceEstimate = {
  /** The engine's own memory at its peak, without file pages that the system keeps as it likes. */
  readonly bytes: number;
  readonly seconds: number;
  /** What takes the memory, largest first. */
  readonly parts: readonly { readonly name: string; readonly bytes: number }[];
  /** `over`: the machine would run out of memory, and `advice` says what to change. */
  readonly verdict: 'fits' | 'slow' | 'over';
  readonly advice: string;
};

type TraceSize = {
  readonly model: Pick<ModelDescription, 'nLayers' | 'dModel' | 'dVocab' | 'parameters' | 'weightBytes'>;
  readonly set: Pick<SetDescription, 'kind' | 'nLayers' | 'featuresPerLayer' | 'weightBytes'>;
  readonly nTokens: number;
  /** Positions whose features are sources of their own; absent: all. */
  readonly nSourcePositions?: number;
  readonly maxFeatureNodes: AttributionSettings['maxFeatureNodes'];
};

const float = 4;
const megabyte = 2 ** 20;

/** The engine process before it has read anything: Node, onnxruntime and its compiled steps (measured: 190 MB). */
const baseBytes = 190 * megabyte;
/** Pieces of pre-activations, of the unembedding and of encoders (`encode.ts`, `transformer.ts`, `matrixProduct.ts`). */
const largestPiece = 64 * megabyte;
const smallPieces = 48 * megabyte;
/** Features that fire at one layer and position: published sets aim at 10 to 150. */
const activePerPlace = 60;
/** Numbers per position and layer that a forward pass leaves, in multiples of dModel: residual, MLP input and output. */
const keptPerPosition = 6;
/** The output and value projections together are about this many dModel wide in all the families. */
const attentionWidth = 1.4;

/** Adaptive mode attributes about so many features, of whatever many (measured: 1,024 to 1,433). */
const usualAdaptiveFeatures = 1536;

/** Floating-point operations a second and core, and bytes a second from files that are in the cache (measured on 2 cores). */
const operationsPerCore = 1.1e11;
const cachedBytesPerSecond = 2e9;
/** Files that exceed the memory are read from the disk each time. */
const diskBytesPerSecond = 3e8;

/** Own memory above this share of the machine's leaves too little for everything else. */
const mostOfMemory = 0.8;
/** Traces that take longer than this are said to be slow. */
const patience = 120;

/**
 * Memory and time of a trace, from sizes alone: a formula with the engine's own limits, to be right within a factor of
 * about two. The number of features that fire is not known before and is taken as 60 at each layer and position.
 * Measured against it on two cores: 135 M parameters, 32 tokens, adaptive: 0.76 GB and 8.0 s of processor time (here
 * 1.0 GB, 2 × 2.6 s); 2.6 B parameters, 8 tokens, 300 features: 0.87 GB and 14.8 s (here 0.84 GB, 2 × 5.8 s).
 */
export function estimateTrace(size: TraceSize, machine: Machine): TraceEstimate {
  const parts = memoryParts(size, machine).sort((a, b) => b.bytes - a.bytes);
  const bytes = parts.reduce((sum, part) => sum + part.bytes, 0);
  const seconds = timeOf(size, machine);
  const verdict = bytes > mostOfMemory * machine.memory ? 'over' : seconds > patience ? 'slow' : 'fits';
  return { bytes, seconds, parts, verdict, advice: verdict === 'fits' ? '' : adviceFor(size, machine) };
}

function activeCount({ set, nTokens, nSourcePositions = nTokens }: TraceSize): number {
  return set.nLayers * Math.min(nTokens, nSourcePositions) * Math.min(activePerPlace, set.featuresPerLayer);
}

/** Decoder rows of all active features for all layers they write to. */
function writtenBytes(size: TraceSize): number {
  return activeCount(size) * writesPerFeature(size) * size.model.dModel * float;
}

function isInPieces(size: TraceSize, { memory, available = memory }: Machine): boolean {
  const mostWritten = Math.min(mostWrittenBytes, mostWrittenShare * available);
  return writtenBytes(size) > mostWritten || patternBytes(size) > mostPatternBytes;
}

/** Heads are 64 wide, or wider and fewer in larger models. */
function patternBytes({ model, nTokens }: TraceSize): number {
  return model.nLayers * Math.max(1, model.dModel / 64) * nTokens ** 2 * float;
}

/** @param adaptive how many adaptive mode attributes */
function attributedCount(size: TraceSize, adaptive = mostAdaptiveFeatures): number {
  const active = activeCount(size);
  if (size.maxFeatureNodes === 'all') return active;
  return Math.min(active, size.maxFeatureNodes === 'adaptive' ? adaptive : size.maxFeatureNodes);
}

/** Cross-layer features write to all layers from their own on: half of them, on average. */
function writesPerFeature({ set }: TraceSize): number {
  return set.kind === 'cross-layer' ? (set.nLayers + 1) / 2 : 1;
}

function memoryParts(size: TraceSize, machine: Machine): { name: string; bytes: number }[] {
  const { model, set, nTokens } = size;
  const asFloats = model.parameters * float;
  const isKept = asFloats <= mostHeldModelBytes;
  const carry = model.nLayers * attentionWidth * model.dModel ** 2 * float;
  const active = activeCount(size);
  const attributed = attributedCount(size);
  const sources = active + set.nLayers * nTokens;
  const inPieces = isInPieces(size, machine);
  const isCut = inPieces || size.maxFeatureNodes === 'adaptive';
  // A target is reached from lower layers and earlier positions only: a third of all sources.
  const rows = (attributed * sources * float) / 3;
  return [
    { name: 'the engine', bytes: baseBytes + smallPieces },
    { name: 'weights', bytes: isKept ? asFloats : model.weightBytes / model.nLayers + 3 * largestPiece },
    { name: 'attention weights', bytes: carry <= mostCarryBytes ? carry : (2 * carry) / model.nLayers },
    {
      name: 'the forward pass',
      bytes:
        model.nLayers * nTokens * keptPerPosition * model.dModel * float +
        Math.min(patternBytes(size), mostPatternBytes),
    },
    { name: 'pre-activations', bytes: Math.min(largestPiece, nTokens * set.featuresPerLayer * float) },
    {
      name: 'what features write',
      bytes: inPieces ? pieceBatchBytes + largestPiece : writtenBytes(size),
    },
    { name: 'what features read', bytes: Math.min(attributed, mostAdaptiveFeatures) * model.dModel * float },
    { name: 'direct effects', bytes: isCut ? Math.min(rows, mostRowBytes) : rows },
  ];
}

function timeOf(size: TraceSize, { memory, cores }: Machine): number {
  const { model, set, nTokens } = size;
  const forward = 2 * model.parameters * nTokens;
  const encode = 2 * set.nLayers * set.featuresPerLayer * model.dModel * nTokens;
  const attributed = attributedCount(size, usualAdaptiveFeatures);
  // Each target goes down half the layers over half the positions: through the output and value projections, and one
  // product with each source on the way.
  const carry = attributed * (model.nLayers / 2) * (nTokens / 2) * 2 * attentionWidth * model.dModel ** 2;
  const dots = (attributed * activeCount(size) * writesPerFeature(size) * 2 * model.dModel) / 3;
  // Positions are mixed by attention: pairs of positions up to the target's, a third of all, in half the layers.
  const mixing = (attributed * (model.nLayers / 2) * nTokens ** 2 * 2 * model.dModel) / 3;
  const operations = forward + encode + carry + dots + mixing;
  // The model, its unembedding once more, and the encoders: half of a set.
  const bytes = model.weightBytes + model.dVocab * model.dModel * 2 + set.weightBytes / 2;
  const rate = model.weightBytes + set.weightBytes > memory ? diskBytesPerSecond : cachedBytesPerSecond;
  return 0.3 + operations / (operationsPerCore * cores) + bytes / rate;
}

/** What makes a trace smaller, with a number that fits where there is one. */
function adviceFor(size: TraceSize, machine: Machine): string {
  const isFine = (changed: TraceSize) =>
    memoryParts(changed, machine).reduce((sum, part) => sum + part.bytes, 0) <= mostOfMemory * machine.memory &&
    timeOf(changed, machine) <= patience;
  const advice: string[] = [];
  let nSourcePositions = size.nSourcePositions ?? size.nTokens;
  while (nSourcePositions > 4 && !isFine({ ...size, nSourcePositions })) {
    nSourcePositions = Math.floor(nSourcePositions / 2);
  }
  const features = [4096, 2048, 1024, 512].find(
    (maxFeatureNodes) => maxFeatureNodes < attributedCount(size) && isFine({ ...size, maxFeatureNodes }),
  );
  if (features !== undefined) advice.push(`set Max Features to ${features.toLocaleString('en')}`);
  let nTokens = size.nTokens;
  while (nTokens > 4 && !isFine({ ...size, nTokens })) nTokens = Math.floor(nTokens * 0.8);
  if (nTokens < size.nTokens && isFine({ ...size, nTokens })) advice.push(`shorten the prompt to ${nTokens} tokens`);
  if (nSourcePositions < size.nTokens && isFine({ ...size, nSourcePositions })) {
    advice.push(`choose at most ${nSourcePositions.toLocaleString('en')} source positions`);
  }
  if (advice.length === 0) advice.push('choose a smaller model or transcoder set');
  const words = advice.join(', or ');
  return `${words[0].toUpperCase()}${words.slice(1)}.`;
}
