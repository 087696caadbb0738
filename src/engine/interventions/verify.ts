import type { Site } from '../../graph/node.ts';
import type {
  Claim,
  Intervention,
  Prediction,
  VerifiedClaim,
  VerifyRequest,
  VerifyResult,
} from '../../protocol/engine.ts';
import { UserError } from '../../protocol/errors.ts';
import { meanOfUnembedding } from '../attribution/targets.ts';
import type { ForwardResult } from '../model/languageModel.ts';
import { largest, softmax } from '../model/sample.ts';
import type { ActiveFeatures } from '../transcoders/encode.ts';
import { encoderRows } from '../transcoders/featureRows.ts';
import { readingScale } from '../transcoders/tapPoint.ts';
import { checkInterventions } from './intervention.ts';
import { type Parts, runEdited } from './run.ts';

/** How far the model's own change may be from the predicted one, as a factor either way. */
const agreement = 3;
const rule =
  'verified: in the model as it is, nothing frozen, the target moves the predicted way, by a third to three times as much';

/** A prompt and its run without edits. */
export type Prompted = {
  readonly ids: readonly number[];
  readonly firstPos: number;
  readonly run: ForwardResult;
  /** By layer. */
  readonly active: readonly ActiveFeatures[];
};

export type VerifyContext = {
  readonly signal?: AbortSignal;
  readonly onDone?: (done: number, total: number) => void;
};

/**
 * Measures what claims of a graph predict: the sources are scaled with everything else frozen, and again with nothing
 * frozen. UserError for claims about features, positions or tokens that don't exist.
 */
export async function verifyClaims(
  parts: Parts,
  prompt: Prompted,
  request: VerifyRequest,
  text: (id: number) => string,
  { signal, onDone }: VerifyContext,
): Promise<Omit<VerifyResult, 'milliseconds'>> {
  checkRequest(parts, prompt, request);
  const { model } = parts;
  const reader = new TargetReader(parts, await meanOfUnembedding(model, async () => signal?.throwIfAborted()));
  const layers = Array.from({ length: model.dimensions.nLayers }, (_, layer) => layer);
  const measure = async (sources: readonly Site[], constrainedLayers: readonly number[] | null) => {
    const interventions = sources.map((site): Intervention => ({ ...site, kind: 'scale', value: request.factor }));
    return (await runPrompt(parts, prompt, { interventions, freezeAttention: false, constrainedLayers }, signal)).run;
  };
  const claims: VerifiedClaim[] = new Array(request.claims.length);
  // Claims about the same sources share their two runs.
  const groups = new Map<string, number[]>();
  for (const [index, { sources }] of request.claims.entries()) {
    groups.set(siteKey(sources), [...(groups.get(siteKey(sources)) ?? []), index]);
  }
  let done = 0;
  for (const indices of groups.values()) {
    const { sources } = request.claims[indices[0]];
    const frozenRun = await measure(sources, layers);
    const freeRun = await measure(sources, null);
    for (const index of indices) {
      const { target, weight } = request.claims[index];
      const before = reader.read(target, prompt.run);
      const predicted = (request.factor - 1) * weight;
      const frozen = reader.read(target, frozenRun) - before;
      const free = reader.read(target, freeRun) - before;
      claims[index] = { predicted, frozen, free, verdict: agrees(predicted, free) ? 'verified' : 'contradicted' };
    }
    done += indices.length;
    onDone?.(done, claims.length);
  }
  const of = (key: 'predicted' | 'frozen' | 'free'): number[] => claims.map((claim) => claim[key]);
  const agreeing = claims.filter((claim) => Math.sign(claim.free) === Math.sign(claim.predicted)).length;
  return {
    claims,
    rule,
    correlationFrozen: correlation(of('predicted'), of('frozen')),
    correlationFree: correlation(of('predicted'), of('free')),
    signAgreement: claims.length > 0 ? agreeing / claims.length : null,
    survival: request.kept ? await survivalOf(parts, prompt, request.kept, text, signal) : null,
  };
}

function agrees(predicted: number, measured: number): boolean {
  const ratio = measured / predicted;
  return ratio >= 1 / agreement && ratio <= agreement;
}

/** What is left of the most likely token when all features but the kept ones are turned off. */
async function survivalOf(
  parts: Parts,
  prompt: Prompted,
  kept: readonly Site[],
  text: (id: number) => string,
  signal: AbortSignal | undefined,
): Promise<VerifyResult['survival']> {
  const probabilities = softmax(prompt.run.logits);
  const [id] = largest(probabilities, 1);
  const without = async (spared: ReadonlySet<string>): Promise<number> => {
    const interventions = prompt.active.flatMap((list, layer) =>
      Array.from({ length: list.count }, (_, i): Site => ({ layer, pos: list.pos[i], feature: list.feature[i] }))
        .filter((site) => !spared.has(siteKey([site])))
        .map((site): Intervention => ({ ...site, kind: 'ablate', value: 0 })),
    );
    const settings = { interventions, freezeAttention: false, constrainedLayers: null };
    return softmax((await runPrompt(parts, prompt, settings, signal)).run.logits)[id];
  };
  const token: Prediction = { id, text: text(id), probability: probabilities[id] };
  return {
    token,
    withKept: await without(new Set(kept.map((site) => siteKey([site])))),
    withNone: await without(new Set()),
  };
}

function runPrompt(
  parts: Parts,
  { ids, firstPos, run }: Prompted,
  settings: Parameters<typeof runEdited>[2],
  signal: AbortSignal | undefined,
): ReturnType<typeof runEdited> {
  const span = { from: 0, nPos: ids.length };
  const options = { span, nPrompt: ids.length, firstPos, record: 'none', logits: 'last', signal } as const;
  return runEdited(parts, ids, settings, run, options);
}

/** Reads targets in a run as the graph defines them: pre-activations, and logits less their mean, before any soft cap. */
class TargetReader {
  readonly #parts: Parts;
  readonly #mean: Float64Array;
  readonly #directions = new Map<string, Float32Array>();

  constructor(parts: Parts, meanUnembedding: Float64Array) {
    this.#parts = parts;
    this.#mean = meanUnembedding;
  }

  read(target: Claim['target'], run: ForwardResult): number {
    const { model, set } = this.#parts;
    const { dModel } = model.dimensions;
    if (target.type === 'logit') {
      const last = run.nPos - 1;
      const gain = model.weights.model('finalNorm');
      const direction = this.#direction(`logit ${target.id}`, () =>
        model.weights.model('unembedding', target.id, target.id + 1).slice(),
      );
      let sum = 0;
      for (let i = 0; i < dModel; i++) {
        sum += (direction[i] - this.#mean[i]) * run.residFinal[last * dModel + i] * gain[i];
      }
      return sum * run.finalNormScale[last];
    }
    const { layer, pos, feature } = target;
    const { encoder, encoderBias } = set.layers[layer];
    const direction = this.#direction(`${layer} ${feature}`, () => encoderRows(encoder, [feature], dModel));
    const { scale, gain } = readingScale(set.inputHook, model, run, layer);
    let sum = 0;
    for (let i = 0; i < dModel; i++) {
      sum += direction[i] * run.layers[layer].residMid[pos * dModel + i] * (gain ? gain[i] : 1);
    }
    return sum * (scale ? scale[pos] : 1) + encoderBias[feature];
  }

  #direction(key: string, read: () => Float32Array): Float32Array {
    const direction = this.#directions.get(key) ?? read();
    this.#directions.set(key, direction);
    return direction;
  }
}

function checkRequest({ model, set }: Parts, { ids }: Prompted, { claims, factor, kept }: VerifyRequest): void {
  if (!Number.isFinite(factor) || factor === 1) {
    throw new UserError(
      'verify.factor',
      `The sources are to be multiplied by ${factor}; that measures nothing.`,
      'Use 0 to turn them off, or another number but 1.',
    );
  }
  const sites = claims.flatMap(({ sources, target }) => (target.type === 'feature' ? [...sources, target] : sources));
  const { nLayers, dVocab } = model.dimensions;
  checkInterventions(
    [...sites, ...(kept ?? [])].map((site) => ({ ...site, kind: 'set', value: 0 })),
    nLayers,
    set.nFeatures,
    ids.length,
  );
  for (const { target } of claims) {
    if (target.type !== 'logit' || (Number.isInteger(target.id) && target.id >= 0 && target.id < dVocab)) continue;
    throw new UserError(
      'verify.token',
      `There is no token ${target.id}: the vocabulary has ${dVocab} tokens.`,
      'Choose another target.',
    );
  }
}

/** Pearson's, or null for fewer than three pairs or values that are all the same. */
function correlation(a: readonly number[], b: readonly number[]): number | null {
  if (a.length < 3) return null;
  const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [meanA, meanB] = [mean(a), mean(b)];
  let [product, squareA, squareB] = [0, 0, 0];
  for (const [i, value] of a.entries()) {
    product += (value - meanA) * (b[i] - meanB);
    squareA += (value - meanA) ** 2;
    squareB += (b[i] - meanB) ** 2;
  }
  return squareA > 0 && squareB > 0 ? product / Math.sqrt(squareA * squareB) : null;
}

function siteKey(sites: readonly Site[]): string {
  return sites.map(({ layer, pos, feature }) => `${layer} ${pos} ${feature}`).join(', ');
}
