import type { Inspection, InspectRequest, LayerInspection, Progress } from '../../protocol/engine.ts';
import { UserError } from '../../protocol/errors.ts';
import type { LanguageModel } from '../model/languageModel.ts';
import type { Tokenizer } from '../model/tokenizer.ts';
import type { Attributor } from './attribute.ts';
import { LocalModel } from './localModel.ts';
import { findActiveFeatures, gatherSources, type Sources } from './sources.ts';
import { mostLikely, softmax } from './targets.ts';

/** Features and tokens a person may ask for at once. */
const mostRows = 1000;

export type InspectParts = {
  readonly model: LanguageModel;
  readonly tokenizer: Tokenizer;
  /** Null: the model has no transcoder set; features and errors are left out. */
  readonly attributor: Attributor | null;
  readonly label: (layer: number, feature: number) => string;
};

export type InspectOptions = { readonly signal?: AbortSignal; readonly onProgress?: (progress: Progress) => void };

/** What every layer does at one position: lengths of what is added, the strongest features, and the logit lens. */
export async function inspectActivations(
  request: InspectRequest,
  parts: InspectParts,
  options: InspectOptions = {},
): Promise<Inspection> {
  const { model, tokenizer, attributor } = parts;
  const { nLayers, dModel, dVocab } = model.dimensions;
  const { tokens } = tokenizer.tokenize(request.prompt);
  checkRequest(request, tokens.length);
  const { pos } = request;
  const ids = tokens.map(({ id }) => id);
  const run = await model.forward(ids, {
    logits: 'none',
    signal: options.signal,
    onProgress: (done, total) => options.onProgress?.({ phase: 'forward', done, total }),
  });
  const sources =
    attributor &&
    (await decompose(attributor, new LocalModel(model, attributor.set, run), tokenizer.zeroPositions(ids), options));

  // The residual stream before layer 0 and after every layer, at this position.
  const stream = new Float32Array((nLayers + 1) * dModel);
  const row = (values: Float32Array, index: number) => values.subarray(index * dModel, (index + 1) * dModel);
  row(stream, 0).set(row(run.tokenVectors, pos));
  const mids = run.layers.map(({ residMid }) => row(residMid, pos));
  for (let layer = 0; layer < nLayers; layer++) {
    const added = row(run.layers[layer].mlpAdded, pos);
    row(stream, layer + 1).set(mids[layer].map((value, i) => value + added[i]));
  }
  const logits = await model.readOut(stream.subarray(dModel), options.signal);
  const layers = mids.map((mid, layer): LayerInspection => {
    const before = row(stream, layer);
    const probabilities = softmax(logits.subarray(layer * dVocab, (layer + 1) * dVocab));
    const features = sources ? featuresAt(sources, layer, pos) : [];
    return {
      layer,
      residNorm: length(before),
      attentionNorm: length(mid.map((value, i) => value - before[i])),
      mlpNorm: length(row(run.layers[layer].mlpAdded, pos)),
      errorNorm: sources && pos >= sources.firstPos ? length(row(sources.errors[layer], pos)) : null,
      activeFeatures: features.length,
      features: features
        .slice(0, request.topFeatures)
        .map((each) => ({ ...each, label: parts.label(layer, each.feature) })),
      lens: mostLikely(probabilities, request.topTokens, 1).map((id) => ({
        id,
        text: tokenizer.text(id),
        probability: probabilities[id],
      })),
    };
  });
  return { token: tokens[pos], pos, layers };
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

function checkRequest({ pos, topFeatures, topTokens }: InspectRequest, nPos: number): void {
  if (nPos === 0) throw new UserError('prompt.empty', 'The prompt is empty.', 'Write or highlight some text.');
  if (!Number.isSafeInteger(pos) || pos < 0 || pos >= nPos) {
    throw new UserError(
      'inspect.position',
      `Position ${pos} is outside the prompt: it has ${nPos} tokens, 0 to ${nPos - 1}.`,
      'Choose a token of the prompt.',
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
