import { decoderRows } from '../transcoders/featureRows.ts';
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

  /** Adds change · decoder row of each feature at its position. */
  add(
    layer: number,
    sites: readonly { readonly pos: number; readonly feature: number }[],
    changes: readonly number[],
  ): void {
    const { dModel } = this.#set;
    const features = [...new Set(sites.map((site) => site.feature))].sort((a, b) => a - b);
    const rowOf = new Map(features.map((feature, row) => [feature, row]));
    for (const slot of this.#set.layers[layer].slots) {
      const rows = decoderRows(slot, features, dModel);
      const delta = this.#deltas.get(slot.writeLayer) ?? new Float32Array(this.#nPos * dModel);
      this.#deltas.set(slot.writeLayer, delta);
      for (const [i, { pos, feature }] of sites.entries()) {
        const row = rowOf.get(feature)! * dModel;
        for (let k = 0; k < dModel; k++) delta[pos * dModel + k] += changes[i] * rows[row + k];
      }
    }
  }

  /** [pos, dModel] all that is written to a layer; null for nothing. */
  take(layer: number): Float32Array | null {
    return this.#deltas.get(layer) ?? null;
  }
}
