import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { readConfig } from '../engine/model/config.ts';
import { UserError } from '../protocol/errors.ts';
import type { BenchResult, BenchSize } from './bench.ts';
import { growthPlot } from './growthPlot.ts';

/** What grows while the rest stays as it is. */
export type Axis = 'tokens' | 'features' | 'layers';

/** One measured size on an axis. */
export type GrowthPoint = {
  readonly axis: Axis;
  readonly value: number;
  /** From the loaded model to the pruned graph. */
  readonly seconds: number;
  /** What the sweep's matrix products alone would take. */
  readonly limit: number;
  readonly bytes: number;
};

type Pair = { readonly model: string; readonly transcoders: string };
type Measure = (size: BenchSize) => Promise<BenchResult>;

const growing = {
  tokens: { values: [8, 16, 32, 64, 128, 256], fixed: { features: 256 } },
  features: { values: [64, 256, 1024, 4096], fixed: { tokens: 16 } },
  layers: { shares: [1 / 6, 1 / 3, 2 / 3, 1], fixed: { tokens: 32, features: 256 } },
} as const;

/**
 * Measures how time and memory grow with tokens, attributed features and layers, and draws them.
 * @param say   takes a line for each size that was measured
 * @param file  the picture, as SVG
 */
export async function measureGrowth(
  pair: Pair,
  batch: number,
  measure: Measure,
  say: (line: string) => void,
  file: string,
): Promise<void> {
  const { nLayers, maxPositions } = readConfig(pair.model);
  const points: GrowthPoint[] = [];
  const run = async (axis: Axis, value: number, size: BenchSize) => {
    const result = await measure(size);
    const { total: seconds, limit, peakBytes: bytes, active, attributed } = result;
    // Of fewer active features than were asked for, all are attributed.
    const reached = axis === 'features' ? attributed : value;
    points.push({ axis, value: reached, seconds, limit, bytes });
    say(
      `${axis.padEnd(9)} ${String(reached).padStart(6)}  ${seconds.toFixed(2).padStart(8)} s  products ${limit.toFixed(2).padStart(7)} s  ${(bytes / 1e6).toFixed(0).padStart(6)} MB  ${attributed} of ${active} features`,
    );
  };
  for (const tokens of growing.tokens.values.filter((count) => count <= maxPositions)) {
    await run('tokens', tokens, { ...pair, batch, tokens, ...growing.tokens.fixed });
  }
  for (const features of growing.features.values) {
    await run('features', features, { ...pair, batch, features, ...growing.features.fixed });
  }
  for (const layers of new Set(growing.layers.shares.map((share) => Math.max(1, Math.round(nLayers * share))))) {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'layers-'));
    try {
      await run('layers', layers, { ...firstLayers(pair, layers, folder), batch, ...growing.layers.fixed });
    } finally {
      fs.rmSync(folder, { recursive: true, force: true });
    }
  }
  for (const axis of ['tokens', 'features', 'layers'] as const) {
    const own = points.filter((point) => point.axis === axis);
    say(
      `${axis}: time grows with the power ${power(own, 'seconds')}, the products alone ${power(own, 'limit')}, memory ${power(own, 'bytes')} (last two sizes)`,
    );
  }
  fs.writeFileSync(file, growthPlot(points));
}

/** The exponent between the last two sizes. */
function power(points: readonly GrowthPoint[], of: 'seconds' | 'limit' | 'bytes'): string {
  const [a, b] = points.slice(-2);
  return a && b ? (Math.log(b[of] / a[of]) / Math.log(b.value / a.value)).toFixed(2) : '–';
}

/** The same files, of which a configuration of its own uses the first layers only. UserError for sets in one file. */
function firstLayers({ model, transcoders }: Pair, layers: number, folder: string): Pair {
  const pair = { model: path.join(folder, 'model'), transcoders: path.join(folder, 'transcoders') };
  for (const each of Object.values(pair)) fs.mkdirSync(each);
  for (const name of fs.readdirSync(model)) {
    if (name !== 'config.json') fs.symlinkSync(path.resolve(model, name), path.join(pair.model, name));
  }
  const config = JSON.parse(fs.readFileSync(path.join(model, 'config.json'), 'utf8'));
  fs.writeFileSync(path.join(pair.model, 'config.json'), JSON.stringify({ ...config, num_hidden_layers: layers }));
  let found = 0;
  for (const name of fs.readdirSync(transcoders)) {
    const layer = /^layer_(\d+)\.safetensors$/.exec(name)?.[1];
    if (layer !== undefined) found++;
    if (layer !== undefined && Number(layer) >= layers) continue;
    fs.symlinkSync(path.resolve(transcoders, name), path.join(pair.transcoders, name));
  }
  if (found > 0) return pair;
  throw new UserError(
    'bench.layers',
    `${transcoders} has no files layer_0.safetensors, layer_1.safetensors …, of which fewer could be taken.`,
    'Name a per-layer set, such as one that test/bench/make_bench_model.py writes.',
  );
}
