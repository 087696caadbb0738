import { execFile } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { promisify } from 'node:util';
import { UserError } from '../protocol/errors.ts';
import { type BenchResult, type BenchSize, benchOne } from './bench.ts';
import { measureGrowth } from './benchGrowth.ts';
import { type PeerFigure, peerFeatures, readPeerFigures, runPeer } from './benchPeer.ts';
import { Options } from './options.ts';
import { builtInPair, productFolder } from './product.ts';
import type { Terminal } from './terminal.ts';

const help = `Usage: prompt-circuits bench [OPTIONS]

  Measures a trace from the loaded model to the pruned graph, and one
  intervention on the same prompt, on sizes that grow,
  each in a process of its own, and holds the sweep against the time that its
  matrix products alone would take at this machine's best rate.

  --model DIR --transcoders DIR   what to measure (default: the built-in model)
  --tokens 8,16,32                prompt lengths
  --features 100,all,adaptive     how many features are attributed
  --batch N                       features per batch (256)
  --repeat N                      traces of each size; the fastest counts (3)
  --baseline FILE.json            times of another program to compare with: a list
                                  of {tokens, max_feature_nodes, seconds, peak_rss_gib}
  --peer PYTHON                   run circuit-tracer beside it, in turns, with this
                                  interpreter, on a folder of test/bench/make_bench_model.py
  --against FILE.json             figures that --out wrote before: the last columns
                                  say how they compare (built-in model: those of
                                  test/bench/baseline.json)
  --growth FILE.svg               measure how time and memory grow with tokens,
                                  features and layers instead, and draw it
  --out FILE.json                 write the figures
`;

const optionKinds = {
  model: 'text',
  transcoders: 'text',
  tokens: 'text',
  features: 'text',
  batch: 'text',
  repeat: 'text',
  baseline: 'text',
  peer: 'text',
  against: 'text',
  growth: 'text',
  out: 'text',
  /** One size, printed as JSON: how the command calls itself. */
  one: 'flag',
} as const;

export async function benchCommand(args: readonly string[], terminal: Terminal): Promise<number> {
  const options = new Options(args, optionKinds, help);
  if (options.flag('help')) {
    terminal.out(help);
    return 0;
  }
  const sizes = readSizes(options);
  const repeats = options.whole('repeat', 3, 1);
  if (options.flag('one')) {
    terminal.out(`${JSON.stringify(await benchOne(sizes[0], repeats))}\n`);
    return 0;
  }
  const growth = options.text('growth');
  if (growth !== null) {
    const { model, transcoders, batch } = sizes[0];
    const measure = (size: BenchSize) => inOwnProcess(size, repeats);
    await measureGrowth({ model, transcoders }, batch, measure, (line) => terminal.out(`${line}\n`), growth);
    return 0;
  }
  const file = options.text('baseline');
  const before = readBefore(options);
  const known = file === null ? null : readPeerFigures(file);
  const python = options.text('peer');
  terminal.out(`${header(known !== null || python !== null, before !== null)}\n`);
  const results: (BenchResult & { readonly peer: PeerFigure | null })[] = [];
  for (const size of sizes) {
    const result = await inOwnProcess(size, repeats);
    const peer =
      python === null
        ? (known?.get(`${size.tokens} ${peerFeatures(size)}`) ?? null)
        : await runPeer(python, size, os.availableParallelism());
    results.push({ ...result, peer });
    terminal.out(`${row(result, peer, before && (before.get(sizeName(result)) ?? null), before !== null)}\n`);
  }
  const out = options.text('out');
  if (out !== null) fs.writeFileSync(out, `${JSON.stringify(results, null, 2)}\n`);
  return 0;
}

function readSizes(options: Options): BenchSize[] {
  const isBuiltIn = options.text('model') === null;
  if (isBuiltIn !== (options.text('transcoders') === null))
    throw options.wrong('--model and --transcoders go together.');
  const pair = isBuiltIn ? builtInPair() : { model: options.text('model')!, transcoders: options.text('transcoders')! };
  const batch = options.whole('batch', 256, 1);
  const features = (options.text('features') ?? 'all,adaptive').split(',').map((given) => {
    if (given === 'all' || given === 'adaptive') return given;
    if (/^\d+$/.test(given)) return Number(given);
    throw options.wrong(`--features is ${JSON.stringify(given)}; it must be numbers, "all" or "adaptive".`);
  });
  const tokens = options.wholes('tokens') ?? [8, 16, 32, 64];
  return tokens.flatMap((count) => features.map((each) => ({ ...pair, tokens: count, features: each, batch })));
}

/** Earlier figures of ours by size; null when there are none to compare with. */
function readBefore(options: Options): Map<string, BenchResult> | null {
  const kept = path.join(productFolder(), 'test', 'bench', 'baseline.json');
  const isBuiltIn = options.text('model') === null && fs.existsSync(kept);
  const file = options.text('against') ?? (isBuiltIn ? kept : null);
  if (file === null) return null;
  const results: unknown = JSON.parse(fs.readFileSync(file, 'utf8'));
  if (Array.isArray(results)) return new Map((results as BenchResult[]).map((each) => [sizeName(each), each]));
  throw new UserError('bench.against', `${file} holds no list of figures.`, 'Name a file that --out wrote.');
}

function sizeName({ tokens, features }: Pick<BenchResult, 'tokens' | 'features'>): string {
  return `${tokens} ${features}`;
}

/** Memory is measured as the peak of a process, so each size has its own. */
async function inOwnProcess(size: BenchSize, repeats: number): Promise<BenchResult> {
  const args = ['bench', '--one', '--model', size.model, '--transcoders', size.transcoders];
  args.push('--tokens', String(size.tokens), '--features', String(size.features));
  args.push('--batch', String(size.batch), '--repeat', String(repeats));
  const { stdout } = await promisify(execFile)(process.execPath, [process.argv[1], ...args], { maxBuffer: 2 ** 24 });
  return JSON.parse(stdout);
}

const columns = [
  'tokens',
  'features',
  'active',
  'done',
  'forward',
  'encode',
  'targets',
  'sweep',
  'rank',
  'prune',
  'total s',
  'intervene',
  'limit s',
  'sweep/limit',
  'MB',
  'left',
  'same',
];

function header(hasPeer: boolean, hasBefore: boolean): string {
  const peer = hasPeer ? ['peer s', 'faster', 'memory'] : [];
  return cells([...columns, ...peer, ...(hasBefore ? ['x time', 'x memory'] : [])]);
}

function row(result: BenchResult, peer: PeerFigure | null, before: BenchResult | null, hasBefore: boolean): string {
  const { seconds } = result;
  const sweep = seconds['direct effects'] ?? 0;
  const second = (value: number | undefined) => (value ?? 0).toFixed(2);
  const values = [
    String(result.tokens),
    String(result.features),
    String(result.active),
    String(result.attributed),
    second(seconds.forward),
    second(seconds.features),
    second(seconds.targets),
    second(sweep),
    second(seconds.influence),
    second(seconds.prune),
    second(result.total),
    second(result.intervene),
    second(result.limit),
    (sweep / result.limit).toFixed(2),
    (result.peakBytes / 1e6).toFixed(0),
    `${(100 * result.unexpanded).toFixed(1)}%`,
    result.same === null ? '–' : `${(100 * result.same).toFixed(1)}%`,
  ];
  const earlier = before
    ? [(result.total / before.total).toFixed(2), (result.peakBytes / before.peakBytes).toFixed(2)]
    : hasBefore
      ? ['–', '–']
      : [];
  if (!peer) return cells([...values, ...earlier]);
  const ratios = [
    peer.seconds.toFixed(1),
    `${(peer.seconds / result.total).toFixed(1)}x`,
    `1/${(peer.bytes / result.peakBytes).toFixed(1)}`,
  ];
  return cells([...values, ...ratios, ...earlier]);
}

function cells(values: readonly string[]): string {
  return values.map((value) => value.padStart(9)).join(' ');
}
