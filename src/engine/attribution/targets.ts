import { UserError } from '../../protocol/errors.ts';
import type { LanguageModel } from '../model/languageModel.ts';

/** An explained output: a direction read after the final norm, before the unembedding. */
export type OutputTarget = {
  /** Vocabulary id; vocabulary size + i for directions of one's own. */
  readonly id: number;
  /** Null: the token's own text. */
  readonly label: string | null;
  readonly probability: number;
  /** [dModel] */
  readonly vector: Float32Array;
};

/** What to explain, with every text turned into a token id already. */
export type ResolvedTargets =
  | { readonly type: 'top'; readonly maxLogits: number; readonly logitProbability: number }
  | { readonly type: 'ids'; readonly ids: readonly number[] }
  | { readonly type: 'difference'; readonly a: number; readonly b: number; readonly label: string }
  | {
      readonly type: 'directions';
      readonly directions: readonly {
        readonly label: string;
        readonly probability: number;
        readonly vector: Float32Array;
      }[];
    };

/** Directions and ids a person may name at once. */
const maxTargets = 1000;
const rowsAtOnce = 4096;

/**
 * The outputs to explain. A token's direction is its unembedding row less the mean row of the vocabulary, so that what
 * raises all tokens alike does not count; own directions are taken as they are.
 * @param probabilities [dVocab] the model's, at the last position
 * @param meanUnembedding [dModel]
 */
export function outputTargets(
  model: LanguageModel,
  wanted: ResolvedTargets,
  probabilities: Float64Array,
  meanUnembedding: Float64Array,
): OutputTarget[] {
  const { dModel, dVocab } = model.dimensions;
  const token = (id: number): OutputTarget => {
    checkId(id, dVocab);
    const row = model.weights.model('unembedding', id, id + 1);
    return {
      id,
      label: null,
      probability: probabilities[id],
      vector: row.map((value, i) => value - meanUnembedding[i]),
    };
  };
  if (wanted.type === 'top') return mostLikely(probabilities, wanted.maxLogits, wanted.logitProbability).map(token);
  if (wanted.type === 'ids') {
    checkCount(wanted.ids.length);
    return wanted.ids.map(token);
  }
  if (wanted.type === 'difference') {
    const { a, b } = wanted;
    for (const id of [a, b]) checkId(id, dVocab);
    const second = model.weights.model('unembedding', b, b + 1);
    const vector = model.weights.model('unembedding', a, a + 1).map((value, i) => value - second[i]);
    return [{ id: dVocab, label: wanted.label, probability: Math.abs(probabilities[a] - probabilities[b]), vector }];
  }
  checkCount(wanted.directions.length);
  return wanted.directions.map(({ label, probability, vector }, index) => {
    checkDirection(label, probability, vector, dModel);
    return { id: dVocab + index, label, probability, vector };
  });
}

/** The fewest most likely ids whose probability reaches `share`, at most `most`. */
export function mostLikely(probabilities: Float64Array, most: number, share: number): number[] {
  // The most likely so far, in their order; of equals the first. Most of a vocabulary is only compared with the last.
  const best: number[] = [];
  let least = Number.NEGATIVE_INFINITY;
  for (let id = 0; id < probabilities.length; id++) {
    if (!(probabilities[id] > least)) continue;
    const place = best.findLastIndex((other) => probabilities[other] >= probabilities[id]) + 1;
    best.splice(place, 0, id);
    if (best.length > most) best.pop();
    if (best.length === most) least = probabilities[best[most - 1]];
  }
  const chosen: number[] = [];
  let sum = 0;
  for (const id of best) {
    chosen.push(id);
    sum += probabilities[id];
    if (sum >= share) break;
  }
  return chosen;
}

/** Softmax in float64. */
export function softmax(logits: Float32Array): Float64Array {
  let largest = Number.NEGATIVE_INFINITY;
  const values = new Float64Array(logits.length);
  // Over a vocabulary, iterators and a function called for each take ten times as long as loops.
  for (let id = 0; id < logits.length; id++) largest = Math.max(largest, logits[id]);
  let sum = 0;
  for (let id = 0; id < logits.length; id++) {
    values[id] = Math.exp(logits[id] - largest);
    sum += values[id];
  }
  for (let id = 0; id < values.length; id++) values[id] /= sum;
  return values;
}

/** [dModel] the mean row of the unembedding. Reads the whole matrix, a part at a time. */
export async function meanOfUnembedding(model: LanguageModel, onPart: () => Promise<void>): Promise<Float64Array> {
  const { dModel, dVocab } = model.dimensions;
  const mean = new Float64Array(dModel);
  const buffer = new Float32Array(Math.min(rowsAtOnce, dVocab) * dModel);
  for (let from = 0; from < dVocab; from += rowsAtOnce) {
    await onPart();
    const to = Math.min(from + rowsAtOnce, dVocab);
    const rows = model.weights.model('unembedding', from, to, buffer);
    for (let start = 0; start < (to - from) * dModel; start += dModel) {
      for (let i = 0; i < dModel; i++) mean[i] += rows[start + i];
    }
  }
  return mean.map((sum) => sum / dVocab);
}

function checkId(id: number, dVocab: number): void {
  if (Number.isSafeInteger(id) && id >= 0 && id < dVocab) return;
  throw new UserError(
    'targets.id',
    `There is no token ${id}: the vocabulary has ${dVocab} tokens, 0 to ${dVocab - 1}.`,
    'Choose another target.',
  );
}

function checkCount(count: number): void {
  if (count > 0 && count <= maxTargets) return;
  throw new UserError(
    'targets.count',
    `${count} targets were given; 1 to ${maxTargets} can be explained at once.`,
    'Choose fewer targets.',
  );
}

function checkDirection(label: string, probability: number, vector: Float32Array, dModel: number): void {
  if (vector.length !== dModel) {
    throw new UserError(
      'targets.direction',
      `The direction ${JSON.stringify(label)} has ${vector.length} numbers; the model's width is ${dModel}.`,
      'Give a vector as wide as the model.',
    );
  }
  if (!(probability >= 0 && probability <= 1) || !vector.every(Number.isFinite)) {
    throw new UserError(
      'targets.direction',
      `The direction ${JSON.stringify(label)} needs finite numbers and a probability from 0 to 1, not ${probability}.`,
      'Correct the direction.',
    );
  }
}
