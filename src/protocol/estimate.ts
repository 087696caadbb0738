import type { AttributionSettings, ModelDescription, SetDescription } from './engine.ts';
import {
  mostAdaptiveFeatures,
  mostCarryBytes,
  mostEffectBytes,
  mostHeldModelBytes,
  mostPatternBytes,
  mostRowBytes,
  mostSweepThreads,
  mostWrittenBytes,
  mostWrittenShare,
  pieceBatchBytes,
  worthTables,
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
/** Pieces of pre-activations (`encode.ts`), and of encoders (`matrixProduct.ts`) and the unembedding (`transformer.ts`), two of each. */
const largestPiece = 64 * megabyte;
const smallPieces = 48 * megabyte;
/** A thread that sweeps, with its steps and a batch's gradients. */
const threadBytes = 50 * megabyte;
/** Rows whose effects such a thread has in memory at a time. */
const rowsTogether = 64;
/** Steps of narrower models than this are too small for threads (`sweepSessions.ts`). */
const narrowest = 172;
/** Features that fire at one layer and position: published sets aim at 10 to 150. */
const activePerPlace = 60;
/** Numbers per position and layer that a forward pass leaves, in multiples of dModel: residual, MLP input and output. */
const keptPerPosition = 6;
/** The output and value projections together are about this many dModel wide in all the families. */
const attentionWidth = 1.4;

/** Adaptive mode attributes about so many features, of whatever many (measured: 1,024 to 2,293). */
const usualAdaptiveFeatures = 1536;

/** Floating-point operations a second and core of whole matrices, and of the sweep, on threads and in pieces (measured). */
const operationsPerCore = 1.1e11;
const sweepPerCore = { usual: 7e10, inPieces: 3.5e10 };
/** Bytes a second from files that are in the cache; files that exceed the memory are read from the disk each time. */
const cachedBytesPerSecond = 2e9;
const diskBytesPerSecond = 3e8;
/** Seconds that it takes to read and add up one number of what a feature writes. */
const secondsPerWritten = 4e-9;

/** Own memory above this share of the machine's leaves too little for everything else. */
const mostOfMemory = 0.8;
/** Traces that take longer than this are said to be slow. */
const patience = 120;

/**
 * Memory and time of a trace, from sizes alone: a formula with the engine's own limits, to be right within a factor of
 * about two. The number of features that fire is not known before and is taken as 60 at each layer and position.
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

/** A decoder row for each feature that fires somewhere, if those of different positions were drawn independently. */
function tableBytes(size: TraceSize): number {
  const { model, set, nTokens, nSourcePositions = nTokens } = size;
  const fires = Math.min(1, activePerPlace / set.featuresPerLayer);
  const distinct = set.nLayers * set.featuresPerLayer * (1 - (1 - fires) ** Math.min(nTokens, nSourcePositions));
  return distinct * writesPerFeature(size) * model.dModel * float;
}

/** How a prompt is swept, and what of what features write is kept for it. */
type Plan = { readonly nThreads: number; readonly isInPieces: boolean; readonly written: number };

function planOf(size: TraceSize, { memory, available = memory, cores }: Machine): Plan {
  const most = Math.min(mostWrittenBytes, mostWrittenShare * available);
  const written = writtenBytes(size);
  const canShare =
    cores > 1 &&
    size.model.dModel >= narrowest &&
    carryBytes(size) <= mostCarryBytes &&
    patternBytes(size) <= mostPatternBytes;
  const nThreads = canShare ? Math.min(cores, mostSweepThreads) : 1;
  const tables = tableBytes(size);
  const isTable = tables <= most && (written > most || (canShare && tables <= worthTables * written));
  if (canShare && isTable) return { nThreads, isInPieces: false, written: tables };
  const isInPieces = written > most || patternBytes(size) > mostPatternBytes;
  if (isInPieces) {
    const kept = isTable ? tables : written > most ? largestPiece : written;
    return { nThreads: 1, isInPieces, written: pieceBatchBytes + kept };
  }
  return { nThreads, isInPieces, written };
}

/** Attention's weights as the sweep needs them. */
function carryBytes({ model }: TraceSize): number {
  return model.nLayers * attentionWidth * model.dModel ** 2 * float;
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
  const carry = carryBytes(size);
  const attributed = attributedCount(size, usualAdaptiveFeatures);
  const sources = activeCount(size) + set.nLayers * nTokens;
  const { nThreads, isInPieces, written } = planOf(size, machine);
  const isCut = isInPieces || size.maxFeatureNodes === 'adaptive';
  // A target is reached from lower layers and earlier positions only: a third of all sources.
  const rows = (attributed * sources * float) / 3;
  const patterns = Math.min(patternBytes(size), mostPatternBytes);
  const threads = nThreads * (threadBytes + Math.min(mostEffectBytes, rowsTogether * sources * float));
  return [
    { name: 'the engine', bytes: baseBytes + smallPieces },
    { name: 'weights', bytes: isKept ? asFloats : model.weightBytes / model.nLayers + smallPieces },
    { name: 'attention weights', bytes: carry <= mostCarryBytes ? carry : (2 * carry) / model.nLayers },
    {
      name: 'the forward pass',
      bytes: model.nLayers * nTokens * keptPerPosition * model.dModel * float + patterns,
    },
    { name: 'pre-activations', bytes: Math.min(largestPiece, nTokens * set.featuresPerLayer * float) },
    { name: 'what features write', bytes: written },
    { name: 'what features read', bytes: Math.min(attributed, mostAdaptiveFeatures) * model.dModel * float },
    { name: 'threads', bytes: nThreads > 1 ? threads : 0 },
    { name: 'direct effects', bytes: isCut ? Math.min(rows, mostRowBytes) : rows },
  ];
}

/**
 * How far down targets are carried, as a share of all layers and positions. All features together have half the layers
 * below them and half the positions before them; the few most influential ones stand high up and at the end (measured:
 * 26 % where a 13th of what is active was attributed, 80 % where a 28,000th was).
 */
function depthOf(attributed: number, active: number): number {
  return Math.min(1, Math.max(0.25, 0.05 - 0.075 * Math.log(attributed / Math.max(1, active))));
}

function timeOf(size: TraceSize, machine: Machine): number {
  const { model, set, nTokens } = size;
  const { memory, cores } = machine;
  const forward = 2 * model.parameters * nTokens;
  const encode = 2 * set.nLayers * set.featuresPerLayer * model.dModel * nTokens;
  const active = activeCount(size);
  const attributed = attributedCount(size, usualAdaptiveFeatures);
  const written = active * writesPerFeature(size) * model.dModel;
  const { isInPieces } = planOf(size, machine);
  // At each layer and position a target goes through the output and value projections and what attention mixes from
  // other positions (in pieces, only from those before it), and meets each source on the way.
  const mixing = (isInPieces ? nTokens / 2 : nTokens) * model.dModel;
  const perTarget = model.nLayers * nTokens * (attentionWidth * model.dModel ** 2 + mixing) + written;
  const sweep = 2 * attributed * depthOf(attributed, active) * perTarget;
  // The model, its unembedding once more, and the encoders: half of a set.
  const bytes = model.weightBytes + model.dVocab * model.dModel * 2 + set.weightBytes / 2;
  const rate = model.weightBytes + set.weightBytes > memory ? diskBytesPerSecond : cachedBytesPerSecond;
  return (
    0.3 +
    (forward + encode) / (operationsPerCore * cores) +
    written * secondsPerWritten +
    sweep / ((isInPieces ? sweepPerCore.inPieces : sweepPerCore.usual) * cores) +
    bytes / rate
  );
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
