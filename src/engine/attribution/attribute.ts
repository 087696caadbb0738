import type { NodeKind } from '../../graph/node.ts';
import type { WeightedGraph } from '../../graph/prune.ts';
import type { AttributionSettings, Phase, Progress } from '../../protocol/engine.ts';
import type { ForwardResult, LanguageModel } from '../model/languageModel.ts';
import { type ActiveFeatures, Encoder } from '../transcoders/encode.ts';
import { encoderRows } from '../transcoders/featureRows.ts';
import type { TranscoderSet } from '../transcoders/transcoder.ts';
import {
  createSweepSessions,
  type PreparedSweep,
  prepareSweep,
  type SweepSessions,
  sweep,
  type Target,
} from './directEffects.ts';
import { LocalModel } from './localModel.ts';
import { type KnownTarget, rankSources } from './ranking.ts';
import { RowStore } from './rowStore.ts';
import { findActiveFeatures, gatherSources, type Sources } from './sources.ts';
import { meanOfUnembedding, type OutputTarget, outputTargets, type ResolvedTargets, softmax } from './targets.ts';

/** Targets whose directions are in memory at a time. */
const targetsAtOnce = 8192;
/** Adaptive mode stops here even when influence is left over; the result says how much. */
const mostAdaptiveFeatures = 4096;
/** Fewest features that join in one round of adaptive mode: smaller rounds sweep badly. */
const smallestAdaptiveRound = 256;

export type AttributionRequest = {
  readonly ids: readonly number[];
  /** Positions before it are special tokens: no features and no errors there. */
  readonly firstPos: number;
  readonly targets: ResolvedTargets;
  readonly settings: Pick<AttributionSettings, 'batchSize' | 'updateInterval' | 'maxFeatureNodes' | 'adaptiveShare'>;
};

export type AttributionOptions = {
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: Progress) => void;
  readonly logits?: 'all' | 'last';
};

/** The unpruned graph and everything it was made from. Nodes: selected features, errors, tokens, outputs. */
export type Attribution = {
  readonly run: ForwardResult;
  readonly active: ActiveFeatures;
  readonly firstPos: number;
  /** By layer: [pos, dModel] */
  readonly reconstruction: readonly Float32Array[];
  readonly errors: readonly Float32Array[];
  /** [dVocab] at the last position */
  readonly probabilities: Float64Array;
  readonly outputs: readonly OutputTarget[];
  /** Indices into `active`, ascending. */
  readonly selected: Uint32Array;
  /** The same in the order in which they were attributed, and how many per round. */
  readonly order: readonly number[];
  readonly roundSizes: readonly number[];
  readonly graph: WeightedGraph;
  /** Share of the outputs' influence that ends at active features that were not attributed. */
  readonly unexpandedInfluence: number;
  /** Of the sweep's matrix products. */
  readonly multiplications: number;
  readonly phases: readonly { readonly phase: Phase; readonly milliseconds: number }[];
};

/** Attributes prompts with one model and transcoder set. Keeps compiled steps and the mean unembedding between prompts. */
export class Attributor {
  readonly model: LanguageModel;
  readonly set: TranscoderSet;
  readonly encoder: Encoder;
  #sessions: SweepSessions | null = null;
  #meanUnembedding: Float64Array | null = null;

  constructor(model: LanguageModel, set: TranscoderSet) {
    this.model = model;
    this.set = set;
    this.encoder = new Encoder(set);
  }

  /** Runs the phases in order. AbortError when the signal fires, checked between layers and batches. */
  async attribute(request: AttributionRequest, options: AttributionOptions = {}): Promise<Attribution> {
    const { model, set, encoder } = this;
    const clock = new PhaseClock(options);
    const nLayers = set.layers.length;

    await clock.step('forward', 0, nLayers);
    const run = await model.forward(request.ids, {
      logits: options.logits ?? 'last',
      signal: options.signal,
      onProgress: (done, total) => clock.report('forward', done, total),
    });

    const onLayer = (from: number) => (layer: number) => clock.step('features', from + layer, 2 * nLayers);
    const active = await findActiveFeatures(model, set, encoder, run, request.firstPos, onLayer(0));
    const local = new LocalModel(model, set, run);
    const sources = await gatherSources(local, encoder, active, request.firstPos, onLayer(nLayers));

    await clock.step('targets', 0, 1);
    this.#meanUnembedding ??= await meanOfUnembedding(model, () => clock.step('targets', 0, 1));
    const { dVocab } = model.dimensions;
    const probabilities = softmax(run.logits.subarray(run.logits.length - dVocab));
    const outputs = outputTargets(model, request.targets, probabilities, this.#meanUnembedding);

    this.#sessions ??= await createSweepSessions(model.dimensions);
    const prepared = await prepareSweep(local, sources, this.#sessions);
    const search = new Search(prepared, outputs, request, clock);
    await search.run();

    await clock.step('influence', 0, 1);
    const { selected, unexpandedInfluence } = search.finish();
    const graph = search.buildGraph(selected);
    const { order, roundSizes } = search;
    const { reconstruction, errors } = sources;
    return {
      run,
      active,
      firstPos: request.firstPos,
      reconstruction,
      errors,
      probabilities,
      outputs,
      selected,
      order,
      roundSizes,
      graph,
      unexpandedInfluence,
      multiplications: prepared.work.multiplications,
      phases: clock.finish(),
    };
  }

  [Symbol.dispose](): void {
    this.encoder[Symbol.dispose]();
    this.#sessions?.[Symbol.dispose]();
    this.#sessions = null;
  }
}

/** Chooses which features to attribute, round by round, and keeps their rows. */
class Search {
  readonly order: number[] = [];
  readonly roundSizes: number[] = [];
  readonly #prepared: PreparedSweep;
  readonly #local: LocalModel;
  readonly #sources: Sources;
  readonly #outputs: readonly OutputTarget[];
  readonly #settings: AttributionRequest['settings'];
  readonly #clock: PhaseClock;
  readonly #store: RowStore;
  readonly #known: KnownTarget[] = [];
  #influence: Float64Array | null = null;

  constructor(
    prepared: PreparedSweep,
    outputs: readonly OutputTarget[],
    request: AttributionRequest,
    clock: PhaseClock,
  ) {
    this.#prepared = prepared;
    this.#local = prepared.local;
    this.#sources = prepared.sources;
    this.#outputs = outputs;
    this.#settings = request.settings;
    this.#clock = clock;
    this.#store = new RowStore(prepared.sources);
  }

  async run(): Promise<void> {
    await this.#attributeOutputs();
    const { maxFeatureNodes, batchSize, updateInterval, adaptiveShare } = this.#settings;
    const { count } = this.#sources.active;
    if (maxFeatureNodes === 'adaptive') {
      for (;;) {
        const ranked = this.#rank();
        const round = this.#adaptiveRound(ranked, adaptiveShare);
        if (round.length === 0) return;
        await this.#attributeFeatures(round, Math.min(count, mostAdaptiveFeatures));
      }
    }
    const wanted = maxFeatureNodes === 'all' ? count : Math.min(maxFeatureNodes, count);
    if (wanted === count) {
      await this.#attributeFeatures(
        Array.from({ length: count }, (_, index) => index),
        count,
      );
      return;
    }
    while (this.order.length < wanted) {
      const size = Math.min(batchSize * updateInterval, wanted - this.order.length);
      await this.#attributeFeatures(this.#rank().slice(0, size), wanted);
    }
  }

  finish(): { selected: Uint32Array; unexpandedInfluence: number } {
    const selected = Uint32Array.from(this.order).sort();
    if (selected.length === this.#sources.active.count) return { selected, unexpandedInfluence: 0 };
    this.#rank();
    return { selected, unexpandedInfluence: this.#unexpanded() };
  }

  /** Turns rows into edges between nodes, letting each row go as it is read. Sources that are no nodes are dropped. */
  buildGraph(selected: Uint32Array): WeightedGraph {
    const { active, nLayers, nPos, count } = this.#sources;
    const nErrors = nLayers * nPos;
    const nNodes = selected.length + nErrors + nPos + this.#outputs.length;
    const nodeOf = new Int32Array(count).fill(-1);
    selected.forEach((feature, node) => {
      nodeOf[feature] = node;
    });
    for (let column = active.count; column < count; column++) nodeOf[column] = column - active.count + selected.length;
    const keys = new Map<number, number>(Array.from(selected, (feature, node) => [node, feature]));
    this.#outputs.forEach((_, index) => {
      keys.set(nNodes - this.#outputs.length + index, active.count + index);
    });

    const start = new Uint32Array(nNodes + 1);
    for (let node = 0; node < nNodes; node++) {
      const key = keys.get(node);
      start[node + 1] = start[node] + (key === undefined ? 0 : this.#countEdges(key, nodeOf));
    }
    const source = new Uint32Array(start[nNodes]);
    const weight = new Float32Array(start[nNodes]);
    for (const [node, key] of keys) {
      let next = start[node];
      this.#store.visit(key, (values, first, from, to) => {
        for (let column = from; column < to; column++) {
          const value = values[first + column - from];
          if (value === 0 || nodeOf[column] < 0) continue;
          source[next] = nodeOf[column];
          weight[next++] = value;
        }
      });
      this.#store.drop(key);
    }
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

  #countEdges(key: number, nodeOf: Int32Array): number {
    let edges = 0;
    this.#store.visit(key, (values, first, from, to) => {
      for (let column = from; column < to; column++) {
        if (nodeOf[column] >= 0 && values[first + column - from] !== 0) edges++;
      }
    });
    return edges;
  }

  async #attributeOutputs(): Promise<void> {
    const { nLayers, nPos, active } = this.#sources;
    const targets = this.#outputs.map((): Target => ({ layer: nLayers, pos: nPos - 1 }));
    const directions = this.#outputs.map(({ vector }) => this.#local.finalReading(vector, nPos - 1));
    const known = this.#outputs.map(
      ({ probability }, index): KnownTarget => ({
        key: active.count + index,
        layer: nLayers,
        feature: null,
        weight: probability,
      }),
    );
    await this.#sweep(targets, (index) => directions[index], known, this.#outputs.length);
  }

  /** @param features indices into the active features, as one round */
  async #attributeFeatures(features: readonly number[], wanted: number): Promise<void> {
    const { active } = this.#sources;
    const { dModel } = this.#local.model.dimensions;
    for (let from = 0; from < features.length; from += targetsAtOnce) {
      const part = features.slice(from, from + targetsAtOnce);
      const directions = this.#readingDirections(part);
      const targets = part.map((feature): Target => ({ layer: active.layer[feature], pos: active.pos[feature] }));
      const known = part.map(
        (feature): KnownTarget => ({ key: feature, layer: active.layer[feature], feature, weight: 0 }),
      );
      const reading = (index: number) => directions.subarray(index * dModel, (index + 1) * dModel);
      await this.#sweep(targets, reading, known, wanted + this.#outputs.length);
      this.order.push(...part);
    }
    this.roundSizes.push(features.length);
  }

  async #sweep(
    targets: readonly Target[],
    reading: (index: number) => Float32Array,
    known: readonly KnownTarget[],
    total: number,
  ): Promise<void> {
    const before = this.#known.length;
    await sweep(
      this.#prepared,
      targets,
      reading,
      (index, effects) => this.#store.add(known[index].key, targets[index], effects),
      (done) => this.#clock.step('direct effects', before + done, total),
    );
    this.#known.push(...known);
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

  /** Active features that are not attributed yet, most influential first. */
  #rank(): number[] {
    const influence = rankSources(this.#sources, this.#store, this.#known);
    this.#influence = influence;
    const rest: number[] = [];
    for (let feature = 0; feature < this.#sources.active.count; feature++) {
      if (!this.#store.has(feature)) rest.push(feature);
    }
    return rest.sort((a, b) => influence[b] - influence[a] || a - b);
  }

  /** Influence on features that are not attributed, as a share of what the outputs give. Needs a ranking. */
  #unexpanded(): number {
    const influence = this.#influence!;
    let held = 0;
    for (let feature = 0; feature < this.#sources.active.count; feature++) {
      if (!this.#store.has(feature)) held += influence[feature];
    }
    const given = this.#outputs.reduce((sum, { probability }) => sum + probability, 0);
    return given === 0 ? 0 : held / given;
  }

  /**
   * The next features of adaptive mode: the fewest that bring the unexpanded influence to half of what is allowed, but
   * not more at once than are known already, since each round shows better which ones matter. None when done.
   */
  #adaptiveRound(ranked: readonly number[], allowedShare: number): number[] {
    if (this.#unexpanded() < allowedShare) return [];
    const given = this.#outputs.reduce((sum, { probability }) => sum + probability, 0);
    const room = Math.max(0, mostAdaptiveFeatures - this.order.length);
    const most = Math.min(room, Math.max(smallestAdaptiveRound, this.order.length));
    let left = this.#unexpanded() * given;
    let size = 0;
    while (size < Math.min(most, ranked.length) && left > (allowedShare / 2) * given) {
      left -= this.#influence![ranked[size++]];
    }
    return ranked.slice(0, size);
  }
}

/** Measures the phases, passes progress on, lets the event loop turn and stops when cancelled. */
class PhaseClock {
  readonly #options: AttributionOptions;
  readonly #phases: { phase: Phase; milliseconds: number }[] = [];
  #since = performance.now();

  constructor(options: AttributionOptions) {
    this.#options = options;
  }

  async step(phase: Phase, done: number, total: number): Promise<void> {
    this.report(phase, done, total);
    await new Promise((resolve) => setImmediate(resolve));
    this.#options.signal?.throwIfAborted();
  }

  report(phase: Phase, done: number, total: number): void {
    this.#enter(phase);
    this.#options.onProgress?.({ phase, done, total });
  }

  finish(): { readonly phase: Phase; readonly milliseconds: number }[] {
    this.#charge();
    return this.#phases;
  }

  #enter(phase: Phase): void {
    if (this.#phases.at(-1)?.phase === phase) return;
    this.#charge();
    this.#phases.push({ phase, milliseconds: 0 });
  }

  #charge(): void {
    const now = performance.now();
    const current = this.#phases.at(-1);
    if (current) current.milliseconds += now - this.#since;
    this.#since = now;
  }
}
