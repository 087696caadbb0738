import type { ModelConfig } from './config.ts';
import { type RopeTable, ropeTable } from './rope.ts';

/** Masks and rotations of one run's positions, each made once for all layers that share it. */
export class Positions {
  readonly nPos: number;
  readonly nKeys: number;
  readonly #config: ModelConfig;
  readonly #from: number;
  readonly #masks = new Map<number | null, Float32Array>();
  readonly #ropes = new Map<string, RopeTable>();

  constructor(config: ModelConfig, from: number, nPos: number) {
    this.#config = config;
    this.#from = from;
    this.nPos = nPos;
    this.nKeys = from + nPos;
  }

  /** [pos, keys]: 0 where a position attends, else so low that its share is exactly 0. */
  mask(layer: number): Float32Array {
    const window = this.#config.windows[layer] ?? null;
    let mask = this.#masks.get(window);
    if (!mask) {
      mask = new Float32Array(this.nPos * this.nKeys).fill(-1e30);
      for (let pos = 0; pos < this.nPos; pos++) {
        const last = this.#from + pos;
        const first = window === null ? 0 : Math.max(0, last - window + 1);
        mask.fill(0, pos * this.nKeys + first, pos * this.nKeys + last + 1);
      }
      this.#masks.set(window, mask);
    }
    return mask;
  }

  rope(layer: number): RopeTable {
    const rope = this.#config.ropes[layer]!;
    const key = JSON.stringify(rope);
    let table = this.#ropes.get(key);
    if (!table) {
      table = ropeTable(rope, this.#config.dHead, this.#from, this.nPos);
      this.#ropes.set(key, table);
    }
    return table;
  }
}
