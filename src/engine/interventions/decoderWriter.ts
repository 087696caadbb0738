import { decoderRows, writtenAmounts } from '../transcoders/featureRows.ts';
import type { TranscoderSet } from '../transcoders/transcoder.ts';

/** Collects what edited features write, at their own layer and, for cross-layer features, at all later ones. */
export class DecoderWriter {
  readonly #set: TranscoderSet;
  readonly #nPos: number;
  /** By layer written: [pos, dModel] */
  readonly #deltas = new Map<number, Float32Array>();

  constructor(set: TranscoderSet, nPos: number) {
    this.#set = set;
    this.#nPos = nPos;
  }

  /** Adds what each feature at its position writes with its new activation less what it writes with the old one. */
  add(
    layer: number,
    sites: readonly { readonly pos: number; readonly feature: number }[],
    before: readonly number[],
    after: readonly number[],
  ): void {
    const { dModel } = this.#set;
    const features = [...new Set(sites.map((site) => site.feature))].sort((a, b) => a - b);
    const rowOf = new Map(features.map((feature, row) => [feature, row]));
    const asked = sites.map((site) => site.feature);
    for (const slot of this.#set.layers[layer].slots) {
      const from = writtenAmounts(slot, asked, before);
      const to = writtenAmounts(slot, asked, after);
      const rows = decoderRows(slot, features, dModel);
      const delta = this.#deltas.get(slot.writeLayer) ?? new Float32Array(this.#nPos * dModel);
      this.#deltas.set(slot.writeLayer, delta);
      for (const [i, { pos, feature }] of sites.entries()) {
        const row = rowOf.get(feature)! * dModel;
        for (let k = 0; k < dModel; k++) delta[pos * dModel + k] += (to[i] - from[i]) * rows[row + k];
      }
    }
  }

  /** Adds a vector [dModel] to what is written to a layer at one position. */
  addVector(layer: number, pos: number, vector: Float32Array): void {
    const { dModel } = this.#set;
    const delta = this.#deltas.get(layer) ?? new Float32Array(this.#nPos * dModel);
    this.#deltas.set(layer, delta);
    for (let i = 0; i < dModel; i++) delta[pos * dModel + i] += vector[i];
  }

  /** [pos, dModel] all that is written to a layer; null for nothing. */
  take(layer: number): Float32Array | null {
    return this.#deltas.get(layer) ?? null;
  }
}
