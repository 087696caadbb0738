import { floatTensor, type Tensor } from '../runtime/session.ts';
import type { PreparedSweep } from './directEffects.ts';
import type { LocalModel, PositionRange } from './localModel.ts';
import type { PieceSteps } from './pieceSessions.ts';
import type { Scratch } from './scratch.ts';
import type { PrivateCopies } from './sharedMemory.ts';
import { tokenColumn } from './writtenBlock.ts';

type State = {
  readonly positions: PositionRange;
  readonly nRows: number;
  /** [pos, nRows, dModel] */
  readonly gradient: Float32Array;
};

/** Rows of the last product at a time: few enough that they stay in the cache. */
const rowsAtOnce = 2048;

type CarryBuffers = {
  /** [row, source column] */
  readonly effects: Float32Array;
  readonly scratch: Scratch;
  readonly copies: PrivateCopies;
  /** Positions whose pattern is in memory at a time. */
  readonly atOnce: number;
};

/**
 * Carries gradients back through one layer's attention, in place, and adds the effects of the special tokens at the
 * start that are looked at there:
 *   gradient[k, row] += Σ_head Σ_q pattern[head, q, k] · (gradient[q, row] · output_head) · value_head
 * One key-value head and `atOnce` keys at a time, so that no array grows with the square of the prompt.
 */
export async function carryInPieces(
  { local, sources, sessions, special, work }: PreparedSweep,
  layer: number,
  { positions, nRows, gradient }: State,
  { effects, scratch, copies, atOnce }: CarryBuffers,
): Promise<void> {
  const steps = await sessions.pieces.steps();
  const { dModel, nHeads, nKeyValueHeads, dHead } = local.model.dimensions;
  const groups = nHeads / nKeyValueHeads;
  const nPos = positions.to - positions.from;
  const weights = local.carryWeights(layer);
  const [output, value] = [copies.of('output', weights.output), copies.of('value', weights.value)];
  const mixer = new Mixer(local, steps, layer, positions, scratch);
  const perKey = nRows * dHead;
  const byQuery = Array.from({ length: groups }, (_, group) => scratch.floats(`byQuery ${group}`, nPos * perKey));
  const byKey = Array.from({ length: nKeyValueHeads }, (_, head) => scratch.floats(`byKey ${head}`, nPos * perKey));
  for (let kvHead = 0; kvHead < nKeyValueHeads; kvHead++) {
    for (let group = 0; group < groups; group++) {
      const head = kvHead * groups + group;
      const ofHead = output.subarray(head * dModel * dHead, (head + 1) * dModel * dHead);
      work.multiplications += nPos * nRows * dModel * dHead;
      await steps.project.run(
        { x: floatTensor(gradient, [nPos * nRows, dModel]), w: floatTensor(ofHead, [dModel, dHead]) },
        { y: floatTensor(byQuery[group], [nPos * nRows, dHead]) },
      );
    }
    for (let from = positions.from; from < positions.to; from += atOnce) {
      const keys = { from, to: Math.min(from + atOnce, positions.to) };
      const place = (from - positions.from) * perKey;
      work.multiplications += groups * (keys.to - from) * (positions.to - from) * perKey;
      await mixer.mix(kvHead, keys, byQuery, perKey, byKey[kvHead].subarray(place, place + (keys.to - from) * perKey));
    }
    if (positions.from === 0 || special.count === 0) continue;
    const looked = scratch.floats('looked', special.count * perKey);
    await mixer.mix(kvHead, { from: 0, to: special.count }, byQuery, perKey, looked);
    const read = special.values[layer].subarray(kvHead * special.count * dHead * special.count);
    for (let row = 0; row < nRows; row++) {
      for (let token = 0; token < special.count; token++) {
        let sum = 0;
        for (let key = 0; key < special.count; key++) {
          for (let i = 0; i < dHead; i++) {
            sum += looked[key * perKey + row * dHead + i] * read[(key * dHead + i) * special.count + token];
          }
        }
        effects[row * sources.count + tokenColumn(sources, token)] += sum;
      }
    }
  }
  work.multiplications += nPos * nRows * nKeyValueHeads * dHead * dModel;
  const width = nKeyValueHeads * dHead;
  const place = (from: number) => from * nRows * dModel;
  const positionsAtOnce = Math.max(1, Math.floor(rowsAtOnce / nRows));
  for (let from = 0; from < nPos; from += positionsAtOnce) {
    const to = Math.min(from + positionsAtOnce, nPos);
    const count = (to - from) * nRows;
    const x = scratch.floats('byHead', count * width);
    byKey.forEach((ofHead, head) => {
      for (let row = 0; row < count; row++) {
        const start = from * perKey + row * dHead;
        x.set(ofHead.subarray(start, start + dHead), row * width + head * dHead);
      }
    });
    const part = gradient.subarray(place(from), place(to));
    const y = scratch.floats('carried', part.length);
    await steps.projectOnto.run(
      {
        x: floatTensor(x, [count, width]),
        w: floatTensor(value, [width, dModel]),
        sum: floatTensor(part, [count, dModel]),
      },
      { y: floatTensor(y, [count, dModel]) },
    );
    part.set(y);
  }
}

/** Sums over the queries of one layer what they pass on to some keys. */
class Mixer {
  readonly #local: LocalModel;
  readonly #steps: PieceSteps;
  readonly #layer: number;
  readonly #queries: PositionRange;
  /** [pos] 0, 1, 2 …: where queries and keys are. */
  readonly #places: Float32Array;
  /** [pos] */
  readonly #queryScale: Float32Array;
  readonly #scratch: Scratch;

  constructor(local: LocalModel, steps: PieceSteps, layer: number, queries: PositionRange, scratch: Scratch) {
    this.#scratch = scratch;
    this.#local = local;
    this.#steps = steps;
    this.#layer = layer;
    this.#queries = queries;
    const { nPos, layers } = local.run;
    this.#places = Float32Array.from({ length: nPos }, (_, pos) => pos);
    this.#queryScale = layers[layer].postAttnNormScale ?? new Float32Array(nPos).fill(1);
  }

  /**
   * byKey[key, number] = Σ_head Σ_query pattern[head, query, key] · byQuery[head][query, number]
   * @param byQuery of the heads that share the key-value head: [query, number] from the first query on
   * @param byKey   [key, number]
   */
  async mix(
    kvHead: number,
    keys: PositionRange,
    byQuery: readonly Float32Array[],
    nNumbers: number,
    byKey: Float32Array,
  ): Promise<void> {
    const { from: firstQuery, to } = this.#queries;
    // Queries before the keys do not see them.
    const queries = { from: Math.max(firstQuery, keys.from), to };
    const [nKeys, nQueries] = [keys.to - keys.from, to - queries.from];
    let sum = floatTensor(new Float32Array(1), [1, 1]);
    for (let group = 0; group < byQuery.length; group++) {
      const rows = byQuery[group].subarray((queries.from - firstQuery) * nNumbers);
      const feeds = { byQuery: floatTensor(rows.subarray(0, nQueries * nNumbers), [nQueries, nNumbers]), sum };
      const isLast = group === byQuery.length - 1;
      const result = isLast ? byKey : this.#scratch.floats(`mixed ${group % 2}`, byKey.length);
      sum = floatTensor(result, [nKeys, nNumbers]);
      await this.#mixHead(kvHead * byQuery.length + group, kvHead, queries, keys, feeds, { byKey: sum });
    }
  }

  #mixHead(
    head: number,
    kvHead: number,
    queries: PositionRange,
    keys: PositionRange,
    feeds: Readonly<Record<string, Tensor>>,
    results: Readonly<Record<string, Tensor>>,
  ): Promise<unknown> {
    const { attnFactors, attnNormScale } = this.#local.run.layers[this.#layer];
    const [nKeys, nQueries] = [keys.to - keys.from, queries.to - queries.from];
    if (!attnFactors) {
      const pattern = floatTensor(this.#patternPart(head, queries, keys), [nKeys, nQueries]);
      return this.#steps.mix.run({ ...feeds, pattern }, results);
    }
    const { nPos, queries: allQueries, keys: allKeys, logSums, window, softCap } = attnFactors;
    const width = allKeys.length / (this.#local.model.dimensions.nKeyValueHeads * nPos);
    const rowOf = (values: Float32Array, start = 0) =>
      floatTensor(values.subarray(start + queries.from, start + queries.to), [1, nQueries]);
    const columnOf = (values: Float32Array) => floatTensor(values.subarray(keys.from, keys.to), [nKeys, 1]);
    const step = softCap === null ? this.#steps.mixFactors : this.#steps.mixCappedFactors;
    const queryStart = (head * nPos + queries.from) * width;
    const keyStart = (kvHead * nPos + keys.from) * width;
    const own = {
      ...feeds,
      queries: floatTensor(allQueries.subarray(queryStart, queryStart + nQueries * width), [nQueries, width]),
      keys: floatTensor(allKeys.subarray(keyStart, keyStart + nKeys * width), [nKeys, width]),
      logSums: rowOf(logSums, head * nPos),
      queryScale: rowOf(this.#queryScale),
      queryPlace: rowOf(this.#places),
      keyScale: columnOf(attnNormScale),
      keyPlace: columnOf(this.#places),
      window: floatTensor(new Float32Array([window ?? nPos]), [1]),
      ...(softCap === null ? {} : { softCap: floatTensor(new Float32Array([softCap]), [1]) }),
    };
    return step.run(own, results);
  }

  /** [key, query] of a pattern that the run kept, with the norm scales at both ends. */
  #patternPart(head: number, queries: PositionRange, keys: PositionRange): Float32Array {
    const { attnPattern, attnNormScale } = this.#local.run.layers[this.#layer];
    const { nPos } = this.#local.run;
    const nQueries = queries.to - queries.from;
    const part = this.#scratch.floats('pattern', (keys.to - keys.from) * nQueries).fill(0);
    for (let query = queries.from; query < queries.to; query++) {
      const row = (head * nPos + query) * nPos;
      for (let key = keys.from; key < keys.to && key <= query; key++) {
        const place = (key - keys.from) * nQueries + query - queries.from;
        part[place] = attnPattern[row + key] * attnNormScale[key] * this.#queryScale[query];
      }
    }
    return part;
  }
}
