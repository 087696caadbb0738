import { execFile } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { isRecord } from '../engine/model/readJson.ts';
import { UserError } from '../protocol/errors.ts';
import type { BenchSize } from './bench.ts';
import { productFolder } from './product.ts';

/** What another program takes for the same work: from the loaded model to the pruned graph and its scores. */
export type PeerFigure = { readonly seconds: number; readonly bytes: number };

/** Features that the peer attributes where ours chooses their number itself. */
const adaptiveFeatures = 4096;

/** The peer can't choose how many features it attributes: adaptive traces are held against this many. */
export function peerFeatures({ features }: Pick<BenchSize, 'features'>): number | null {
  if (features === 'all') return null;
  return features === 'adaptive' ? adaptiveFeatures : features;
}

/**
 * Runs circuit-tracer on the same files and settings, in a process of its own, on as many threads as there are cores
 * here. UserError when it can't be run.
 * @param python an interpreter whose packages hold it
 */
export async function runPeer(python: string, size: BenchSize, threads: number): Promise<PeerFigure | null> {
  const features = peerFeatures(size);
  if (features === null) return null;
  const folder = path.dirname(path.resolve(size.model));
  const script = path.join(productFolder(), 'test', 'bench', 'peer.py');
  const args = [script, folder, '--tokens', String(size.tokens), '--features', String(features)];
  args.push('--batch', String(size.batch), '--threads', String(threads));
  const { stdout } = await promisify(execFile)(python, args, { maxBuffer: 2 ** 26 }).catch((error: Error) => {
    throw new UserError(
      'bench.peer',
      `The peer could not be run: ${error.message.split('\n').filter(Boolean).at(-1)}`,
      'Name a Python that has circuit-tracer 0.4.1 or 0.5.0, and a folder made by test/bench/make_bench_model.py.',
    );
  });
  const result: unknown = JSON.parse(/^RESULT (.*)$/m.exec(stdout)?.[1] ?? 'null');
  if (!isRecord(result) || !isRecord(result.seconds) || !isRecord(result.peak_bytes)) return null;
  return { seconds: Number(result.seconds.total), bytes: Number(result.peak_bytes.end) };
}

/** Recorded figures of the peer by "tokens features": the fastest run of each size, and the memory of that run. */
export function readPeerFigures(file: string): Map<string, PeerFigure> {
  const runs: unknown = JSON.parse(fs.readFileSync(file, 'utf8'));
  if (!Array.isArray(runs))
    throw new UserError('bench.baseline', `${file} holds no list of runs.`, 'Name another file.');
  const best = new Map<string, PeerFigure>();
  for (const run of runs) {
    if (!isRecord(run) || !isRecord(run.seconds) || !isRecord(run.peak_rss_gib)) continue;
    const { attribute_total: attribute, prune, scores } = run.seconds;
    const seconds = Number(attribute) + Number(prune) + Number(scores);
    const key = `${run.tokens} ${run.max_feature_nodes}`;
    const bytes = Number(run.peak_rss_gib.end) * 2 ** 30;
    if (seconds < (best.get(key)?.seconds ?? Number.POSITIVE_INFINITY)) best.set(key, { seconds, bytes });
  }
  return best;
}
