import { setImmediate as nextTurn } from 'node:timers/promises';
import { floatsOf, floatTensor, type Provider, type Tensor } from '../runtime/session.ts';
import { AttentionBlocks } from './attentionBlocks.ts';
import { checkRun } from './checkRun.ts';
import type { ModelConfig } from './config.ts';
import { runExperts } from './experts.ts';
import type { LayerRole } from './families.ts';
import type {
  ForwardOptions,
  ForwardResult,
  KeyValueCache,
  LanguageModel,
  LayerCapture,
  ModelDimensions,
} from './languageModel.ts';
import { type AttentionVariant, attentionGraph, logitsGraph, type MlpVariant, mlpGraph } from './layerGraphs.ts';
import { LongRun } from './longRun.ts';
import type { ModelFiles } from './modelFiles.ts';
import { rootMeanSquareNorm } from './norm.ts';
import { Positions } from './positions.ts';
import { type CachedLayer, isPlain, joinRuns, PrefixMemory } from './prefixMemory.ts';
import { SessionPool } from './sessions.ts';
import type { WeightStore } from './weights.ts';

/** Numbers of the unembedding that are multiplied at a time, while as many are read. */
const logitsChunk = 2 ** 21;

/** Scores, capped or masked scores, and the pattern are in memory together. */
const scoresAtATime = 3;
/** What these take of a prompt that runs some positions at a time: ONNX Runtime keeps the memory of its largest step. */
const mostScoreBytes = 256 * 2 ** 20;

const attentionVectors: readonly LayerRole[] = [
  'attnNorm',
  'queryBias',
  'keyBias',
  'valueBias',
  'attnOutputBias',
  'queryNorm',
  'keyNorm',
  'sinks',
  'postAttnNorm',
];
const attentionMatrices = ['query', 'key', 'value', 'attnOutput'] as const;
const mlpMatrices = ['gate', 'up', 'down'] as const;
const mlpVectors: readonly LayerRole[] = ['mlpNorm', 'gateBias', 'upBias', 'downBias'];

/** The one forward pass, for all families: what differs is in the configuration. */
export class Transformer implements LanguageModel {
  readonly folder: string;
  readonly dimensions: ModelDimensions;
  readonly weights: WeightStore;
  readonly #config: ModelConfig;
  readonly #files: ModelFiles;
  readonly #sessions: SessionPool;
  readonly #prefixes = new PrefixMemory();
  /** Attention patterns larger than this are not kept but made again in parts. */
  readonly #patternBytes: number;
  /** The run before, which the next one waits for: layers share their buffers. */
  #previous: Promise<unknown> = Promise.resolve();

  constructor(
    folder: string,
    config: ModelConfig,
    files: ModelFiles,
    weights: WeightStore,
    { provider, patternBytes }: { readonly provider: Provider; readonly patternBytes: number },
  ) {
    this.#patternBytes = patternBytes;
    this.folder = folder;
    this.weights = weights;
    this.#config = config;
    this.#files = files;
    this.#sessions = new SessionPool(provider);
    const { nLayers, dModel, nHeads, nKeyValueHeads, dHead, dVocab, maxPositions } = config;
    const family = config.family.name;
    this.dimensions = { family, nLayers, dModel, nHeads, nKeyValueHeads, dHead, dVocab, maxPositions };
  }

  createCache(): KeyValueCache {
    return { length: 0, layers: [] };
  }

  holdWeights(): Disposable {
    return this.weights.hold();
  }

  async forward(ids: readonly number[], options: ForwardOptions): Promise<ForwardResult> {
    const { nLayers, nHeads } = this.#config;
    const cached = options.cache?.length ?? 0;
    const bytes = nHeads * ids.length * (cached + ids.length) * 4;
    const isLong = nLayers * bytes > this.#patternBytes;
    // Scores, masked scores and the pattern at a time, and what is kept of the layers before.
    const held = bytes * (scoresAtATime + (options.keepsPatterns === false ? 0 : nLayers));
    checkRun(ids, cached, isPlain(options) ? 0 : held, this.#config);
    const run = this.#previous.then(() => {
      if (!isPlain(options)) return this.#forward(ids, options);
      return isLong ? this.#forwardInParts(ids, options) : this.#forwardFromPrefix(ids, options);
    });
    this.#previous = run.catch(() => {});
    return run;
  }

  async readOut(resid: Float32Array, signal?: AbortSignal): Promise<Float32Array> {
    const { normed } = rootMeanSquareNorm(resid, this.weights.model('finalNorm'), this.#config.normEpsilon, null);
    const run = this.#previous.then(() => this.#logits(normed, { logits: 'all', signal }));
    this.#previous = run.catch(() => {});
    return run;
  }

  [Symbol.dispose](): void {
    this.#prefixes.forget();
    this.#sessions[Symbol.dispose]();
    this.#files[Symbol.dispose]();
  }

  /** Runs what the prompt does not share with the one before. */
  async #forwardFromPrefix(ids: readonly number[], options: ForwardOptions): Promise<ForwardResult> {
    const same = this.#prefixes.same(ids, options.logits);
    if (same) return same;
    const prefix = this.#prefixes.sharedWith(ids);
    const length = prefix?.length ?? 0;
    const layers: CachedLayer[] = [...(prefix?.layers ?? [])];
    const { newPattern } = options;
    const own = { ...options, cache: { length, layers }, newPattern: prefix ? undefined : newPattern };
    const rest = await this.#forward(ids.slice(length), own);
    const whole = prefix ? joinRuns(prefix, rest, this.#config.dModel, newPattern) : rest;
    this.#prefixes.keep(ids, layers, whole);
    return whole;
  }

  /** Runs a long prompt some positions at a time; its attention patterns are left to be made again in parts. */
  async #forwardInParts(ids: readonly number[], options: ForwardOptions): Promise<ForwardResult> {
    const { nLayers, nHeads } = this.#config;
    const bytes = Math.min(this.#patternBytes, mostScoreBytes);
    const atOnce = Math.max(1, Math.floor(bytes / (scoresAtATime * nHeads * ids.length * 4)));
    const blocks = new AttentionBlocks(this.#config);
    const cache = this.createCache();
    const whole = new LongRun(ids.length);
    let logits = new Float32Array(0);
    for (let from = 0; from < ids.length; from += atOnce) {
      const isLast = from + atOnce >= ids.length;
      const onProgress = (done: number) =>
        options.onProgress?.(from * nLayers + done * Math.min(atOnce, ids.length - from), ids.length * nLayers);
      const part = await this.#forward(
        ids.slice(from, from + atOnce),
        { ...options, logits: isLast ? options.logits : 'none', cache, onProgress },
        blocks,
      );
      whole.add(part, from);
      logits = part.logits as Float32Array<ArrayBuffer>;
    }
    return whole.finish(logits, (layer) => blocks.take(layer, floatsOf((cache.layers[layer] as CachedLayer).keys)));
  }

  async #forward(
    ids: readonly number[],
    options: ForwardOptions,
    blocks: AttentionBlocks | null = null,
  ): Promise<ForwardResult> {
    const { nLayers, normEpsilon } = this.#config;
    const tokenVectors = this.#embed(ids);
    const positions = new Positions(this.#config, options.cache?.length ?? 0, ids.length);
    const layers: LayerCapture[] = [];
    let resid = tokenVectors;
    for (let layer = 0; layer < nLayers; layer++) {
      options.signal?.throwIfAborted();
      options.onProgress?.(layer, nLayers);
      const capture = await this.#layer(layer, resid, positions, options, blocks);
      layers.push(options.keepsPatterns === false ? { ...capture, attnPattern: new Float32Array(0) } : capture);
      resid = sum(capture.residMid, capture.mlpAdded);
      await nextTurn(); // progress goes out and cancels come in
    }
    options.signal?.throwIfAborted();
    options.onProgress?.(nLayers, nLayers);
    if (options.cache) options.cache.length += ids.length;
    const gain = this.weights.model('finalNorm');
    const { normed, scale } = rootMeanSquareNorm(resid, gain, normEpsilon, options.frozenNorms?.finalNormScale ?? null);
    const logits = await this.#logits(normed, options);
    return { nPos: ids.length, tokenVectors, layers, residFinal: resid, finalNormScale: scale, logits };
  }

  /** Embedding rows [pos, dModel] as they enter the residual stream. */
  #embed(ids: readonly number[]): Float32Array {
    const { dModel, family } = this.#config;
    const rows = new Float32Array(ids.length * dModel);
    for (const [pos, id] of ids.entries()) {
      this.weights.model('embedding', id, id + 1, rows.subarray(pos * dModel, (pos + 1) * dModel));
    }
    const factor = Math.fround(Math.sqrt(dModel));
    return family.scalesEmbedding ? rows.map((value) => value * factor) : rows;
  }

  async #layer(
    layer: number,
    resid: Float32Array,
    positions: Positions,
    options: ForwardOptions,
    blocks: AttentionBlocks | null,
  ): Promise<LayerCapture> {
    const attention = await this.#attention(layer, resid, positions, options, blocks);
    const frozen = options.frozenNorms?.layers[layer] ?? null;
    const { residMid, mlpNormScale } = attention;
    const addedFrom = (mlpOut: Float32Array) => this.#addedFrom(layer, mlpOut, frozen?.postMlpNormScale ?? null);
    type Own = { readonly mlpOut: Float32Array; readonly mlpAdded: Float32Array; readonly scale: Float32Array | null };
    let own: Own | null = null;
    const runOwn = async (): Promise<Own> => {
      if (own) return own;
      const mlpOut = await this.#mlp(layer, residMid, mlpNormScale);
      const { added, scale } = addedFrom(mlpOut);
      own = { mlpOut, mlpAdded: added, scale };
      return own;
    };
    const replaced =
      (await options.replaceMlp?.(layer, residMid, mlpNormScale, runOwn, (mlpOut) => addedFrom(mlpOut).added)) ?? null;
    if (!replaced) {
      const { mlpOut, mlpAdded, scale } = await runOwn();
      return { ...attention, mlpOut, mlpAdded, postMlpNormScale: scale };
    }
    const computed = own as Own | null;
    return {
      ...attention,
      mlpOut: computed?.mlpOut ?? replaced,
      mlpAdded: replaced,
      postMlpNormScale: computed?.scale ?? null,
    };
  }

  async #attention(
    layer: number,
    resid: Float32Array,
    positions: Positions,
    options: ForwardOptions,
    blocks: AttentionBlocks | null,
  ): Promise<Omit<LayerCapture, 'mlpOut' | 'mlpAdded' | 'postMlpNormScale'>> {
    const { dModel, dHead, nHeads, nKeyValueHeads } = this.#config;
    const { nPos, nKeys } = positions;
    const pattern = options.frozenPatterns?.(layer) ?? null;
    const frozen = options.frozenNorms?.layers[layer] ?? null;
    const [query, key, value, attnOutput] = await Promise.all(
      attentionMatrices.map((role) => this.weights.matrix(layer, role)),
    );
    const vectors = this.#vectors(layer, attentionVectors);
    const variant: AttentionVariant = {
      vectors: Object.keys(vectors) as LayerRole[],
      types: { query: query!.type, key: key!.type, value: value!.type, attnOutput: attnOutput!.type },
      isPatternGiven: pattern !== null,
      givesBlocks: blocks !== null,
      areScalesGiven: frozen !== null,
    };
    const session = await this.#sessions.get(`attention ${JSON.stringify(variant)}`, () =>
      attentionGraph(this.#config, variant),
    );
    const { cos, sin } = positions.rope(layer);
    const past = options.cache?.layers[layer] as CachedLayer | undefined;
    const noPast = floatTensor(new Float32Array(0), [nKeyValueHeads, 0, dHead]);
    const feeds: Record<string, Tensor> = {
      ...vectors,
      resid: floatTensor(resid, [nPos, dModel]),
      key: key!.tensor,
      value: value!.tensor,
      attnOutput: attnOutput!.tensor,
      cos: floatTensor(cos, [nPos, dHead / 2]),
      sin: floatTensor(sin, [nPos, dHead / 2]),
      pastKey: past?.keys ?? noPast,
      pastValue: past?.values ?? noPast,
    };
    if (pattern) {
      // Another run's may lie where threads see it, which ONNX Runtime takes only as a copy.
      const own = pattern.buffer instanceof SharedArrayBuffer ? pattern.slice() : pattern;
      feeds.attnPattern = floatTensor(own, [nHeads, nPos, nKeys]);
    } else {
      feeds.query = query!.tensor;
      feeds.mask = floatTensor(positions.mask(layer), [nPos, nKeys]);
    }
    if (frozen) {
      feeds.attnNormScale = floatTensor(frozen.attnNormScale, [nPos]);
      if (frozen.postAttnNormScale) feeds.postAttnNormScale = floatTensor(frozen.postAttnNormScale, [nPos]);
    }
    if (!options.replaceMlp && !this.#config.experts) this.weights.readAhead(layer, mlpMatrices);
    const outputs = await session.run(feeds);
    if (options.cache) options.cache.layers[layer] = { keys: outputs.allKeys!, values: outputs.allValues! };
    blocks?.add(layer, {
      from: nKeys - nPos,
      nPos,
      queries: floatsOf(outputs.scaledQuery),
      logSums: floatsOf(outputs.logSums),
    });
    const scale = (name: string): Float32Array | null => (outputs[name] ? floatsOf(outputs[name]) : null);
    return {
      attnPattern:
        pattern ?? (blocks ? new Float32Array(0) : laidIn(floatsOf(outputs.attnPattern), options.newPattern)),
      attnFactors: null,
      attnNormScale: frozen?.attnNormScale ?? scale('attnNormScale')!,
      postAttnNormScale: frozen?.postAttnNormScale ?? scale('postAttnNormScale'),
      mlpNormScale: frozen?.mlpNormScale ?? scale('mlpNormScale')!,
      residMid: floatsOf(outputs.residMid!),
    };
  }

  /** The MLP's own output [pos, dModel]. */
  async #mlp(layer: number, residMid: Float32Array, mlpNormScale: Float32Array): Promise<Float32Array> {
    if (this.#config.experts) {
      return runExperts(this.#config, this.weights, this.#sessions, layer, residMid, mlpNormScale);
    }
    const [gate, up, down] = await Promise.all(mlpMatrices.map((role) => this.weights.matrix(layer, role)));
    const vectors = this.#vectors(layer, mlpVectors);
    const variant: MlpVariant = {
      vectors: Object.keys(vectors) as LayerRole[],
      types: { gate: gate!.type, up: up!.type, down: down!.type },
    };
    const session = await this.#sessions.get(`mlp ${JSON.stringify(variant)}`, () => mlpGraph(this.#config, variant));
    this.weights.readAhead(layer + 1, attentionMatrices);
    const { mlpOut } = await session.run({
      ...vectors,
      residMid: floatTensor(residMid, [mlpNormScale.length, this.#config.dModel]),
      mlpNormScale: floatTensor(mlpNormScale, [mlpNormScale.length]),
      gate: gate!.tensor,
      up: up!.tensor,
      down: down!.tensor,
    });
    return floatsOf(mlpOut!);
  }

  /** What an output of the MLP adds to the residual stream, through the norm after it where there is one. */
  #addedFrom(
    layer: number,
    mlpOut: Float32Array,
    given: Float32Array | null,
  ): { readonly added: Float32Array; readonly scale: Float32Array | null } {
    const gain = this.weights.gain(layer, 'postMlpNorm');
    if (!gain) return { added: mlpOut, scale: null };
    const { normed, scale } = rootMeanSquareNorm(mlpOut, gain, this.#config.normEpsilon, given);
    return { added: normed, scale };
  }

  /** Those of the vectors that the layer has, as feeds. */
  #vectors(layer: number, roles: readonly LayerRole[]): Record<string, Tensor> {
    const feeds: Record<string, Tensor> = {};
    for (const role of roles) {
      const vector = this.weights.gain(layer, role);
      if (vector) feeds[role] = floatTensor(vector, [vector.length]);
    }
    return feeds;
  }

  /** Logits of all positions, the last one, or none, the vocabulary in chunks. */
  async #logits(normed: Float32Array, options: ForwardOptions): Promise<Float32Array> {
    const { dModel, dVocab } = this.#config;
    if (options.logits === 'none') return new Float32Array(0);
    const wanted = options.logits === 'all' ? normed : normed.subarray(normed.length - dModel);
    const nPos = wanted.length / dModel;
    const logits = new Float32Array(nPos * dVocab);
    for await (const { type, tensor, from, to } of this.weights.unembedding(
      Math.max(1, Math.floor(logitsChunk / dModel)),
    )) {
      options.signal?.throwIfAborted();
      const session = await this.#sessions.get(`logits ${type}`, () => logitsGraph(this.#config, type));
      const outputs = await session.run({ normed: floatTensor(wanted, [nPos, dModel]), unembedding: tensor });
      const part = floatsOf(outputs.logits!);
      for (let pos = 0; pos < nPos; pos++) {
        logits.set(part.subarray(pos * (to - from), (pos + 1) * (to - from)), pos * dVocab + from);
      }
      await nextTurn();
    }
    return logits;
  }
}

/** The values where they are wanted: copied there, unless that is where they are. */
function laidIn(values: Float32Array, newArray: ForwardOptions['newPattern']): Float32Array {
  if (!newArray) return values;
  const copy = newArray(values.length);
  copy.set(values);
  return copy;
}

function sum(a: Float32Array, b: Float32Array): Float32Array {
  const result = new Float32Array(a.length);
  for (let i = 0; i < a.length; i++) result[i] = a[i]! + b[i]!;
  return result;
}
