import { setImmediate as nextTurn } from 'node:timers/promises';
import type { GraphMetadata } from '../../graph/circuitGraph.ts';
import { prune } from '../../graph/prune.ts';
import { scores } from '../../graph/scores.ts';
import type { GraphWeights } from '../../graph/weights.ts';
import type {
  AttributionSettings,
  Phase,
  Progress,
  Targets,
  TraceRequest,
  TraceResult,
} from '../../protocol/engine.ts';
import { UserError } from '../../protocol/errors.ts';
import { allPositions } from '../../protocol/positions.ts';
import type { Tokenizer } from '../model/tokenizer.ts';
import type { Attribution, Attributor } from './attribute.ts';
import { circuitOf } from './circuit.ts';
import { similarDecoders } from './decoderSimilarity.ts';
import { positionMasks, positionNotes } from './positionMasks.ts';
import { checkTapPoint, explainedVariance } from './tapCheck.ts';
import { mostLikely, type ResolvedTargets } from './targets.ts';

/** Predictions listed with a trace. */
const nPredictions = 10;

/** What a trace runs on: the loaded pair and how the engine calls itself. */
export type TraceParts = {
  readonly attributor: Attributor;
  readonly tokenizer: Tokenizer;
  readonly modelName: string;
  readonly device: string;
  /** The product's version, written into the graph. */
  readonly version: string;
  /** Which weights they are, written into the graph. */
  readonly weights?: GraphWeights;
};

export type TraceOptions = {
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: Progress) => void;
};

/** One prompt, its graph and all that is said of it. UserError for what a person can mend; AbortError when cancelled. */
export async function trace(
  request: TraceRequest,
  parts: TraceParts,
  options: TraceOptions = {},
): Promise<TraceResult> {
  return (await traceInFull(request, parts, options)).result;
}

/** As `trace`, with the attribution that the result was made from. */
export async function traceInFull(
  request: TraceRequest,
  parts: TraceParts,
  options: TraceOptions = {},
): Promise<{ readonly result: TraceResult; readonly attribution: Attribution }> {
  const { attributor, tokenizer } = parts;
  const { settings } = request;
  checkSettings(settings);
  options.onProgress?.({ phase: 'tokenize', done: 0, total: 1 });
  const begun = performance.now();
  const { tokens: allTokens, warnings } = tokenizer.tokenize(request.prompt);
  if (allTokens.length === 0)
    throw new UserError('prompt.empty', 'The prompt is empty.', 'Write or highlight some text.');
  const allIds = allTokens.map(({ id }) => id);
  const masks = positionMasks(request.positions ?? allPositions, allIds.length, tokenizer.zeroPositions(allIds));
  const tokens = allTokens.slice(0, masks.nPos);
  const ids = allIds.slice(0, masks.nPos);
  const firstPos = tokenizer.zeroPositions(ids);
  const targets = resolveTargets(request.targets, settings, tokenizer);
  const tokenized = performance.now() - begun;

  const { sources: sourceMask, attributed: attributedMask } = masks;
  const attribution = await attributor.attribute(
    {
      ids,
      firstPos,
      sourceMask,
      attributedMask,
      targets,
      settings: { ...settings, nodeThreshold: request.keep.nodeThreshold },
    },
    options,
  );
  const { graph, run, influence: nodeInfluence, handedOn } = attribution;

  const pruning = performance.now();
  await turn(options, 0);
  const kept = prune(graph, request.keep, nodeInfluence);
  const explained = explainedVariance(attributor.set, run, attribution.reconstruction, firstPos, sourceMask);
  await turn(options, 1);
  const doubt = await checkTapPoint(
    attributor.model,
    attributor.set,
    attributor.encoder,
    run,
    firstPos,
    explained,
    sourceMask,
  );
  const isWhole = tokens.length === allTokens.length;
  const metadata: GraphMetadata = {
    slug: request.slug,
    scan: attributor.set.description.scan,
    modelName: parts.modelName,
    prompt: isWhole && request.prompt.type === 'text' ? request.prompt.text : tokenizer.decode(ids),
    promptTokens: tokens.map(({ text }) => text),
    promptTokenIds: ids,
    nLayers: attributor.model.dimensions.nLayers,
    scores: scores(graph, nodeInfluence, handedOn),
    generation: {
      maxLogits: settings.maxLogits,
      logitProbability: settings.logitProbability,
      batchSize: settings.batchSize,
      maxFeatureNodes: settings.maxFeatureNodes === 'all' ? null : attribution.order.length,
    },
    pruning: request.keep,
    nodeThreshold: settings.nodeThreshold,
    activeFeatures: attribution.active.count,
    generator: { name: 'Prompt Circuits', version: parts.version },
    createdAt: new Date().toISOString(),
    ...(parts.weights === undefined ? {} : { weights: parts.weights }),
  };
  const names = { promptIds: ids, text: (id: number) => tokenizer.text(id) };
  const circuit = circuitOf(attribution, nodeInfluence, kept, names, metadata);
  const similar = similarDecoders(attributor.model, attributor.set, circuit.nodes);
  const result: TraceResult = {
    graph: similar === null ? circuit : { ...circuit, similar },
    tokens,
    predictions: mostLikely(attribution.probabilities, nPredictions, 1).map((id) => ({
      id,
      text: tokenizer.text(id),
      probability: attribution.probabilities[id],
    })),
    phases: [phase('tokenize', tokenized), ...attribution.phases, phase('prune', performance.now() - pruning)],
    attributedFeatures: attribution.order.length,
    unexpandedInfluence: attribution.unexpandedInfluence,
    isRestEstimated: attribution.selected.length > attribution.order.length,
    droppedEdgeWeight: attribution.droppedEdgeWeight,
    explainedVariance: explained,
    device: parts.device,
    warnings: [
      ...warnings,
      ...shortPromptWarning(ids.length - firstPos),
      ...positionNotes(masks, allTokens, attribution, nodeInfluence),
      ...(doubt ? [doubt] : []),
    ],
  };
  return { result, attribution };
}

/** Tells of a step of the last phase and lets a cancel in. */
async function turn({ onProgress, signal }: TraceOptions, done: number): Promise<void> {
  onProgress?.({ phase: 'prune', done, total: 2 });
  await nextTurn();
  signal?.throwIfAborted();
}

/** A person who meant a sentence and highlighted a word should hear of it. `own`: tokens besides the special ones at the start. */
function shortPromptWarning(own: number): string[] {
  if (own > 1) return [];
  const said = own <= 0 ? 'no token of its own' : 'one token';
  return [`The prompt has ${said}: there is nothing before it to explain the answer by. Highlight a longer prompt.`];
}

/** Texts become token ids: each must be a single token of this model. */
export function resolveTargets(targets: Targets, settings: AttributionSettings, tokenizer: Tokenizer): ResolvedTargets {
  if (targets.type === 'texts') return { type: 'ids', ids: targets.texts.map((text) => singleToken(text, tokenizer)) };
  if (targets.type === 'difference') {
    const { a, b } = targets;
    const label = `${a} − ${b}`;
    return { type: 'difference', a: singleToken(a, tokenizer), b: singleToken(b, tokenizer), label };
  }
  if (targets.type === 'top') {
    return { type: 'top', maxLogits: settings.maxLogits, logitProbability: settings.logitProbability };
  }
  return targets;
}

function singleToken(text: string, tokenizer: Tokenizer): number {
  const ids = tokenizer.encode(text);
  if (ids.length === 1) return ids[0];
  const pieces = ids.map((id) => JSON.stringify(tokenizer.text(id))).join(', ');
  throw new UserError(
    'targets.notOneToken',
    `${JSON.stringify(text)} is ${ids.length} tokens to this model${ids.length > 0 ? ` (${pieces})` : ''}; a target is one.`,
    'Give a single token. Most words need the space before them: " Paris".',
  );
}

function checkSettings(settings: AttributionSettings): void {
  const { maxFeatureNodes } = settings;
  const rules: readonly [string, number, number, number][] = [
    ['Max logits', settings.maxLogits, 1, 1000],
    ['Batch size', settings.batchSize, 1, 100_000],
    ['Update interval', settings.updateInterval, 1, 1000],
    ['Max features', typeof maxFeatureNodes === 'number' ? maxFeatureNodes : 1, 0, 10_000_000],
  ];
  for (const [name, value, least, most] of rules) {
    if (Number.isSafeInteger(value) && value >= least && value <= most) continue;
    throw new UserError(
      'settings.range',
      `${name} is ${value}; it must be a whole number from ${least} to ${most}.`,
      'Correct the setting.',
    );
  }
  const shares: readonly [string, number][] = [
    ['Logit probability', settings.logitProbability],
    ['Node threshold', settings.nodeThreshold],
    ['Edge threshold', settings.edgeThreshold],
    ['Adaptive share', settings.adaptiveShare],
  ];
  for (const [name, value] of shares) {
    if (value > 0 && value <= 1) continue;
    throw new UserError(
      'settings.range',
      `${name} is ${value}; it must be above 0 and at most 1.`,
      'Correct the setting.',
    );
  }
}

function phase(name: Phase, milliseconds: number): { readonly phase: Phase; readonly milliseconds: number } {
  return { phase: name, milliseconds };
}
