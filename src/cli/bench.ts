import fs from 'node:fs';
import path from 'node:path';
import { Attributor } from '../engine/attribution/attribute.ts';
import { Intervener } from '../engine/interventions/intervene.ts';
import { loadModel } from '../engine/model/loadModel.ts';
import { loadTokenizer, type Tokenizer } from '../engine/model/tokenizer.ts';
import { loadTranscoders } from '../engine/transcoders/load.ts';
import { prune } from '../graph/prune.ts';
import { scores } from '../graph/scores.ts';
import type { InterveneRequest } from '../protocol/engine.ts';
import { mostAdaptiveFeatures } from '../protocol/limits.ts';
import { keptShare } from './keptShare.ts';
import { bestMatrixRate } from './matrixRate.ts';

export type BenchSize = {
  readonly model: string;
  readonly transcoders: string;
  readonly tokens: number;
  readonly features: number | 'all' | 'adaptive';
  readonly batch: number;
};

/** One configuration, measured in a process of its own. Seconds and bytes. */
export type BenchResult = {
  readonly tokens: number;
  readonly features: number | 'all' | 'adaptive';
  readonly active: number;
  readonly attributed: number;
  readonly unexpanded: number;
  /** Of adaptive mode: share of the influence that all it could attribute would keep that it keeps too. Null: not adaptive. */
  readonly same: number | null;
  readonly seconds: Readonly<Record<string, number>>;
  /** From the loaded model to the pruned graph and its scores. */
  readonly total: number;
  /** One feature turned off on the same prompt, the first run known: what the model then says. */
  readonly intervene: number;
  /** What the sweep's matrix products alone would take at the best rate reached in the same run. */
  readonly limit: number;
  /** Largest anonymous memory up to the end of the first trace: file mappings, which the system takes back at will, are not counted. */
  readonly peakBytes: number;
  readonly keptNodes: number;
  readonly keptEdges: number;
  readonly replacement: number;
  readonly completeness: number;
};

/** Shares of influence at which graphs are pruned. */
const keep = { nodeThreshold: 0.8, edgeThreshold: 0.98 };

/** Measures one size. `repeats` traces of it are made and the fastest is kept; memory is the peak of the first. */
export async function benchOne(size: BenchSize, repeats: number): Promise<BenchResult> {
  using model = await loadModel(size.model);
  using set = loadTranscoders(size.transcoders, model.dimensions);
  using attributor = new Attributor(model, set);
  const tokenizer = await loadTokenizer(size.model);
  const { ids, firstPos } = benchPrompt(size, tokenizer, model.dimensions.dVocab);
  const rateBefore = await bestMatrixRate(model.dimensions.dModel);
  const attribute = (maxFeatureNodes: BenchSize['features'], onProgress?: () => void) =>
    attributor.attribute(
      {
        ids,
        firstPos,
        targets: { type: 'top', maxLogits: 10, logitProbability: 0.95 },
        settings: {
          ...{ batchSize: size.batch, updateInterval: 4, maxFeatureNodes, adaptiveShare: 0.02 },
          nodeThreshold: keep.nodeThreshold,
        },
      },
      { onProgress },
    );
  let best: Omit<BenchResult, 'limit' | 'peakBytes' | 'intervene' | 'same'> | null = null;
  let multiplications = 0;
  let peak = 0;
  const watch = () => {
    peak = Math.max(peak, anonymousBytes());
  };
  for (let repeat = 0; repeat < repeats; repeat++) {
    // Another prompt before, so that nothing of this one is remembered.
    attributor.forgetPrompt();
    await model.forward([ids[0] === 1 ? 2 : 1], { logits: 'none' });
    const begun = performance.now();
    // Later traces find memory that an earlier one has not given back yet.
    const result = await attribute(size.features, repeat === 0 ? watch : undefined);
    const attributed = performance.now();
    const kept = prune(result.graph, keep, result.influence);
    const { replacement, completeness } = scores(result.graph, result.influence, result.handedOn);
    const ended = performance.now();
    if (repeat === 0) watch();
    multiplications = result.multiplications;
    const seconds = Object.fromEntries(result.phases.map(({ phase, milliseconds }) => [phase, milliseconds / 1000]));
    seconds.prune = (ended - attributed) / 1000;
    const measured = {
      tokens: size.tokens,
      features: size.features,
      active: result.active.count,
      attributed: result.order.length,
      unexpanded: result.unexpandedInfluence,
      seconds,
      total: (ended - begun) / 1000,
      keptNodes: count(kept.nodes),
      keptEdges: count(kept.edges),
      replacement,
      completeness,
    };
    if (!best || measured.total < best.total) best = measured;
  }
  const intervene = await interventionSeconds(new Intervener({ model, set, encoder: attributor.encoder }, tokenizer), {
    ...size,
    ids,
    repeats,
  });
  const rate = Math.max(rateBefore, await bestMatrixRate(model.dimensions.dModel));
  if (!best) throw new Error('nothing was measured');
  const same =
    size.features === 'adaptive'
      ? keptShare(await attribute(mostAdaptiveFeatures), await attribute('adaptive'), keep)
      : null;
  return { ...best, intervene, limit: multiplications / rate, peakBytes: peak, same };
}

/** The fastest run with a feature of the last token turned off, nothing else held. */
async function interventionSeconds(
  intervener: Intervener,
  { model, transcoders, ids, repeats }: BenchSize & { readonly ids: readonly number[]; readonly repeats: number },
): Promise<number> {
  const request: InterveneRequest = {
    pair: { model, transcoders },
    prompt: { type: 'tokens', ids },
    interventions: [{ layer: 0, feature: 0, pos: ids.length - 1, kind: 'ablate', value: 0 }],
    freezeAttention: false,
    constrainedLayers: null,
    topTokens: 10,
    newTokens: 0,
    sampling: null,
    device: 'cpu',
  };
  let best = Number.POSITIVE_INFINITY;
  // The first run also makes the run without the edit, which is then kept.
  for (let repeat = 0; repeat <= repeats; repeat++) {
    const { milliseconds } = await intervener.intervene(request);
    if (repeat > 0) best = Math.min(best, milliseconds / 1000);
  }
  return best;
}

/**
 * Token ids to run: those of `prompts.json` beside the model's folder, where there is one for this length; else ids
 * spread over the vocabulary, a special token first.
 */
function benchPrompt(
  { model, tokens }: BenchSize,
  tokenizer: Tokenizer,
  dVocab: number,
): { ids: readonly number[]; firstPos: number } {
  const file = path.join(path.dirname(path.resolve(model)), 'prompts.json');
  const known: unknown = fs.existsSync(file) ? JSON.parse(fs.readFileSync(file, 'utf8'))[String(tokens)] : undefined;
  const spread = Array.from({ length: tokens - 1 }, (_, pos) => 1 + ((pos * 2654435761) % (dVocab - 1)));
  const given = Array.isArray(known) ? known.map(Number) : spread;
  const ids = tokenizer
    .tokenize({ type: 'tokens', ids: given })
    .tokens.map(({ id }) => id)
    .slice(0, tokens);
  return { ids, firstPos: tokenizer.zeroPositions(ids) };
}

/** On Linux the process's own memory; elsewhere its resident memory. */
function anonymousBytes(): number {
  try {
    return Number(/RssAnon:\s+(\d+)/.exec(fs.readFileSync('/proc/self/status', 'utf8'))?.[1]) * 1024;
  } catch {
    return process.memoryUsage.rss();
  }
}

function count(mask: Uint8Array): number {
  return mask.reduce((sum, kept) => sum + kept, 0);
}
