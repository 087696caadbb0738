import { influence } from '../../graph/influence.ts';
import type { WeightedGraph } from '../../graph/prune.ts';
import type { Phase, Progress } from '../../protocol/engine.ts';
import type { ForwardResult, LanguageModel } from '../model/languageModel.ts';
import type { Provider } from '../runtime/session.ts';
import { type ActiveFeatures, Encoder } from '../transcoders/encode.ts';
import type { TranscoderSet } from '../transcoders/transcoder.ts';
import { CarryWeightStore } from './carryWeights.ts';
import { prepareSweep } from './directEffects.ts';
import { FeatureThreads } from './featureThreads.ts';
import { LocalModel } from './localModel.ts';
import { PhaseClock } from './phaseClock.ts';
import { rowLimits } from './rowLimits.ts';
import { RowStore } from './rowStore.ts';
import { type PreparedPrompt, Search, type SearchSettings } from './search.ts';
import { sharedFloats } from './sharedMemory.ts';
import { findActiveFeatures, gatherSources, rangesToEncode, type Sources } from './sources.ts';
import { carrySpecialTokens, type SpecialTokens } from './specialTokens.ts';
import { needsPieces } from './sweepInPieces.ts';
import { SweepSessions } from './sweepSessions.ts';
import { meanOfUnembedding, type OutputTarget, outputTargets, type ResolvedTargets, softmax } from './targets.ts';

/** Sources, and rows of effects, are kept for the next trace of the same prompt when they take at most this each. */
const mostKeptBytes = 192 * 2 ** 20;

export type AttributionRequest = {
  readonly ids: readonly number[];
  /** Positions before it are special tokens: no features and no errors there. */
  readonly firstPos: number;
  /** [nPos] 1 where features are sources of their own, and where they may be attributed; absent or null: everywhere. */
  readonly sourceMask?: Uint8Array | null;
  readonly attributedMask?: Uint8Array | null;
  readonly targets: ResolvedTargets;
  readonly settings: SearchSettings;
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
  /** The features that are nodes: indices into `active`, ascending. */
  readonly selected: Uint32Array;
  /** Those that were attributed, in that order, and how many per round: all that are nodes, but in adaptive mode. */
  readonly order: readonly number[];
  readonly roundSizes: readonly number[];
  readonly graph: WeightedGraph;
  /**
   * [nNodes] each node's influence on the outputs, and what it hands on to its sources; estimated where features are
   * nodes and were not attributed (`estimateInfluence`), else exactly the graph's.
   */
  readonly influence: Float64Array;
  readonly handedOn: Float64Array;
  /** Share of the outputs' influence that ends at active features that were not attributed. */
  readonly unexpandedInfluence: number;
  /** The part of it that ends at positions where features may not be attributed. */
  readonly outsideInfluence: number;
  /** Share of all edges' |weight| that was too little to store; 0 but in adaptive mode. */
  readonly droppedEdgeWeight: number;
  /** Of the sweep's matrix products. */
  readonly multiplications: number;
  readonly phases: readonly { readonly phase: Phase; readonly milliseconds: number }[];
};

/** Attributes prompts with one model and transcoder set. Keeps compiled steps and the mean unembedding between prompts. */
export class Attributor {
  readonly model: LanguageModel;
  readonly set: TranscoderSet;
  readonly encoder: Encoder;
  readonly #provider: Provider;
  readonly #nWorkers: number | undefined;
  #sessions: SweepSessions | null = null;
  #weights: CarryWeightStore | null = null;
  #meanUnembedding: Float64Array | null = null;
  #last: PreparedPrompt | null = null;
  /** Most prompts begin with the same special tokens, which nothing after them changes. */
  #special: { readonly key: string; readonly tokens: SpecialTokens } | null = null;

  /**
   * @param provider where matrix products run
   * @param nWorkers threads that work beside each other; absent: as many as make sense
   */
  constructor(model: LanguageModel, set: TranscoderSet, provider: Provider = 'cpu', nWorkers?: number) {
    this.#nWorkers = nWorkers;
    this.model = model;
    this.set = set;
    this.#provider = provider;
    this.encoder = new Encoder(set, { provider });
  }

  /** Runs the phases in order. AbortError when the signal fires, checked between layers and batches. */
  async attribute(request: AttributionRequest, options: AttributionOptions = {}): Promise<Attribution> {
    const { model } = this;
    const clock = new PhaseClock(options);

    const prompt = this.#warm(request, options) ?? (await this.#prepare(request, options, clock));
    const { prepared } = prompt;
    const { local, sources } = prepared;
    const { run } = local;

    await clock.step('targets', 0, 1);
    this.#meanUnembedding ??= await meanOfUnembedding(model, () => clock.step('targets', 0, 1));
    const { dVocab } = model.dimensions;
    const probabilities = softmax(run.logits.subarray(run.logits.length - dVocab));
    const outputs = outputTargets(model, request.targets, probabilities, this.#meanUnembedding);

    const search = new Search(prompt, outputs, request.settings, clock, request.attributedMask ?? null);
    await search.run();

    await clock.step('influence', 0, 1);
    const found = search.finish();
    const { selected, unexpandedInfluence, outsideInfluence, estimate } = found;
    const keepsRows = prompt.store.bytes <= mostKeptBytes;
    const graph = search.buildGraph(found, keepsRows);
    // The runs of prompts that are swept in pieces are themselves too large to keep.
    this.#last = keepsRows && !needsPieces(prepared) && sizeOf(sources) <= mostKeptBytes ? prompt : null;
    const nodeInfluence = estimate?.influence ?? influence(graph.incoming, graph.outputWeight);
    const handedOn = estimate?.handedOn ?? nodeInfluence.map((value, node) => value + graph.outputWeight[node]);
    const { order, roundSizes } = search;
    const { active, reconstruction, errors } = sources;
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
      influence: nodeInfluence,
      handedOn,
      unexpandedInfluence,
      outsideInfluence,
      droppedEdgeWeight: prompt.store.droppedShare,
      multiplications: search.multiplications,
      phases: clock.finish(),
    };
  }

  /** The last prompt, if it is this one: nothing of it need be computed again. */
  #warm(request: AttributionRequest, options: AttributionOptions): PreparedPrompt | null {
    if (this.#last?.key !== promptKey(request, options)) return null;
    const { store, prepared } = this.#last;
    const limits = rowLimits(request.settings, prepared.sources);
    const isSame = store.limits.keptShare === limits.keptShare && store.limits.mostPerRow === limits.mostPerRow;
    return isSame ? this.#last : { ...this.#last, store: new RowStore(prepared.sources, limits) };
  }

  /** Forward pass, active features, sources. */
  async #prepare(request: AttributionRequest, options: AttributionOptions, clock: PhaseClock): Promise<PreparedPrompt> {
    const { model, set, encoder } = this;
    this.#last = null;
    // Threads start up while the model runs.
    this.#sessions ??= new SweepSessions(model.dimensions, this.#provider, this.#nWorkers, set);
    this.#weights ??= new CarryWeightStore(model, this.#sessions.workers !== null);
    const { workers } = this.#sessions;
    const { ids, firstPos, sourceMask = null } = request;
    const threads = workers?.hasSet ? new FeatureThreads(workers, model, set) : null;
    const nLayers = set.layers.length;
    const onLayer = (from: number) => (layer: number) => clock.step('features', from + layer, 2 * nLayers);
    await clock.step('forward', 0, nLayers);
    try {
      const run = await model.forward(ids, {
        logits: options.logits ?? 'last',
        signal: options.signal,
        onProgress: (done, total) => clock.report('forward', done, total),
        newPattern: this.#weights.isShared ? sharedFloats : undefined,
      });
      const active = threads
        ? await threads.encode(run, rangesToEncode(sourceMask, firstPos, ids.length), onLayer(0))
        : await findActiveFeatures(model, set, encoder, run, firstPos, onLayer(0), sourceMask);
      const local = new LocalModel(model, set, run, this.#weights);
      // While other threads gather.
      const special = this.#carrySpecial(local, ids.slice(0, firstPos));
      special.catch(() => {});
      const sources = await gatherSources(local, encoder, active, firstPos, onLayer(nLayers), { threads });
      const prepared = prepareSweep(local, sources, this.#sessions, await special);
      return {
        key: promptKey(request, options),
        prepared,
        store: new RowStore(sources, rowLimits(request.settings, sources)),
      };
    } catch (error) {
      await threads?.stop();
      throw error;
    }
  }

  /** The special tokens at the start of a prompt, carried up: those of the last prompt, if they are the same. */
  async #carrySpecial(local: LocalModel, ids: readonly number[]): Promise<SpecialTokens> {
    const key = `${ids}`;
    if (this.#special?.key === key) return this.#special.tokens;
    const tokens = await carrySpecialTokens(local, ids.length, (await this.#sessions!.steps()).product);
    this.#special = { key, tokens };
    return tokens;
  }

  /** Lets go of what is kept of the last prompt: the next trace computes everything. */
  forgetPrompt(): void {
    this.#last = null;
    this.#special = null;
  }

  [Symbol.dispose](): void {
    this.#last = null;
    this.encoder[Symbol.dispose]();
    this.#sessions?.[Symbol.dispose]();
    this.#sessions = null;
    this.#weights = null;
  }
}

function promptKey({ ids, firstPos, sourceMask }: AttributionRequest, { logits }: AttributionOptions): string {
  return `${ids} ${firstPos} ${sourceMask ?? ''} ${logits ?? 'last'}`;
}

function sizeOf(sources: Sources): number {
  const written = sources.written.reduce((sum, { vectors }) => sum + vectors.byteLength, 0);
  return sources.tables.reduce((sum, { rows }) => sum + rows.byteLength, written);
}
