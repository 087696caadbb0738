import { activate } from './activation.ts';
import { encoderRows } from './featureRows.ts';
import { MatrixProduct, type ProductOptions } from './matrixProduct.ts';
import type { TranscoderSet } from './transcoder.ts';

/** Numbers of one layer's pre-activations that are in memory at a time, unless told otherwise: longer prompts go in pieces. */
const usualPieceSize = 2 ** 24;

export type EncoderOptions = ProductOptions & {
  /** Pre-activations in memory at a time. */
  readonly pieceSize?: number;
};

/** Encoder rows kept for features that are asked for one by one: some megabytes. */
const mostRows = 1024;

/** Features that are on, sorted by layer, then position, then feature. One array per column. */
export type ActiveFeatures = {
  readonly count: number;
  readonly layer: Uint16Array;
  readonly pos: Uint32Array;
  readonly feature: Uint32Array;
  readonly activation: Float32Array;
};

/** Runs the encoders of a set. Holds small sessions, no weights. */
export class Encoder {
  readonly #set: TranscoderSet;
  readonly #product: MatrixProduct;
  readonly #pieceSize: number;
  /** By layer and feature: the direction [dModel] that it reads. */
  readonly #rows = new Map<string, Float32Array>();

  constructor(set: TranscoderSet, options: EncoderOptions = {}) {
    this.#set = set;
    this.#product = new MatrixProduct(options);
    this.#pieceSize = options.pieceSize ?? usualPieceSize;
  }

  /**
   * @param input [pos, dModel] at the set's input hook
   * @param [nextLayer] whose encoder will be needed next: its reading begins while this one computes
   * @returns [pos, feature] before the activation function
   */
  preActivations(layer: number, input: Float32Array, nPos: number, nextLayer?: number): Promise<Float32Array> {
    const { encoder, encoderBias } = this.#set.layers[layer];
    const next = nextLayer === undefined ? null : (this.#set.layers[nextLayer]?.encoder ?? null);
    return this.#product.apply(input, nPos, encoder, encoderBias, next);
  }

  /** Turns one position's pre-activations [feature] into activations, in place. */
  activate(layer: number, values: Float32Array): void {
    const { threshold } = this.#set.layers[layer];
    const { limit } = this.#set;
    if (limit) activate(values, limit);
    else activate(values, threshold ? { type: 'jumprelu', threshold } : { type: 'relu' });
  }

  /**
   * Activations of a few features at given places: without the whole encoder, where features do not compete (TopK).
   * @param input [pos, dModel] at the set's input hook
   */
  async activationsOf(
    layer: number,
    input: Float32Array,
    sites: readonly { readonly pos: number; readonly feature: number }[],
  ): Promise<number[]> {
    const { dModel, nFeatures, limit, layers } = this.#set;
    const { encoderBias, threshold } = layers[layer];
    if (!limit) {
      this.#readRows(layer, [...new Set(sites.map(({ feature }) => feature))]);
      return sites.map(({ pos, feature }) => {
        const row = this.#rows.get(`${layer} ${feature}`)!;
        let sum = encoderBias[feature];
        for (let i = 0; i < dModel; i++) sum += row[i] * input[pos * dModel + i];
        const value = Math.fround(sum);
        return value > (threshold ? threshold[feature] : 0) ? value : 0;
      });
    }
    const positions = [...new Set(sites.map(({ pos }) => pos))];
    const rows = new Float32Array(positions.length * dModel);
    for (const [row, pos] of positions.entries()) {
      rows.set(input.subarray(pos * dModel, (pos + 1) * dModel), row * dModel);
    }
    const values = await this.preActivations(layer, rows, positions.length);
    for (const row of positions.keys()) this.activate(layer, values.subarray(row * nFeatures, (row + 1) * nFeatures));
    return sites.map(({ pos, feature }) => values[positions.indexOf(pos) * nFeatures + feature]);
  }

  /** Makes sure that the features' encoder rows are in memory. */
  #readRows(layer: number, features: readonly number[]): void {
    if (this.#rows.size + features.length > mostRows) this.#rows.clear();
    const { layers, dModel } = this.#set;
    const missing = features.filter((feature) => !this.#rows.has(`${layer} ${feature}`)).sort((a, b) => a - b);
    if (missing.length === 0) return;
    const rows = encoderRows(layers[layer].encoder, missing, dModel);
    for (const [row, feature] of missing.entries()) {
      this.#rows.set(`${layer} ${feature}`, rows.subarray(row * dModel, (row + 1) * dModel));
    }
  }

  /**
   * The features of one layer that are on, by position, then feature.
   * @param input [pos, dModel] at the set's input hook
   * @param firstPos positions before it are taken to be special tokens and have no features
   * @param [nextLayer] the layer that will be asked for next
   */
  async activeAt(
    layer: number,
    input: Float32Array,
    nPos: number,
    firstPos: number,
    nextLayer?: number,
  ): Promise<ActiveFeatures> {
    const { nFeatures, dModel } = this.#set;
    const found = new ActiveList();
    const piece = Math.max(1, Math.floor(this.#pieceSize / nFeatures));
    for (let from = firstPos; from < nPos; from += piece) {
      const count = Math.min(piece, nPos - from);
      const part = input.subarray(from * dModel, (from + count) * dModel);
      const next = from + piece < nPos ? layer : nextLayer;
      const values = await this.preActivations(layer, part, count, next);
      for (let index = 0; index < count; index++) {
        const row = values.subarray(index * nFeatures, (index + 1) * nFeatures);
        this.activate(layer, row);
        for (let feature = 0; feature < nFeatures; feature++) {
          if (row[feature] !== 0) found.push(layer, from + index, feature, row[feature]);
        }
      }
    }
    return found.finish();
  }

  /**
   * Adds skip · input to a layer's output, where the set has a skip matrix.
   * @param input  [pos, dModel] at the input hook
   * @param output [pos, dModel] at the output hook
   */
  async addSkip(layer: number, input: Float32Array, nPos: number, output: Float32Array): Promise<void> {
    const { skip } = this.#set.layers[layer];
    if (!skip) return;
    const change = await this.#product.apply(input, nPos, skip, null);
    for (let place = 0; place < change.length; place++) output[place] += change[place];
  }

  [Symbol.dispose](): void {
    this.#product[Symbol.dispose]();
  }
}

/** Joins the layers' lists, given in layer order. */
export function joinActive(parts: readonly ActiveFeatures[]): ActiveFeatures {
  const count = parts.reduce((sum, part) => sum + part.count, 0);
  const joined = {
    count,
    layer: new Uint16Array(count),
    pos: new Uint32Array(count),
    feature: new Uint32Array(count),
    activation: new Float32Array(count),
  };
  let next = 0;
  for (const part of parts) {
    joined.layer.set(part.layer, next);
    joined.pos.set(part.pos, next);
    joined.feature.set(part.feature, next);
    joined.activation.set(part.activation, next);
    next += part.count;
  }
  return joined;
}

class ActiveList {
  readonly #rows: number[] = [];

  push(layer: number, pos: number, feature: number, activation: number): void {
    this.#rows.push(layer, pos, feature, activation);
  }

  finish(): ActiveFeatures {
    const rows = this.#rows;
    const count = rows.length / 4;
    const found = {
      count,
      layer: new Uint16Array(count),
      pos: new Uint32Array(count),
      feature: new Uint32Array(count),
      activation: new Float32Array(count),
    };
    for (let index = 0; index < count; index++) {
      found.layer[index] = rows[index * 4];
      found.pos[index] = rows[index * 4 + 1];
      found.feature[index] = rows[index * 4 + 2];
      found.activation[index] = rows[index * 4 + 3];
    }
    return found;
  }
}
