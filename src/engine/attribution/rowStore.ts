import type { Target } from './directEffects.ts';
import type { SourceColumns } from './sources.ts';

/** A half-open range of source columns. */
type Range = { readonly from: number; readonly to: number };

/**
 * Effects on the targets swept so far. A target can only be reached from layers below its own and positions up to its
 * own, so just those columns are kept: ranges of the column order, one after the other.
 */
export class RowStore {
  readonly #columns: SourceColumns;
  readonly #rows = new Map<number, { readonly target: Target; readonly values: Float32Array; readonly sum: number }>();

  #bytes = 0;

  constructor(columns: SourceColumns) {
    this.#columns = columns;
  }

  /** Memory that the rows take. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Keeps what can be nonzero of `effects` [source column]. */
  add(key: number, target: Target, effects: Float32Array): void {
    const ranges = this.#ranges(target);
    const values = new Float32Array(ranges.reduce((sum, { from, to }) => sum + to - from, 0));
    let next = 0;
    let sum = 0;
    for (const { from, to } of ranges) {
      for (let column = from; column < to; column++) {
        values[next++] = effects[column];
        sum += Math.abs(effects[column]);
      }
    }
    this.drop(key);
    this.#rows.set(key, { target, values, sum });
    this.#bytes += values.byteLength;
  }

  has(key: number): boolean {
    return this.#rows.has(key);
  }

  /** Σ |effect| of all sources on the target. */
  sum(key: number): number {
    return this.#row(key).sum;
  }

  /** Visits the runs of columns that the target was reached from: values[start …] belong to columns from … to − 1. */
  visit(key: number, each: (values: Float32Array, start: number, from: number, to: number) => void): void {
    const { target, values } = this.#row(key);
    let start = 0;
    for (const { from, to } of this.#ranges(target)) {
      each(values, start, from, to);
      start += to - from;
    }
  }

  /** Forgets a row that is not needed any more. */
  drop(key: number): void {
    this.#bytes -= this.#rows.get(key)?.values.byteLength ?? 0;
    this.#rows.delete(key);
  }

  #row(key: number) {
    const row = this.#rows.get(key);
    if (!row) throw new Error(`no effects on target ${key} yet`);
    return row;
  }

  #ranges({ layer, pos }: Target): Range[] {
    const { active, featureStart, firstPos, nPos, nLayers } = this.#columns;
    const ranges: Range[] = [];
    if (pos >= firstPos) {
      for (let below = 0; below < layer; below++) {
        ranges.push({ from: featureStart[below * nPos + firstPos], to: featureStart[below * nPos + pos + 1] });
      }
      for (let below = 0; below < layer; below++) {
        const start = active.count + below * nPos;
        ranges.push({ from: start + firstPos, to: start + pos + 1 });
      }
    }
    const tokens = active.count + nLayers * nPos;
    ranges.push({ from: tokens, to: tokens + pos + 1 });
    return ranges.filter(({ from, to }) => to > from);
  }
}
