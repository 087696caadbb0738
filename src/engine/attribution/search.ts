import type { NodeKind } from '../../graph/node.ts';
import type { WeightedGraph } from '../../graph/prune.ts';
import type { AttributionSettings } from '../../protocol/engine.ts';
import { mostAdaptiveFeatures } from '../../protocol/limits.ts';
import { encoderRows } from '../transcoders/featureRows.ts';
import {
  type Forecast,
  forecast,
  mostInfluential,
  roundOfWanted,
  smallestRound,
  strictFeatures,
  strictRound,
} from './adaptive.ts';
import type { Target } from './descent.ts';
import { type PreparedSweep, sweep } from './directEffects.ts';
import type { LocalModel } from './localModel.ts';
import type { NodeColumns } from './nodeRows.ts';
import type { PhaseClock } from './phaseClock.ts';
import { type KnownTarget, rankSources } from './ranking.ts';
import type { CutRow } from './rowCut.ts';
import type { RowStore } from './rowStore.ts';
import type { Sources } from './sources.ts';
import { needsPieces, sweepInPieces } from './sweepInPieces.ts';
import type { OutputTarget } from './targets.ts';

/** Targets whose directions are in memory at a time. */
const targetsAtOnce = 8192;

/** How many features are attributed, and in what rounds. */
export type SearchSettings = Pick<
  AttributionSettings,
  'batchSize' | 'updateInterval' | 'maxFeatureNodes' | 'adaptiveShare'
> & {
  /** Share of influence at which the graph will be pruned: what adaptive mode attributes depends on it. */
  readonly nodeThreshold: number;
};

/** What a search found. */
export type Found = {
  /** Features that are nodes: indices into the active features, ascending. In adaptive mode not all are attributed. */
  readonly selected: Uint32Array;
  /** The graph's sources, where they were laid ready; null: the selected features, all errors and tokens. */
  readonly nodes: NodeColumns | null;
  /** Of all paths from the outputs down, how much ends at features that are not attributed. */
  readonly unexpandedInfluence: number;
  /** The part of it at positions where nothing may be attributed. */
  readonly outsideInfluence: number;
  /** Null where every node is attributed: the graph itself says it all. */
  readonly estimate: NodeEstimate | null;
};

/** Influence where the inputs of some features are not known. */
export type NodeEstimate = {
  /** [nNodes] */
  readonly influence: Float64Array;
  /** [nNodes] what each hands on to its sources, for the features it stands in for too */
  readonly handedOn: Float64Array;
};

/** A prompt's run and sources, and the effects on its targets so far: used again while only targets or limits change. */
export type PreparedPrompt = {
  readonly key: string;
  readonly prepared: PreparedSweep;
  readonly store: RowStore;
};

/** Chooses which features to attribute, round by round, and keeps their rows. */
export class Search {
  readonly order: number[] = [];
  readonly roundSizes: number[] = [];
  readonly #prepared: PreparedSweep;
  readonly #local: LocalModel;
  readonly #sources: Sources;
  readonly #outputs: readonly OutputTarget[];
  readonly #settings: SearchSettings;
  readonly #clock: PhaseClock;
  readonly #store: RowStore;
  readonly #known: KnownTarget[] = [];
  /** [active feature] 1 for those that are attributed. */
  readonly #isAttributed: Uint8Array;
  /** Active features that may be attributed, ascending. */
  readonly #allowed: readonly number[];
  readonly #done: number;
  /** [nPos] 1 where features may be attributed; null: everywhere. */
  readonly #mask: Uint8Array | null;
  #influence: Float64Array | null = null;
  /** From what is known by now; null: not made yet. */
  #forecast: Forecast | null = null;
  /** Once enough is known to choose them: the graph's nodes. */
  #nodes: NodeColumns | null = null;

  constructor(
    { prepared, store }: PreparedPrompt,
    outputs: readonly OutputTarget[],
    settings: SearchSettings,
    clock: PhaseClock,
    mask: Uint8Array | null = null,
  ) {
    this.#mask = mask;
    this.#prepared = prepared;
    this.#local = prepared.local;
    this.#sources = prepared.sources;
    this.#outputs = outputs;
    this.#settings = settings;
    this.#clock = clock;
    this.#store = store;
    const { count } = prepared.sources.active;
    this.#isAttributed = new Uint8Array(count);
    const all = Array.from({ length: count }, (_, feature) => feature);
    this.#allowed = mask ? all.filter((feature) => this.#mayAttribute(feature)) : all;
    this.#done = prepared.work.multiplications;
  }

  /** Of the products of this search. */
  get multiplications(): number {
    return this.#prepared.work.multiplications - this.#done;
  }

  async run(): Promise<void> {
    await this.#attributeOutputs();
    const { maxFeatureNodes, batchSize, updateInterval, adaptiveShare } = this.#settings;
    const allowed = this.#allowed;
    const count = allowed.length;
    if (maxFeatureNodes === 'adaptive') {
      for (;;) {
        const round = this.#adaptiveRound(adaptiveShare);
        if (round.length === 0) return;
        await this.#attributeFeatures(round, Math.min(count, mostAdaptiveFeatures));
      }
    }
    const wanted = maxFeatureNodes === 'all' ? count : Math.min(maxFeatureNodes, count);
    if (wanted === count) {
      await this.#attributeFeatures(allowed, count);
      return;
    }
    while (this.order.length < wanted) {
      const size = Math.min(batchSize * updateInterval, wanted - this.order.length);
      await this.#attributeFeatures(this.#rank(size), wanted);
    }
  }

  finish(): Found {
    const { active } = this.#sources;
    const isAll = this.order.length === active.count;
    if (!isAll) this.#rank(0);
    const [inside, outside] = isAll ? [0, 0] : [this.#unexpanded(true), this.#mask ? this.#unexpanded(false) : 0];
    const shares = { unexpandedInfluence: inside + outside, outsideInfluence: outside };
    const attributed = Uint32Array.from(this.order).sort();
    // With nothing attributed there is nothing to estimate from.
    if (isAll || attributed.length === 0 || this.#settings.maxFeatureNodes !== 'adaptive')
      return { selected: attributed, nodes: null, ...shares, estimate: null };
    const { nodes } = this.#foresee();
    const selected = nodes ? nodes.list.slice(0, nodes.before[active.count]) : Uint32Array.from(this.#allowed);
    const isWhole = selected.length === attributed.length;
    return { selected, nodes, ...shares, estimate: isWhole ? null : this.#estimateOf(selected) };
  }

  /** The forecast by node instead of source column and target. */
  #estimateOf(selected: Uint32Array): NodeEstimate {
    const { active, count } = this.#sources;
    const { influence, handedOn } = this.#foresee();
    const firstOutput = selected.length + count - active.count;
    const byNode = new Float64Array(firstOutput + this.#outputs.length);
    byNode.set(influence.subarray(active.count), selected.length);
    selected.forEach((feature, node) => {
      byNode[node] = influence[feature];
    });
    // Errors and tokens are the end of their paths. Of features that are not attributed, others hand it on.
    const onByNode = byNode.slice().fill(0, 0, selected.length);
    const nodeOf = new Map(Array.from(selected, (feature, node) => [feature, node]));
    this.#known.forEach(({ key, feature }, index) => {
      const node = feature === null ? firstOutput + key - active.count : nodeOf.get(feature);
      if (node !== undefined) onByNode[node] = handedOn[index];
    });
    return { influence: byNode, handedOn: onByNode };
  }

  /** Turns rows into edges between nodes. Sources that are no nodes are dropped; unless kept, each row as it is read. */
  buildGraph({ selected, nodes }: Pick<Found, 'selected' | 'nodes'>, keepsRows: boolean): WeightedGraph {
    const { active, nLayers, nPos, count } = this.#sources;
    const nErrors = nLayers * nPos;
    const nSources = selected.length + nErrors + nPos;
    const nNodes = nSources + this.#outputs.length;
    const store = this.#store;
    // Sources that are nodes, by node: both ascend.
    const columns = new Uint32Array(nSources);
    columns.set(selected);
    for (let column = active.count; column < count; column++) columns[column - active.count + selected.length] = column;
    const keys = new Map<number, number>();
    selected.forEach((feature, node) => {
      if (this.#isAttributed[feature]) keys.set(node, feature);
    });
    this.#outputs.forEach((_, index) => {
      keys.set(nSources + index, active.count + index);
    });

    let most = 0;
    for (const key of keys.values()) {
      most += nodes ? store.mostPickedOf(key, nodes) : store.mostPicked(key, columns);
    }
    const edges = { source: new Uint32Array(most), weight: new Float32Array(most) };
    const start = new Uint32Array(nNodes + 1);
    for (let node = 0, next = 0; node < nNodes; node++) {
      const key = keys.get(node);
      if (key !== undefined) {
        next = nodes ? store.pickNodes(key, nodes, edges, next) : store.pick(key, columns, edges, next);
        if (!keepsRows) store.drop(key);
      }
      start[node + 1] = next;
    }
    const source = edges.source.subarray(0, start[nNodes]);
    const weight = edges.weight.subarray(0, start[nNodes]);
    const kinds = Array.from({ length: nNodes }, (_, node): NodeKind => {
      if (node < selected.length) return 'feature';
      if (node < selected.length + nErrors) return 'error';
      return node < nNodes - this.#outputs.length ? 'token' : 'logit';
    });
    const outputWeight = new Float64Array(nNodes);
    outputWeight.set(
      this.#outputs.map(({ probability }) => probability),
      nNodes - this.#outputs.length,
    );
    return { incoming: { nNodes, start, source, weight }, kinds, outputWeight };
  }

  async #attributeOutputs(): Promise<void> {
    const { nLayers, nPos, active } = this.#sources;
    const targets = this.#outputs.map((): Target => ({ layer: nLayers, pos: nPos - 1 }));
    const directions = this.#outputs.map(({ vector }) => this.#local.finalReading(vector, nPos - 1));
    const keys = this.#outputs.map((_, index) => active.count + index);
    await this.#sweep(keys, targets, (index) => directions[index], this.#outputs.length);
    this.#outputs.forEach(({ probability }, index) => {
      this.#known.push({ key: keys[index], layer: nLayers, feature: null, weight: probability });
    });
  }

  /** @param features indices into the active features, as one round */
  async #attributeFeatures(features: readonly number[], wanted: number): Promise<void> {
    const { active } = this.#sources;
    for (let from = 0; from < features.length; from += targetsAtOnce) {
      const part = features.slice(from, from + targetsAtOnce);
      const missing = part.filter((feature) => !this.#store.has(feature));
      const targets = missing.map((feature): Target => ({ layer: active.layer[feature], pos: active.pos[feature] }));
      const reading = this.#readingsOf(missing);
      await this.#sweep(missing, targets, reading, wanted + this.#outputs.length);
      for (const feature of part) {
        this.#known.push({ key: feature, layer: active.layer[feature], feature, weight: 0 });
        this.order.push(feature);
        this.#isAttributed[feature] = 1;
      }
    }
    this.#forecast = null;
    this.roundSizes.push(features.length);
  }

  async #sweep(
    keys: readonly number[],
    targets: readonly Target[],
    reading: (index: number) => Float32Array,
    total: number,
  ): Promise<void> {
    const before = this.#known.length;
    const sweepAll = needsPieces(this.#prepared) ? sweepInPieces : sweep;
    await sweepAll(
      this.#prepared,
      targets,
      reading,
      {
        limits: this.#store.limits,
        nodes: this.#store.nodes,
        take: (index: number, row: CutRow) => this.#store.add(keys[index], row),
      },
      (done) => this.#clock.step('direct effects', before + done, total),
    );
  }

  /**
   * Gives the encoder rows of features as gradients at the residual stream: read one by one when they are wanted, while
   * threads sweep others; all at once where each takes the whole matrix.
   */
  #readingsOf(features: readonly number[]): (index: number) => Float32Array {
    const { set } = this.#local;
    const { active } = this.#sources;
    if (set.layers.every(({ encoder }) => !encoder.isTransposed)) {
      return (index) => {
        const [layer, number] = [active.layer[features[index]], active.feature[features[index]]];
        const row = encoderRows(set.layers[layer].encoder, [number], set.dModel);
        this.#local.scaleReading(layer, active.pos[features[index]], row);
        return row;
      };
    }
    const directions = this.#readingDirections(features);
    return (index) => directions.subarray(index * set.dModel, (index + 1) * set.dModel);
  }

  /** [features.length, dModel] encoder rows as gradients at the residual stream, read layer by layer. */
  #readingDirections(features: readonly number[]): Float32Array {
    const { active, nLayers } = this.#sources;
    const { set } = this.#local;
    const { dModel } = set;
    const directions = new Float32Array(features.length * dModel);
    const byLayer = Array.from({ length: nLayers }, (): number[] => []);
    features.forEach((feature, index) => {
      byLayer[active.layer[feature]].push(index);
    });
    byLayer.forEach((indices, layer) => {
      if (indices.length === 0) return;
      indices.sort((a, b) => active.feature[features[a]] - active.feature[features[b]]);
      const numbers = indices.map((index) => active.feature[features[index]]);
      const rows = encoderRows(set.layers[layer].encoder, numbers, dModel);
      indices.forEach((index, row) => {
        const direction = directions.subarray(index * dModel, (index + 1) * dModel);
        direction.set(rows.subarray(row * dModel, (row + 1) * dModel));
        this.#local.scaleReading(layer, active.pos[features[index]], direction);
      });
    });
    return directions;
  }

  #mayAttribute(feature: number): boolean {
    return this.#mask === null || this.#mask[this.#sources.active.pos[feature]] === 1;
  }

  /** Features that may be attributed and are not yet, the `most` most influential ones, in that order. */
  #rank(most: number): number[] {
    const influence = rankSources(this.#sources, this.#store, this.#known);
    this.#influence = influence;
    if (most === 0) return [];
    const rest = this.#allowed.filter((feature) => !this.#isAttributed[feature]);
    return mostInfluential(rest, influence, most);
  }

  /**
   * Influence on features that are not attributed, as a share of what the outputs give: those that may be, or those
   * that may not. Needs a ranking.
   */
  #unexpanded(may: boolean): number {
    const influence = this.#influence!;
    let held = 0;
    for (let feature = 0; feature < this.#sources.active.count; feature++) {
      if (!this.#isAttributed[feature] && this.#mayAttribute(feature) === may) held += influence[feature];
    }
    const given = this.#outputs.reduce((sum, { probability }) => sum + probability, 0);
    return given === 0 ? 0 : held / given;
  }

  /** The next features of adaptive mode; none when done. */
  #adaptiveRound(allowedShare: number): number[] {
    const attributed = this.order.length;
    if (attributed >= strictFeatures) return roundOfWanted(this.#foresee(), attributed, allowedShare);
    const ranked = this.#rank(strictFeatures - attributed);
    const unexpanded = this.#unexpanded(true);
    if (unexpanded < allowedShare) return [];
    const given = this.#outputs.reduce((sum, { probability }) => sum + probability, 0);
    const excess = (unexpanded - allowedShare / 2) * given;
    return strictRound(this.#foresee(), attributed, ranked, this.#influence!, excess);
  }

  /** The forecast from what is known by now. */
  #foresee(): Forecast {
    const { adaptiveShare, nodeThreshold } = this.#settings;
    if (this.#forecast === null) {
      this.#forecast = forecast(
        this.#sources,
        this.#store,
        this.#known,
        this.#allowed,
        { nodeThreshold, adaptiveShare },
        this.#nodes,
      );
      if (this.order.length >= smallestRound) this.#nodes = this.#forecast.nodes;
    }
    return this.#forecast;
  }
}
