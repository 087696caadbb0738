import process from 'node:process';
import { AttributionWorkers } from '../../src/engine/attribution/attributionWorkers.ts';
import { sharedFloats } from '../../src/engine/attribution/sharedMemory.ts';
import type { SharedSweep } from '../../src/engine/attribution/sharedSweep.ts';

// Sweeps on two threads with steps that take long and, after the milliseconds given, ends the process in the middle of
// one; with `once`, sweeps one layer and leaves the process alone, its threads not ended.
const isOnce = process.argv[2] === 'once';
const [dModel, nHeads, dHead, nPos, nRows] = [1024, 16, 64, 16, 64];
const nLayers = isOnce ? 1 : 1000;
const dimensions = {
  family: '',
  nLayers,
  dModel,
  nHeads,
  nKeyValueHeads: nHeads,
  dHead,
  dVocab: 1,
  maxPositions: nPos,
};
const layer = {
  weights: { output: sharedFloats(nHeads * dModel * dHead), value: sharedFloats(nHeads * dHead * dModel) },
  skip: null,
  capture: {
    attnPattern: sharedFloats(nHeads * nPos * nPos),
    attnFactors: null,
    attnNormScale: new Float32Array(nPos),
    postAttnNormScale: null,
  },
  written: {
    firstPos: 0,
    nPos,
    width: 1,
    vectors: sharedFloats(nPos * dModel),
    factors: null,
    columns: new Int32Array(nPos).fill(-1),
  },
};
const shared: SharedSweep = {
  dimensions,
  nColumns: (nLayers + 1) * nPos,
  plan: { nLayers, nPos, firstPos: 0, featureStart: new Uint32Array(nLayers * nPos + 1), nFeatures: 0 },
  firstTokenColumn: nLayers * nPos,
  special: { count: 0, values: [] },
  layers: Array.from({ length: nLayers }, () => layer),
  tokens: layer.written,
};
const job = (layer: number) => {
  const targets = Array.from({ length: nRows }, () => ({ layer, pos: nPos - 1 }));
  const batch = { targets: targets.map((_, row) => row), topLayer: layer, positions: { from: 0, to: nPos } };
  return { batches: [batch], targets, directions: sharedFloats(nRows * dModel) };
};
const workers = new AttributionWorkers(2, dimensions);
const first = [job(1), job(1)];
const then = isOnce ? [] : [job(nLayers), job(nLayers)];
let swept = 0;
await workers.sweep(
  shared,
  { limits: { keptShare: 1, mostPerRow: Number.POSITIVE_INFINITY } },
  async () => first.shift() ?? then.shift() ?? null,
  () => {
    swept++;
    // Both threads have started up and have their second batch now, or will have it in a moment.
    if (swept === 2 && !isOnce) setTimeout(() => process.exit(7), Number(process.argv[2]));
  },
);
process.stdout.write(`swept ${swept}\n`);
