import { patternBlock } from '../model/attentionBlocks.ts';
import type { ForwardResult, LanguageModel } from '../model/languageModel.ts';
import { wholeTensor } from '../transcoders/floatTensor.ts';
import { readingScale, writingScale } from '../transcoders/tapPoint.ts';
import type { TranscoderSet } from '../transcoders/transcoder.ts';

/** Layer weights kept in float32 between steps up to this size; larger models read them from their files each step. */
const keptWeightBytes = 512 * 2 ** 20;

/** What carries a gradient back through one layer's attention. All norm gains and scales are folded in. */
export type CarryWeights = {
  /** [head, dModel, dHead]: the output projection; its rows times the gain of a norm after attention. */
  readonly output: Float32Array;
  /** [kvHead · dHead, dModel]: the value projection; its columns times the gain of the norm before. */
  readonly value: Float32Array;
};

/** Positions from … to − 1. */
export type PositionRange = { readonly from: number; readonly to: number };

/** A skip matrix as it acts on gradients at the residual stream: G[pos] += scale[pos] · G[pos] · matrix. */
export type SkipWeights = { readonly matrix: Float32Array; readonly scale: Float32Array };

/**
 * The model at one prompt, made linear: attention patterns and norm scales are constants of the run, MLPs pass nothing
 * on but what a skip matrix does. Everything else in a transformer is linear already.
 */
export class LocalModel {
  readonly model: LanguageModel;
  readonly set: TranscoderSet;
  readonly run: ForwardResult;
  readonly #kept = new Map<number, CarryWeights>();
  readonly #skips = new Map<number, SkipWeights>();
  readonly #patterns = new Map<
    string,
    { readonly queries: PositionRange; readonly keys: PositionRange; readonly pattern: Float32Array }
  >();
  readonly #keepsWeights: boolean;
  readonly #shared: { stored?: Float32Array; output?: Float32Array; value?: Float32Array } = {};

  constructor(model: LanguageModel, set: TranscoderSet, run: ForwardResult) {
    this.model = model;
    this.set = set;
    this.run = run;
    const { nLayers, dModel, nHeads, nKeyValueHeads, dHead } = model.dimensions;
    this.#keepsWeights = nLayers * dModel * (nHeads + nKeyValueHeads) * dHead * 4 <= keptWeightBytes;
  }

  carryWeights(layer: number): CarryWeights {
    const known = this.#kept.get(layer);
    if (known) return known;
    const { weights, dimensions } = this.model;
    const { dModel, nHeads, nKeyValueHeads, dHead } = dimensions;
    const stored = this.#buffer('stored', dModel * nHeads * dHead);
    const output = this.#buffer('output', dModel * nHeads * dHead);
    const value = this.#buffer('value', nKeyValueHeads * dHead * dModel);
    weights.layer(layer, 'attnOutput', stored);
    weights.layer(layer, 'value', value);
    scaleRows(stored, weights.layer(layer, 'postAttnNorm'));
    splitHeads(stored, output, nHeads, dHead);
    scaleColumns(value, weights.layer(layer, 'attnNorm'), dModel);
    const carried = { output, value };
    if (this.#keepsWeights) this.#kept.set(layer, carried);
    return carried;
  }

  /**
   * The attention pattern laid out to carry gradients from queries to keys: [kvHead, key, group · nQueries + query],
   * each entry times the norm scales at both ends. Queries and keys are positions `queries.from` … `queries.to` − 1, and
   * likewise the keys.
   */
  carryPattern(layer: number, queries: PositionRange, keys: PositionRange): Float32Array {
    const name = `${layer} ${keys.from === queries.from}`;
    const known = this.#patterns.get(name);
    if (known && isSameRange(known.queries, queries) && isSameRange(known.keys, keys)) return known.pattern;
    const { nHeads, nKeyValueHeads } = this.model.dimensions;
    const { attnPattern, attnFactors, attnNormScale, postAttnNormScale } = this.run.layers[layer];
    const block = attnFactors ? patternBlock(attnFactors, queries, keys) : null;
    const nAll = this.run.nPos;
    const groups = nHeads / nKeyValueHeads;
    const nQueries = queries.to - queries.from;
    const nKeys = keys.to - keys.from;
    const pattern = new Float32Array(nKeyValueHeads * nKeys * groups * nQueries);
    for (let head = 0; head < nHeads; head++) {
      const row = Math.floor(head / groups) * nKeys - keys.from;
      const column = (head % groups) * nQueries - queries.from;
      for (let query = queries.from; query < queries.to; query++) {
        const after = postAttnNormScale ? postAttnNormScale[query] : 1;
        for (let key = keys.from; key < keys.to && key <= query; key++) {
          const share = block
            ? block[(head * nQueries + query - queries.from) * nKeys + key - keys.from]
            : attnPattern[(head * nAll + query) * nAll + key];
          pattern[(row + key) * groups * nQueries + column + query] = share * attnNormScale[key] * after;
        }
      }
    }
    this.#patterns.set(name, { queries, keys, pattern });
    return pattern;
  }

  /** The gradient at the residual stream before a layer's MLP of what an encoder row [dModel] reads there, in place. */
  scaleReading(layer: number, pos: number, row: Float32Array): void {
    scaleInPlace(row, readingScale(this.set.inputHook, this.model, this.run, layer), pos);
  }

  /** What a vector [dModel] at the output hook adds to the residual stream, in place. */
  scaleWriting(layer: number, pos: number, vector: Float32Array): void {
    scaleInPlace(vector, writingScale(this.set.outputHook, this.model, this.run, layer), pos);
  }

  skipWeights(layer: number): SkipWeights | null {
    const { skip } = this.set.layers[layer];
    if (!skip) return null;
    const known = this.#skips.get(layer);
    if (known) return known;
    const { dModel } = this.model.dimensions;
    const stored = wholeTensor(skip.tensor);
    const matrix = skip.isTransposed ? transposed(stored, dModel) : stored;
    const reading = readingScale(this.set.inputHook, this.model, this.run, layer);
    const writing = writingScale(this.set.outputHook, this.model, this.run, layer);
    scaleRows(matrix, writing.gain);
    scaleColumns(matrix, reading.gain, dModel);
    const scale = new Float32Array(this.run.nPos);
    for (let pos = 0; pos < scale.length; pos++) {
      scale[pos] = skip.scale * (reading.scale ? reading.scale[pos] : 1) * (writing.scale ? writing.scale[pos] : 1);
    }
    const weights = { matrix, scale };
    if (this.#keepsWeights) this.#skips.set(layer, weights);
    return weights;
  }

  /** The gradient at the residual stream after the last layer of a direction [dModel] read after the final norm. */
  finalReading(vector: Float32Array, pos: number): Float32Array {
    const gain = this.model.weights.model('finalNorm');
    return vector.map((value, index) => value * gain[index] * this.run.finalNormScale[pos]);
  }

  /** A new array where weights are kept, else one that every layer shares. */
  #buffer(role: 'stored' | 'output' | 'value', length: number): Float32Array {
    if (this.#keepsWeights && role !== 'stored') return new Float32Array(length);
    this.#shared[role] ??= new Float32Array(length);
    return this.#shared[role];
  }
}

function isSameRange(a: PositionRange, b: PositionRange): boolean {
  return a.from === b.from && a.to === b.to;
}

function scaleInPlace(
  row: Float32Array,
  { scale, gain }: { readonly scale: Float32Array | null; readonly gain: Float32Array | null },
  pos: number,
): void {
  if (!scale && !gain) return;
  const atPos = scale ? scale[pos] : 1;
  for (let index = 0; index < row.length; index++) row[index] *= gain ? gain[index] * atPos : atPos;
}

/** [dModel, head · dHead] → [head, dModel, dHead] */
function splitHeads(stored: Float32Array, target: Float32Array, nHeads: number, dHead: number): void {
  const dModel = stored.length / (nHeads * dHead);
  for (let head = 0; head < nHeads; head++) {
    for (let i = 0; i < dModel; i++) {
      const start = (i * nHeads + head) * dHead;
      target.set(stored.subarray(start, start + dHead), (head * dModel + i) * dHead);
    }
  }
}

function scaleRows(matrix: Float32Array, gain: Float32Array | null): void {
  if (!gain) return;
  const length = matrix.length / gain.length;
  for (let row = 0; row < gain.length; row++) {
    for (let place = row * length; place < (row + 1) * length; place++) matrix[place] *= gain[row];
  }
}

function scaleColumns(matrix: Float32Array, gain: Float32Array | null, length: number): void {
  if (!gain) return;
  for (let start = 0; start < matrix.length; start += length) {
    for (let column = 0; column < length; column++) matrix[start + column] *= gain[column];
  }
}

function transposed(matrix: Float32Array, size: number): Float32Array {
  const result = new Float32Array(matrix.length);
  for (let row = 0; row < size; row++) {
    for (let column = 0; column < size; column++) result[column * size + row] = matrix[row * size + column];
  }
  return result;
}
