import fs from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { createCalls } from '../engine/calls.ts';
import { pairFeature } from '../graph/featureNumber.ts';
import type { CollectRequest, FeatureExample, OwnExamples } from '../protocol/engine.ts';
import { UserError } from '../protocol/errors.ts';
import { Options } from './options.ts';
import { builtInPair, version } from './product.ts';
import { readGraphFile } from './readGraphFile.ts';
import type { Terminal } from './terminal.ts';

/** Larger files are no prose; the engine has its own limit for all of them together. */
const mostBytes = 8 * 2 ** 20;
/** Tokens shown on each side of a peak. */
const shownTokens = 8;

const help = `Usage: prompt-circuits examples (--graph FILE | --features 3/113,3/114) [OPTIONS] TEXT-FILE...

  Runs the model over texts of yours and says where features fire in them, how
  often, and how strongly.

  --graph FILE           the features of this graph
  --features LIST        these, each LAYER/NUMBER
  --model DIR            model folder (default: the built-in model)
  --transcoders DIR      transcoder set for it
  --tokens N             read at most so many tokens, evenly spread (20000)
  --out DIR              write DIR/{number}.json for each feature, as sets keep them:
                         in the folder "features" of a set they become its examples
  --quiet                no progress
`;

const optionKinds = {
  graph: 'text',
  features: 'text',
  model: 'text',
  transcoders: 'text',
  tokens: 'text',
  out: 'text',
  quiet: 'flag',
} as const;

export async function examplesCommand(args: readonly string[], terminal: Terminal): Promise<number> {
  const options = new Options(args, optionKinds, help);
  if (options.flag('help')) {
    terminal.out(help);
    return 0;
  }
  const request = readRequest(options, terminal);
  const controller = new AbortController();
  const cancel = () => controller.abort();
  process.once('SIGINT', cancel);
  const calls = createCalls({ version: version(), log: () => {} });
  const isTelling = terminal.isInteractive && !options.flag('quiet');
  const context = {
    signal: controller.signal,
    onProgress: ({ done, total }: { readonly done: number; readonly total: number }) => {
      if (isTelling) terminal.err(`\r\x1b[K${Math.floor((100 * done) / Math.max(total, 1))} %`);
    },
  };
  try {
    const result = await calls.collectExamples(request, context);
    if (isTelling) terminal.err('\r\x1b[K');
    terminal.out(`${result.tokens} of ${result.tokensGiven} tokens of ${result.texts} texts\n\n`);
    for (const examples of result.features) terminal.out(featureText(examples));
    const out = options.text('out');
    if (out !== null) writeExamples(out, result.features);
    return 0;
  } finally {
    process.off('SIGINT', cancel);
    await calls.unload({}, context);
  }
}

function readRequest(options: Options, terminal: Terminal): CollectRequest {
  if (options.positionals.length === 0) throw options.wrong('Name at least one text file.');
  const isBuiltIn = options.text('model') === null;
  if (isBuiltIn !== (options.text('transcoders') === null)) {
    throw options.wrong('--model and --transcoders go together: name both, or neither for the built-in model.');
  }
  const pair = isBuiltIn ? builtInPair() : { model: options.text('model')!, transcoders: options.text('transcoders')! };
  return {
    pair,
    texts: options.positionals.map((file) => ({ name: file, text: readText(file) })),
    features: readFeatures(options, terminal),
    maxTokens: options.whole('tokens', 20_000, 1),
    device: 'cpu',
  };
}

function readFeatures(options: Options, terminal: Terminal): { readonly layer: number; readonly feature: number }[] {
  const [graph, list] = [options.text('graph'), options.text('features')];
  if ((graph === null) === (list === null)) throw options.wrong('Give either --graph or --features.');
  const names =
    graph === null
      ? (list ?? '').split(',').map((name) => name.trim())
      : readGraphFile(graph, terminal).nodes.flatMap(({ kind, layer, feature }) =>
          kind === 'feature' && feature !== null ? [`${layer}/${feature}`] : [],
        );
  return [...new Set(names)].map((name) => {
    const [, layer, feature] = /^(\d{1,4})\/(\d{1,9})$/.exec(name) ?? [];
    if (feature === undefined) throw options.wrong(`${JSON.stringify(name)} is no feature; write LAYER/NUMBER.`);
    return { layer: Number(layer), feature: Number(feature) };
  });
}

function readText(file: string): string {
  const stat = fs.statSync(file, { throwIfNoEntry: false });
  if (stat?.isFile() && stat.size <= mostBytes) return fs.readFileSync(file, 'utf8');
  const why = stat?.isFile() ? `has ${stat.size} bytes; at most ${mostBytes} are read` : 'is no file';
  throw new UserError('ownText.file', `${file} ${why}.`, 'Name text files.');
}

function featureText({ layer, feature, activationFrequency, activationMax, quantiles }: OwnExamples): string {
  const name = `L${layer}/${feature}`;
  const top = quantiles[0]?.examples ?? [];
  if (top.length === 0) return `${name}  fires nowhere\n\n`;
  const share = `${(100 * (activationFrequency ?? 0)).toPrecision(3)} %`;
  const lines = top.slice(0, 3).map((example) => `  ${exampleText(example)}`);
  return `${name}  on ${share} of the tokens, at most ${(activationMax ?? 0).toPrecision(4)}\n${lines.join('\n')}\n\n`;
}

/** An example in one line, its peak in brackets. */
function exampleText({ tokens, activations, peak }: FeatureExample): string {
  const at = peak ?? activations.indexOf(Math.max(...activations));
  const words = tokens.map((token, index) => (index === at ? `[${token}]` : token));
  const shown = words.slice(Math.max(0, at - shownTokens), at + shownTokens + 1).join('');
  return `${(activations[at] ?? 0).toPrecision(4).padStart(6)}  ${JSON.stringify(shown).slice(1, -1)}`;
}

/** One file a feature, as sets keep their examples: by the number that pairs layer and index. */
function writeExamples(folder: string, features: readonly OwnExamples[]): void {
  fs.mkdirSync(folder, { recursive: true });
  for (const { layer, feature, quantiles, ...figures } of features) {
    const number = pairFeature(layer, feature);
    const file = {
      index: number,
      examples_quantiles: quantiles.map(({ name, examples }) => ({
        quantile_name: name,
        examples: examples.map(({ tokens, activations, peak }) => ({
          tokens,
          tokens_acts_list: activations,
          ...(peak === null ? {} : { train_token_ind: peak }),
        })),
      })),
      top_logits: [],
      bottom_logits: [],
      ...(figures.activationMin === null ? {} : { act_min: figures.activationMin }),
      ...(figures.activationMax === null ? {} : { act_max: figures.activationMax }),
      quantile_values: figures.quantileValues,
      histogram: figures.histogram,
      activation_frequency: figures.activationFrequency,
    };
    fs.writeFileSync(path.join(folder, `${number}.json`), JSON.stringify(file));
  }
}
