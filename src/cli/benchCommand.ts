import { execFile } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import process from 'node:process';
import { promisify } from 'node:util';
import { type BenchResult, type BenchSize, benchOne } from './bench.ts';
import { type PeerFigure, peerFeatures, readPeerFigures, runPeer } from './benchPeer.ts';
import { Options } from './options.ts';
import { builtInPair } from './product.ts';
import type { Terminal } from './terminal.ts';

const help = `Usage: prompt-circuits bench [OPTIONS]

  Measures a trace from the loaded model to the pruned graph on sizes that grow,
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
  const file = options.text('baseline');
  const known = file === null ? null : readPeerFigures(file);
  const python = options.text('peer');
  terminal.out(`${header(known !== null || python !== null)}\n`);
  const results: (BenchResult & { readonly peer: PeerFigure | null })[] = [];
  for (const size of sizes) {
    const result = await inOwnProcess(size, repeats);
    const peer =
      python === null
        ? (known?.get(`${size.tokens} ${peerFeatures(size)}`) ?? null)
        : await runPeer(python, size, os.availableParallelism());
    results.push({ ...result, peer });
    terminal.out(`${row(result, peer)}\n`);
  }
  const out = options.text('out');
  if (out !== null) fs.writeFileSync(out, `${JSON.stringify(results, null, 1)}\n`);
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
  'limit s',
  'sweep/limit',
  'MB',
  'left',
];

function header(hasBaseline: boolean): string {
  return cells([...columns, ...(hasBaseline ? ['peer s', 'faster', 'memory'] : [])]);
}

function row(result: BenchResult, peer: PeerFigure | null): string {
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
    second(result.limit),
    (sweep / result.limit).toFixed(2),
    (result.peakBytes / 1e6).toFixed(0),
    `${(100 * result.unexpanded).toFixed(1)}%`,
  ];
  if (!peer) return cells(values);
  const ratios = [
    peer.seconds.toFixed(1),
    `${(peer.seconds / result.total).toFixed(1)}x`,
    `1/${(peer.bytes / result.peakBytes).toFixed(1)}`,
  ];
  return cells([...values, ...ratios]);
}

function cells(values: readonly string[]): string {
  return values.map((value) => value.padStart(9)).join(' ');
}
