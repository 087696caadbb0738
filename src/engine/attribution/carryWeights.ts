import { mostCarryBytes } from '../../protocol/limits.ts';
import type { LanguageModel, ModelDimensions } from '../model/languageModel.ts';
import { sharedFloats } from './sharedMemory.ts';

/** What carries a gradient back through one layer's attention. All norm gains and scales are folded in. */
export type CarryWeights = {
  /** [head, dModel, dHead]: the output projection; its rows times the gain of a norm after attention. */
  readonly output: Float32Array;
  /** [kvHead · dHead, dModel]: the value projection; its columns times the gain of the norm before. */
  readonly value: Float32Array;
};

/** Whether a model's weights are kept between steps. */
export function keepsCarryWeights({ nLayers, dModel, nHeads, nKeyValueHeads, dHead }: ModelDimensions): boolean {
  return nLayers * dModel * (nHeads + nKeyValueHeads) * dHead * 4 <= mostCarryBytes;
}

/** A model's weights as the sweep uses them: the same for every prompt. */
export class CarryWeightStore {
  readonly isShared: boolean;
  readonly #model: LanguageModel;
  readonly #keeps: boolean;
  readonly #kept = new Map<number, CarryWeights>();
  readonly #buffers: { stored?: Float32Array; output?: Float32Array; value?: Float32Array } = {};

  /** @param isShared keep them where worker threads can see them; only for weights that are kept */
  constructor(model: LanguageModel, isShared = false) {
    this.#model = model;
    this.#keeps = keepsCarryWeights(model.dimensions);
    this.isShared = isShared;
  }

  /** Where they are not kept they are good until the next layer's are asked for. */
  layer(layer: number): CarryWeights {
    const known = this.#kept.get(layer);
    if (known) return known;
    const { weights, dimensions } = this.#model;
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
    if (this.#keeps) this.#kept.set(layer, carried);
    return carried;
  }

  /** A new array where weights are kept, else one that every layer uses again. */
  #buffer(role: 'stored' | 'output' | 'value', length: number): Float32Array {
    if (this.#keeps && role !== 'stored') return this.isShared ? sharedFloats(length) : new Float32Array(length);
    this.#buffers[role] ??= new Float32Array(length);
    return this.#buffers[role];
  }
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

/** Each row times its gain. */
export function scaleRows(matrix: Float32Array, gain: Float32Array | null): void {
  if (!gain) return;
  const length = matrix.length / gain.length;
  for (let row = 0; row < gain.length; row++) {
    for (let place = row * length; place < (row + 1) * length; place++) matrix[place] *= gain[row];
  }
}

/** Each column of a matrix with rows of `length` times its gain. */
export function scaleColumns(matrix: Float32Array, gain: Float32Array | null, length: number): void {
  if (!gain) return;
  for (let start = 0; start < matrix.length; start += length) {
    for (let column = 0; column < length; column++) matrix[start + column] *= gain[column];
  }
}
