import path from 'node:path';
import process from 'node:process';
import { Attributor } from '../engine/attribution/attribute.ts';
import { readDirections } from '../engine/attribution/directions.ts';
import { traceInFull } from '../engine/attribution/trace.ts';
import { weightsOf } from '../engine/loaded.ts';
import { describeModel, loadModel } from '../engine/model/loadModel.ts';
import { loadTokenizer } from '../engine/model/tokenizer.ts';
import { chooseDevice } from '../engine/runtime/device.ts';
import { SetFeatures } from '../engine/setFeatures.ts';
import { loadTranscoders } from '../engine/transcoders/load.ts';
import { defaultAttribution, type Prompt, type Targets, type TraceRequest } from '../protocol/engine.ts';
import { parsePositions } from '../protocol/positions.ts';
import { attributionTensors } from './attributionTensors.ts';
import { Options } from './options.ts';
import { builtInPair, version } from './product.ts';
import { writeTensors } from './tensorFile.ts';
import type { Terminal } from './terminal.ts';
import { traceText } from './traceText.ts';
import { writeCircuit } from './writeCircuit.ts';

const help = `Usage: prompt-circuits trace (--prompt TEXT | --tokens 1,2,3) [OPTIONS]

  Prints what the model predicts after the prompt, how much of it the graph
  explains, and the strongest paths.

  --model DIR            model folder (default: the built-in model)
  --transcoders DIR      transcoder set for it
  --prompt TEXT          the prompt; a start token is put in front when it lacks one
  --tokens 1,2,3         the prompt as token ids

  What is explained (default: the most likely next tokens)
  --max-logits N         at most N of them (10)
  --logit-prob P         the fewest whose probability reaches P (0.95)
  --targets TEXT         this token; may be given several times
  --target-ids 1,2       these token ids
  --difference A --minus B   the logit of token A less that of token B
  --directions FILE      each vector of a .safetensors, .npz or .json file
                         (--direction-prob P each)

  Which positions of the prompt (5,8-12,20-; the first token is 0; default: all)
  --explain-at N         explain the prediction after token N instead of the last
  --positions LIST       attribute features here only
  --source-positions LIST   look at features one by one here only; elsewhere all
                         that a layer writes is in its error node

  How it is computed
  --max-features N       attribute the N most influential features, "all", or
                         "adaptive": until the graph stays the same: what is
                         left carries too little, or is nothing that would be
                         kept (built-in model: all; else adaptive)
  --adaptive-share P     how little is too little (0.02)
  --batch N              features per batch (256)
  --update-interval N    batches between two rankings (4)
  --node-threshold P     share of influence the kept nodes carry (0.8)
  --edge-threshold P     share the kept edges carry (0.98)

  --device NAME          where: cpu (default), auto, cuda, webgpu, dml, coreml

  --out FILE             write the graph (name it *.circuit.json)
  --raw FILE             write everything unpruned as safetensors
  --slug NAME            the graph's name (from --out, else "trace")
  --quiet                print no progress
`;

const optionKinds = {
  model: 'text',
  transcoders: 'text',
  prompt: 'text',
  tokens: 'text',
  'max-logits': 'text',
  'logit-prob': 'text',
  targets: 'texts',
  'target-ids': 'text',
  difference: 'text',
  minus: 'text',
  directions: 'text',
  'direction-prob': 'text',
  'explain-at': 'text',
  positions: 'text',
  'source-positions': 'text',
  'max-features': 'text',
  'adaptive-share': 'text',
  batch: 'text',
  'update-interval': 'text',
  'node-threshold': 'text',
  'edge-threshold': 'text',
  out: 'text',
  raw: 'text',
  slug: 'text',
  device: 'text',
  quiet: 'flag',
} as const;

export async function traceCommand(args: readonly string[], terminal: Terminal): Promise<number> {
  const options = new Options(args, optionKinds, help);
  if (options.flag('help')) {
    terminal.out(help);
    return 0;
  }
  const request = readRequest(options);
  const say = options.flag('quiet') ? () => {} : terminal.err;
  const controller = new AbortController();
  const cancel = () => controller.abort();
  process.once('SIGINT', cancel);
  try {
    const begun = performance.now();
    const { provider } = await chooseDevice(request.device);
    using model = await loadModel(request.pair.model, { device: provider, signal: controller.signal });
    const tokenizer = await loadTokenizer(request.pair.model);
    using set = loadTranscoders(request.pair.transcoders!, model.dimensions);
    using attributor = new Attributor(model, set, provider);
    const loaded = performance.now() - begun;
    const parts = {
      attributor,
      tokenizer,
      modelName: describeModel(request.pair.model).name,
      device: provider,
      version: version(),
      weights: weightsOf(request.pair),
    };
    let shown = '';
    const { result, attribution } = await traceInFull(request, parts, {
      signal: controller.signal,
      onProgress: ({ phase, done, total }) => {
        const line = `${phase} ${Math.floor((100 * done) / Math.max(total, 1))} %`;
        if (line !== shown && terminal.isInteractive) say(`\r\x1b[K${line}`);
        shown = line;
      },
    });
    if (terminal.isInteractive) say('\r\x1b[K');
    const graph = new SetFeatures(request.pair.transcoders!).withLabels(result.graph);
    terminal.out(traceText({ ...result, graph }, loaded));
    const out = options.text('out');
    if (out !== null) writeCircuit(out, graph);
    const raw = options.text('raw');
    if (raw !== null) {
      writeTensors(raw, attributionTensors(model, set, attribution, [{ suffix: '', ...request.keep }]));
    }
    return 0;
  } finally {
    process.off('SIGINT', cancel);
  }
}

function readRequest(options: Options): TraceRequest {
  if (options.positionals.length > 0) {
    throw options.wrong(`${JSON.stringify(options.positionals[0])} belongs to no option; quote the prompt.`);
  }
  const isBuiltIn = options.text('model') === null;
  if (isBuiltIn !== (options.text('transcoders') === null)) {
    throw options.wrong('--model and --transcoders go together: name both, or neither for the built-in model.');
  }
  const pair = isBuiltIn ? builtInPair() : { model: options.text('model')!, transcoders: options.text('transcoders')! };
  const keep = {
    nodeThreshold: options.share('node-threshold', defaultAttribution.nodeThreshold),
    edgeThreshold: options.share('edge-threshold', defaultAttribution.edgeThreshold),
  };
  return {
    pair,
    prompt: readPrompt(options),
    targets: readTargets(options, pair.model),
    positions: {
      explainedAt: options.text('explain-at') === null ? null : options.whole('explain-at', 0, 0),
      attributed: parsePositions(options.text('positions') ?? ''),
      sources: parsePositions(options.text('source-positions') ?? ''),
    },
    settings: {
      ...keep,
      maxLogits: options.whole('max-logits', defaultAttribution.maxLogits, 1),
      logitProbability: options.share('logit-prob', defaultAttribution.logitProbability),
      batchSize: options.whole('batch', defaultAttribution.batchSize, 1),
      updateInterval: options.whole('update-interval', defaultAttribution.updateInterval, 1),
      maxFeatureNodes: readMaxFeatures(options, isBuiltIn),
      adaptiveShare: options.share('adaptive-share', defaultAttribution.adaptiveShare),
    },
    keep,
    device: options.device(),
    slug: options.text('slug') ?? slugOf(options.text('out')),
  };
}

function readPrompt(options: Options): Prompt {
  const text = options.text('prompt');
  const ids = options.wholes('tokens');
  if ((text === null) === (ids === null))
    throw options.wrong('Give the prompt with --prompt or with --tokens, one of the two.');
  return ids === null ? { type: 'text', text: text! } : { type: 'tokens', ids };
}

function readTargets(options: Options, model: string): Targets {
  const texts = options.texts('targets');
  const ids = options.wholes('target-ids');
  const a = options.text('difference');
  const b = options.text('minus');
  const file = options.text('directions');
  if ([texts.length > 0, ids !== null, a !== null || b !== null, file !== null].filter(Boolean).length > 1) {
    throw options.wrong('Choose one of --targets, --target-ids, --difference and --directions.');
  }
  if ((a === null) !== (b === null)) throw options.wrong('--difference A needs --minus B.');
  if (texts.length > 0) return { type: 'texts', texts };
  if (ids !== null) return { type: 'ids', ids };
  if (a !== null && b !== null) return { type: 'difference', a, b };
  if (file === null) return { type: 'top' };
  const found = readDirections(file, describeModel(model).dModel);
  const probability = options.share('direction-prob', 1 / found.length);
  return { type: 'directions', directions: found.map((direction) => ({ ...direction, probability })) };
}

function readMaxFeatures(options: Options, isBuiltIn: boolean): number | 'all' | 'adaptive' {
  const given = options.text('max-features');
  if (given === null) return isBuiltIn ? 'all' : 'adaptive';
  if (given === 'all' || given === 'adaptive') return given;
  return options.whole('max-features', 0, 0);
}

/** The file's name without its ending, in the characters that graph names may have. */
function slugOf(file: string | null): string {
  if (file === null) return 'trace';
  return (
    path
      .basename(file)
      .replace(/(\.circuit)?\.json$/, '')
      .replace(/[^\w.-]+/g, '-') || 'trace'
  );
}
