import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Inspection, InspectRequest, Prediction, Progress } from '../../protocol/engine.ts';
import { UserError } from '../../protocol/errors.ts';
import type { ForwardResult, LanguageModel, ModelDimensions } from '../model/languageModel.ts';
import type { Tokenizer } from '../model/tokenizer.ts';
import type { Attributor } from './attribute.ts';
import { LocalModel } from './localModel.ts';
import { findActiveFeatures, gatherSources, type Sources } from './sources.ts';
import { mostLikely, softmax } from './targets.ts';

/** Features and tokens a person may ask for at once. */
const mostRows = 1000;
/** Positions that are looked at in one go: more make a table that nobody reads, and a lens that takes minutes. */
const mostPositions = 64;
/** Logits in memory at a time: 64 MB of them. */
const logitsAtOnce = 2 ** 24;

export type InspectParts = {
  readonly model: LanguageModel;
  readonly tokenizer: Tokenizer;
  /** Null: the model has no transcoder set; features and errors are left out. */
  readonly attributor: Attributor | null;
  readonly label: (layer: number, feature: number) => string;
};

export type InspectOptions = { readonly signal?: AbortSignal; readonly onProgress?: (progress: Progress) => void };

/** What every layer does at some positions: lengths of what is added, the strongest features, and the logit lens. */
export async function inspectActivations(
  request: InspectRequest,
  parts: InspectParts,
  options: InspectOptions = {},
): Promise<Inspection> {
  const { model, tokenizer, attributor } = parts;
  const { tokens } = tokenizer.tokenize(request.prompt);
  checkRequest(request, tokens.length);
  const [first, last] = request.positions ?? [Math.max(0, tokens.length - mostPositions), tokens.length - 1];
  const ids = tokens.map(({ id }) => id);
  const run = await model.forward(ids, {
    logits: 'none',
    keepsPatterns: attributor !== null,
    signal: options.signal,
    onProgress: (done, total) => options.onProgress?.({ phase: 'forward', done, total }),
  });
  const sources =
    attributor &&
    (await decompose(attributor, new LocalModel(model, attributor.set, run), tokenizer.zeroPositions(ids), options));
  const streams = residualStreams(run, model.dimensions, first, last);
  const lens = await readLens(streams, request.topTokens, parts, options);
  const columns = streams.map((stream, column) =>
    run.layers.map((_, layer) => {
      const { norms, features } = layerAt(run, sources, stream, layer, first + column);
      return {
        layer,
        ...norms,
        activeFeatures: features.length,
        features: features
          .slice(0, request.topFeatures)
          .map((each) => ({ ...each, label: parts.label(layer, each.feature) })),
        lens: lens[column][layer],
      };
    }),
  );
  return { tokens, first, columns };
}

/** By position: [nLayers + 1, dModel] the residual stream before layer 0 and after every layer. */
function residualStreams(
  run: ForwardResult,
  { nLayers, dModel }: ModelDimensions,
  first: number,
  last: number,
): Float32Array[] {
  return Array.from({ length: last - first + 1 }, (_, column) => {
    const pos = first + column;
    const stream = new Float32Array((nLayers + 1) * dModel);
    stream.set(rowOf(run.tokenVectors, pos, dModel));
    for (let layer = 0; layer < nLayers; layer++) {
      const mid = rowOf(run.layers[layer].residMid, pos, dModel);
      const added = rowOf(run.layers[layer].mlpAdded, pos, dModel);
      for (let i = 0; i < dModel; i++) stream[(layer + 1) * dModel + i] = mid[i] + added[i];
    }
    return stream;
  });
}

/** [position][layer] the most likely tokens if the model stopped after the layer. */
async function readLens(
  streams: readonly Float32Array[],
  topTokens: number,
  { model, tokenizer }: InspectParts,
  options: InspectOptions,
): Promise<Prediction[][][]> {
  const { nLayers, dModel, dVocab } = model.dimensions;
  const perRead = Math.max(1, Math.floor(logitsAtOnce / (nLayers * dVocab)));
  const lens: Prediction[][][] = [];
  for (let from = 0; from < streams.length; from += perRead) {
    options.onProgress?.({ phase: 'lens', done: from, total: streams.length });
    await nextTurn();
    options.signal?.throwIfAborted();
    const part = streams.slice(from, from + perRead);
    const rows = new Float32Array(part.length * nLayers * dModel);
    for (const [place, stream] of part.entries()) rows.set(stream.subarray(dModel), place * nLayers * dModel);
    const logits = await model.readOut(rows, options.signal);
    for (const place of part.keys()) {
      lens.push(
        Array.from({ length: nLayers }, (_, layer) => {
          const row = place * nLayers + layer;
          const probabilities = softmax(logits.subarray(row * dVocab, (row + 1) * dVocab));
          const text = (id: number) => ({ id, text: tokenizer.text(id), probability: probabilities[id] });
          return mostLikely(probabilities, topTokens, 1).map(text);
        }),
      );
    }
  }
  return lens;
}

/** @param stream [nLayers + 1, dModel] at this position */
function layerAt(run: ForwardResult, sources: Sources | null, stream: Float32Array, layer: number, pos: number) {
  const dModel = stream.length / (run.layers.length + 1);
  const before = rowOf(stream, layer, dModel);
  const mid = rowOf(run.layers[layer].residMid, pos, dModel);
  return {
    norms: {
      residNorm: length(before),
      attentionNorm: length(mid.map((value, i) => value - before[i])),
      mlpNorm: length(rowOf(run.layers[layer].mlpAdded, pos, dModel)),
      errorNorm: sources && pos >= sources.firstPos ? length(rowOf(sources.errors[layer], pos, dModel)) : null,
    },
    features: sources ? featuresAt(sources, layer, pos) : [],
  };
}

function rowOf(values: Float32Array, index: number, dModel: number): Float32Array {
  return values.subarray(index * dModel, (index + 1) * dModel);
}

/** The features that are on and what they leave unexplained, over the whole prompt. */
async function decompose(
  { model, set, encoder }: Attributor,
  local: LocalModel,
  firstPos: number,
  options: InspectOptions,
): Promise<Sources> {
  const nLayers = set.layers.length;
  const onLayer = (from: number) => async (layer: number) => {
    options.onProgress?.({ phase: 'features', done: from + layer, total: 2 * nLayers });
    await new Promise((resolve) => setImmediate(resolve));
    options.signal?.throwIfAborted();
  };
  const active = await findActiveFeatures(model, set, encoder, local.run, firstPos, onLayer(0));
  return gatherSources(local, encoder, active, firstPos, onLayer(nLayers));
}

/** The features on at one place, largest activation first. */
function featuresAt(sources: Sources, layer: number, pos: number): { feature: number; activation: number }[] {
  const { active, featureStart, nPos } = sources;
  const place = layer * nPos + pos;
  const found: { feature: number; activation: number }[] = [];
  for (let index = featureStart[place]; index < featureStart[place + 1]; index++) {
    found.push({ feature: active.feature[index], activation: active.activation[index] });
  }
  return found.sort((a, b) => b.activation - a.activation || a.feature - b.feature);
}

function length(vector: Float32Array): number {
  let sum = 0;
  for (const value of vector) sum += value * value;
  return Math.sqrt(sum);
}

function checkRequest({ positions, topFeatures, topTokens }: InspectRequest, nPos: number): void {
  if (nPos === 0) throw new UserError('prompt.empty', 'The prompt is empty.', 'Write or highlight some text.');
  const [first, last] = positions ?? [0, 0];
  for (const pos of [first, last]) {
    if (Number.isSafeInteger(pos) && pos >= 0 && pos < nPos) continue;
    throw new UserError(
      'inspect.position',
      `Position ${pos} is outside the prompt: it has ${nPos} tokens, 0 to ${nPos - 1}.`,
      'Choose a token of the prompt.',
    );
  }
  if (last < first || last - first >= mostPositions) {
    throw new UserError(
      'inspect.positions',
      `Positions ${first} to ${last} were asked for; 1 to ${mostPositions} in their order can be shown.`,
      'Ask for fewer tokens.',
    );
  }
  for (const [name, value] of [
    ['features', topFeatures],
    ['tokens', topTokens],
  ] as const) {
    if (Number.isSafeInteger(value) && value >= 0 && value <= mostRows) continue;
    throw new UserError(
      'inspect.rows',
      `${value} ${name} were asked for; 0 to ${mostRows} can be shown.`,
      'Ask for fewer.',
    );
  }
}
