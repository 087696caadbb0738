import type { ModelDimensions } from '../model/languageModel.ts';
import type { Batch } from './batches.ts';
import type { CarryWeights } from './carryWeights.ts';
import type { PositionRange, SkipWeights } from './localModel.ts';
import type { SpecialTokens } from './specialTokens.ts';
import type { SweepSteps } from './sweepSteps.ts';
import type { WrittenBlock } from './writtenBlock.ts';

/**
 * One target whose sources' effects are wanted: a direction [dModel] read from the residual stream before the MLP of
 * `layer` at `pos`; `layer` = nLayers: after the last layer.
 */
export type Target = { readonly layer: number; readonly pos: number };

/** What a batch needs of a prompt, wherever it lies. Arrays are good until the same is asked for another layer. */
export type SweepPrompt = {
  readonly dimensions: ModelDimensions;
  /** Number of source columns, and the column of the first token. */
  readonly nColumns: number;
  readonly firstTokenColumn: number;
  readonly special: SpecialTokens;
  readonly carryWeights: (layer: number) => CarryWeights;
  /** As `LocalModel.carryPattern`. */
  readonly carryPattern: (layer: number, queries: PositionRange, keys: PositionRange) => Float32Array;
  readonly skipWeights: (layer: number) => SkipWeights | null;
  /** What is written just below a layer, from the first of the positions on; null: it comes in pieces. */
  readonly blockBelow: (layer: number, positions: PositionRange) => WrittenBlock | null;
  /** The pieces, by position; each good until the next. */
  readonly piecesBelow: (layer: number, positions: PositionRange) => Iterable<WrittenBlock>;
};

/** Two arrays that a batch's gradient goes to and fro between. */
class GradientPair {
  readonly #arrays = [new Float32Array(0), new Float32Array(0)];

  /** The one that is not `current`. */
  other(current: Float32Array | null, length: number): Float32Array {
    const index = this.#arrays[0].buffer === current?.buffer ? 1 : 0;
    if (this.#arrays[index].length < length) this.#arrays[index] = new Float32Array(length);
    return this.#arrays[index].subarray(0, length);
  }
}

/** Arrays reused between batches: gradients, the dots of one layer, the effects of the batches that are swept together. */
export class SweepBuffers {
  readonly #gradients: GradientPair[] = [];
  #dots = new Float32Array(0);
  #entering = new Float32Array(0);
  #nothing = new Float32Array(0);
  #effects = new Float32Array(0);

  /** Those of the batch at this place among the ones that are swept together. */
  gradients(place: number): GradientPair {
    this.#gradients[place] ??= new GradientPair();
    return this.#gradients[place];
  }

  dots(length: number): Float32Array {
    if (this.#dots.length < length) this.#dots = new Float32Array(length);
    return this.#dots.subarray(0, length);
  }

  /** A block with one source per position, which is nothing. */
  nothing(positions: PositionRange, dModel: number): WrittenBlock {
    const span = positions.to - positions.from;
    if (this.#nothing.length < span * dModel) this.#nothing = new Float32Array(span * dModel);
    const vectors = this.#nothing.subarray(0, span * dModel);
    const columns = new Int32Array(span).fill(-1);
    return { firstPos: positions.from, nPos: positions.to, width: 1, vectors, factors: null, columns };
  }

  /** The gradient of rows that begin at a layer. */
  entering(length: number): Float32Array {
    if (this.#entering.length < length) this.#entering = new Float32Array(length);
    return this.#entering.subarray(0, length);
  }

  effects(length: number): Float32Array {
    if (this.#effects.length < length) this.#effects = new Float32Array(length);
    return this.#effects.subarray(0, length).fill(0);
  }
}

/** What the steps of a batch work with. */
export type BatchSweep = {
  readonly prompt: SweepPrompt;
  readonly steps: SweepSteps;
  readonly buffers: SweepBuffers;
  /** Multiplications of the matrix products so far. */
  readonly work: { multiplications: number };
  /** Called before each layer; may throw to stop. */
  readonly onLayer?: () => void;
};

/** A batch on its way down. */
export type Descent = {
  readonly batch: Batch;
  readonly gradients: GradientPair;
  /** [batch row, source column] */
  readonly effects: Float32Array;
  state: SweepState;
};

/** Where a batch is on its way down: rows enter when their layer is reached. */
type SweepState = {
  readonly positions: PositionRange;
  readonly nRows: number;
  /** [pos, nRows, dModel] */
  readonly gradient: Float32Array;
};

/** Puts more rows behind those of a batch. @param rows [pos, nRows, dModel] */
export function appendRows(descent: Descent, rows: Float32Array, nRows: number, dModel: number): void {
  if (nRows === 0) return;
  const { state, gradients } = descent;
  const [before, added] = [state.nRows * dModel, nRows * dModel];
  const nPos = state.positions.to - state.positions.from;
  const gradient = gradients.other(state.gradient, nPos * (before + added));
  for (let pos = 0; pos < nPos; pos++) {
    const start = pos * (before + added);
    gradient.set(state.gradient.subarray(pos * before, (pos + 1) * before), start);
    gradient.set(rows.subarray(pos * added, (pos + 1) * added), start + before);
  }
  descent.state = { ...state, nRows: state.nRows + nRows, gradient };
}

/** effects[row, column] += dots[pos, row, place of the column at pos] */
export function addEffects(
  dots: Float32Array,
  nRows: number,
  { columns, width, factors }: WrittenBlock,
  nColumns: number,
  effects: Float32Array,
): void {
  const nPos = dots.length / (nRows * width);
  for (let pos = 0; pos < nPos; pos++) {
    for (let row = 0; row < nRows; row++) {
      const from = (pos * nRows + row) * width;
      const to = row * nColumns;
      for (let place = 0; place < width; place++) {
        const column = columns[pos * width + place];
        if (column < 0) continue;
        const dot = dots[from + place];
        effects[to + column] += factors ? dot * factors[pos * width + place] : dot;
      }
    }
  }
}

/** effects[row, column of the token] += contributions[row, token], for special tokens */
export function addTokenEffects(
  contributions: Float32Array,
  nRows: number,
  { nColumns, firstTokenColumn, special }: SweepPrompt,
  effects: Float32Array,
): void {
  const { count } = special;
  for (let row = 0; row < nRows; row++) {
    for (let token = 0; token < count; token++) {
      effects[row * nColumns + firstTokenColumn + token] += contributions[row * count + token];
    }
  }
}
