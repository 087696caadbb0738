import process from 'node:process';
import { createCalls } from '../engine/calls.ts';
import { editHelp, errorHelp, readEdit, readErrorEdit, readTake, takeHelp } from '../protocol/editText.ts';
import type { InterveneRequest, InterveneResult, Patch, Prediction } from '../protocol/engine.ts';
import { Options } from './options.ts';
import { builtInPair, version } from './product.ts';
import type { Terminal } from './terminal.ts';

const help = `Usage: prompt-circuits intervene (--prompt TEXT | --tokens 1,2,3) EDITS [OPTIONS]

  Runs a prompt as it is and with features changed, and prints what the model
  says before and after, and which features changed most.

  --model DIR            model folder (default: the built-in model)
  --transcoders DIR      transcoder set for it

  Edits, each may be given several times; of two at one place the last holds:
  ${editHelp}
  --set EDIT             the activation becomes VALUE
  --scale EDIT           it is multiplied by VALUE
  --add EDIT             VALUE is added to it
  --ablate EDIT          it becomes 0 (no VALUE)
  --patch TEXT           take the activations of this prompt instead
    --patch-at A[=B]       at position A, from its position B (default: all)
    --patch-layer L        of this layer only
    --patch-errors         error nodes too
  --take EDIT            the same in one word, from a prompt given by token ids:
                         ${takeHelp}
  --error EDIT           an error node is multiplied: ${errorHelp}

  --freeze-attention     attention patterns stay as without the edits
  --direct               all else stays too: direct effects only
  --constrain 3,4,5      the same for these layers only

  --generate N           go on for N tokens, before and after
  --temperature T --top-p P --seed S     by chance instead of the most likely
  --top N                tokens to list (5)
  --json                 print the result as JSON
  --quiet                do not stream generated text
`;

const optionKinds = {
  model: 'text',
  transcoders: 'text',
  prompt: 'text',
  tokens: 'text',
  set: 'texts',
  scale: 'texts',
  add: 'texts',
  ablate: 'texts',
  patch: 'text',
  'patch-at': 'text',
  'patch-layer': 'text',
  'patch-errors': 'flag',
  take: 'texts',
  error: 'texts',
  'freeze-attention': 'flag',
  direct: 'flag',
  constrain: 'text',
  generate: 'text',
  temperature: 'text',
  'top-p': 'text',
  seed: 'text',
  top: 'text',
  json: 'flag',
  quiet: 'flag',
} as const;

export async function interveneCommand(args: readonly string[], terminal: Terminal): Promise<number> {
  const options = new Options(args, optionKinds, help);
  if (options.flag('help')) {
    terminal.out(help);
    return 0;
  }
  const given = readRequest(options);
  const controller = new AbortController();
  const cancel = () => controller.abort();
  process.once('SIGINT', cancel);
  const calls = createCalls({ version: version(), log: () => {} });
  const isStreaming = terminal.isInteractive && !options.flag('quiet');
  const context = {
    signal: controller.signal,
    onProgress: ({ token }: { readonly token?: Prediction }) => {
      if (token && isStreaming) terminal.err(token.text);
    },
  };
  try {
    const { nLayers } = await calls.inspectModel({ folder: given.pair.model }, context);
    const allLayers = Array.from({ length: nLayers }, (_, layer) => layer);
    const constrainedLayers = options.flag('direct') ? allLayers : given.constrainedLayers;
    const result = await calls.intervene({ ...given, constrainedLayers }, context);
    if (isStreaming && given.newTokens > 0) terminal.err('\n');
    terminal.out(options.flag('json') ? `${JSON.stringify(result, null, 1)}\n` : resultText(result, given.topTokens));
    return 0;
  } finally {
    process.off('SIGINT', cancel);
    await calls.unload({}, context);
  }
}

function readRequest(options: Options): InterveneRequest {
  if (options.positionals.length > 0) {
    throw options.wrong(`${JSON.stringify(options.positionals[0])} belongs to no option; quote the prompt.`);
  }
  const [model, transcoders] = [options.text('model'), options.text('transcoders')];
  if ((model === null) !== (transcoders === null)) {
    throw options.wrong('--model and --transcoders go together: name both, or neither for the built-in model.');
  }
  const [text, ids] = [options.text('prompt'), options.wholes('tokens')];
  if ((text === null) === (ids === null))
    throw options.wrong('Give the prompt with --prompt or with --tokens, one of the two.');
  const interventions = (['set', 'scale', 'add', 'ablate'] as const).flatMap((kind) =>
    readAll(options, kind, editHelp, (text) => readEdit(kind, text)),
  );
  const patches = [...readPatches(options), ...readAll(options, 'take', takeHelp, readTake)];
  const errors = readAll(options, 'error', errorHelp, readErrorEdit);
  if (interventions.length + patches.length + errors.length === 0)
    throw options.wrong('Name an edit: what is to be changed?');
  return {
    pair: model === null ? builtInPair() : { model, transcoders },
    prompt: ids === null ? { type: 'text', text: text! } : { type: 'tokens', ids },
    interventions,
    patches,
    errors,
    freezeAttention: options.flag('freeze-attention'),
    constrainedLayers: options.wholes('constrain'),
    topTokens: options.whole('top', 5, 1),
    newTokens: options.whole('generate', 0, 0),
    sampling: readSampling(options),
    device: 'cpu',
  };
}

function readAll<Edit>(
  options: Options,
  name: string,
  form: string,
  read: (text: string) => Edit | null,
): readonly Edit[] {
  return options.texts(name).map((text) => {
    const edit = read(text);
    if (edit !== null) return edit;
    throw options.wrong(`--${name} is ${JSON.stringify(text)}; it must be ${form}.`);
  });
}

function readPatches(options: Options): Patch[] {
  const text = options.text('patch');
  const [at, layer] = [options.text('patch-at'), options.text('patch-layer')];
  if (text === null) {
    if (at !== null || layer !== null || options.flag('patch-errors'))
      throw options.wrong('--patch-at, --patch-layer and --patch-errors belong to --patch.');
    return [];
  }
  const places = /^(\d{1,9})(?:=(\d{1,9}))?$/.exec(at ?? '');
  if (at !== null && !places) throw options.wrong(`--patch-at is ${JSON.stringify(at)}; it must be A or A=B.`);
  return [
    {
      prompt: { type: 'text', text },
      pos: places ? Number(places[1]) : null,
      fromPos: places?.[2] === undefined ? null : Number(places[2]),
      layer: layer === null ? null : options.whole('patch-layer', 0, 0),
      feature: null,
      nodes: options.flag('patch-errors') ? 'all' : 'features',
    },
  ];
}

function readSampling(options: Options): InterveneRequest['sampling'] {
  const given = options.text('temperature');
  if (given === null) {
    if (options.text('top-p') !== null || options.text('seed') !== null)
      throw options.wrong('--top-p and --seed belong to --temperature.');
    return null;
  }
  const temperature = Number(given);
  if (!(temperature >= 0) || given.trim() === '') {
    throw options.wrong(`--temperature is ${JSON.stringify(given)}; it must be a number from 0.`);
  }
  return { temperature, topP: options.share('top-p', 1), seed: options.whole('seed', 0, 0) };
}

function resultText(result: InterveneResult, topTokens: number): string {
  const { before, after, changed, generatedBefore, generatedAfter } = result;
  const old = new Map(before.map(({ id, probability }) => [id, probability]));
  const percent = (share: number): string => `${(100 * share).toFixed(share < 0.001 ? 4 : 2)} %`;
  const lines = ['Next token, with the edits (and without):'];
  for (const { id, text, probability } of after.slice(0, topTokens)) {
    lines.push(
      `  ${JSON.stringify(text).padEnd(16)} ${percent(probability).padStart(10)}  (${percent(old.get(id) ?? 0)})`,
    );
  }
  if (generatedAfter.length > 0) {
    const joined = (tokens: readonly Prediction[]): string => JSON.stringify(tokens.map(({ text }) => text).join(''));
    lines.push('', `Without the edits: ${joined(generatedBefore)}`, `With the edits:    ${joined(generatedAfter)}`);
  }
  if (changed.length > 0) lines.push('', 'Features that changed most:');
  for (const change of changed.slice(0, 10)) {
    const [was, is] = [change.before.toFixed(2), change.after.toFixed(2)];
    lines.push(`  layer ${change.layer}, feature ${change.feature} at position ${change.pos}: ${was} -> ${is}`);
  }
  return `${lines.join('\n')}\n`;
}
