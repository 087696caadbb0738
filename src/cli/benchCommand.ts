import { execFile } from 'node:child_process';
import fs from 'node:fs';
import process from 'node:process';
import { promisify } from 'node:util';
import { isRecord } from '../engine/model/readJson.ts';
import { type BenchResult, type BenchSize, benchOne } from './bench.ts';
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
  const baseline = readBaseline(options);
  terminal.out(`${header(baseline !== null)}\n`);
  const results: BenchResult[] = [];
  for (const size of sizes) {
    const result = await inOwnProcess(size, repeats);
    results.push(result);
    terminal.out(`${row(result, baseline)}\n`);
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

type Baseline = ReadonlyMap<string, { readonly seconds: number; readonly bytes: number }>;

/** The fastest of each size: attribution, pruning and scores, and the memory of that same run. */
function readBaseline(options: Options): Baseline | null {
  const file = options.text('baseline');
  if (file === null) return null;
  const runs: unknown = JSON.parse(fs.readFileSync(file, 'utf8'));
  if (!Array.isArray(runs)) throw options.wrong('--baseline needs a file with a list of runs.');
  const best = new Map<string, { seconds: number; bytes: number }>();
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
  return cells([...columns, ...(hasBaseline ? ['faster', 'memory'] : [])]);
}

function row(result: BenchResult, baseline: Baseline | null): string {
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
  if (!baseline) return cells(values);
  const features = typeof result.features === 'number' ? result.features : 4096;
  const other = baseline.get(`${result.tokens} ${features}`);
  const ratios = other
    ? [`${(other.seconds / result.total).toFixed(1)}x`, `1/${(other.bytes / result.peakBytes).toFixed(1)}`]
    : ['', ''];
  return cells([...values, ...ratios]);
}

function cells(values: readonly string[]): string {
  return values.map((value) => value.padStart(9)).join(' ');
}
