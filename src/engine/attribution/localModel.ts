import type { ForwardResult, LanguageModel } from '../model/languageModel.ts';
import { wholeTensor } from '../transcoders/floatTensor.ts';
import { type FrozenScale, readingScale, writingScale } from '../transcoders/tapPoint.ts';
import type { TranscoderSet } from '../transcoders/transcoder.ts';
import { carryPattern } from './carryPattern.ts';
import { CarryWeightStore, type CarryWeights, keepsCarryWeights, scaleColumns, scaleRows } from './carryWeights.ts';
import { asShared } from './sharedMemory.ts';

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
  readonly #weights: CarryWeightStore;
  readonly #skips = new Map<number, SkipWeights>();
  readonly #patterns = new Map<
    string,
    { readonly queries: PositionRange; readonly keys: PositionRange; readonly pattern: Float32Array }
  >();

  /** @param weights of the model, where they are kept from prompt to prompt */
  constructor(
    model: LanguageModel,
    set: TranscoderSet,
    run: ForwardResult,
    weights: CarryWeightStore = new CarryWeightStore(model),
  ) {
    this.model = model;
    this.set = set;
    this.run = run;
    this.#weights = weights;
  }

  /** Whether worker threads take part: then large arrays lie where they can see them. */
  get isShared(): boolean {
    return this.#weights.isShared;
  }

  carryWeights(layer: number): CarryWeights {
    return this.#weights.layer(layer);
  }

  /** As the function of that name; the last pattern of each layer is remembered, but for single queries. */
  carryPattern(layer: number, queries: PositionRange, keys: PositionRange): Float32Array {
    const name = `${layer} ${keys.from === queries.from}`;
    const known = this.#patterns.get(name);
    if (known && isSameRange(known.queries, queries) && isSameRange(known.keys, keys)) return known.pattern;
    const pattern = carryPattern(this.run.layers[layer], this.model.dimensions, queries, keys);
    if (queries.to - queries.from > 1) this.#patterns.set(name, { queries, keys, pattern });
    return pattern;
  }

  /** The gradient at the residual stream before a layer's MLP of what an encoder row [dModel] reads there, in place. */
  scaleReading(layer: number, pos: number, row: Float32Array): void {
    scaleInPlace(row, readingScale(this.set.inputHook, this.model, this.run, layer), pos);
  }

  /** What a vector [dModel] at the output hook adds to the residual stream, in place. */
  scaleWriting(layer: number, pos: number, vector: Float32Array): void {
    scaleInPlace(vector, this.writingScale(layer), pos);
  }

  /** How what is written at the output hook reaches the residual stream. */
  writingScale(layer: number): FrozenScale {
    return writingScale(this.set.outputHook, this.model, this.run, layer);
  }

  skipWeights(layer: number): SkipWeights | null {
    const { skip } = this.set.layers[layer];
    if (!skip) return null;
    const known = this.#skips.get(layer);
    if (known) return known;
    const { dModel } = this.model.dimensions;
    const stored = wholeTensor(skip.tensor);
    const laid = skip.isTransposed ? transposed(stored, dModel) : stored;
    const matrix = this.isShared ? asShared(laid) : laid;
    const reading = readingScale(this.set.inputHook, this.model, this.run, layer);
    const writing = this.writingScale(layer);
    scaleRows(matrix, writing.gain);
    scaleColumns(matrix, reading.gain, dModel);
    const scale = new Float32Array(this.run.nPos);
    for (let pos = 0; pos < scale.length; pos++) {
      scale[pos] = skip.scale * (reading.scale ? reading.scale[pos] : 1) * (writing.scale ? writing.scale[pos] : 1);
    }
    const weights = { matrix, scale };
    if (keepsCarryWeights(this.model.dimensions)) this.#skips.set(layer, weights);
    return weights;
  }

  /** The gradient at the residual stream after the last layer of a direction [dModel] read after the final norm. */
  finalReading(vector: Float32Array, pos: number): Float32Array {
    const gain = this.model.weights.model('finalNorm');
    return vector.map((value, index) => value * gain[index] * this.run.finalNormScale[pos]);
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

function transposed(matrix: Float32Array, size: number): Float32Array {
  const result = new Float32Array(matrix.length);
  for (let row = 0; row < size; row++) {
    for (let column = 0; column < size; column++) result[column * size + row] = matrix[row * size + column];
  }
  return result;
}
