import fs from 'node:fs';
import process from 'node:process';
import { readGraphBytes } from '../graph/readGraph.ts';
import type { GraphWeights } from '../graph/weights.ts';
import type { EngineCalls, EngineStatus, FeatureCard, ModelPair } from '../protocol/engine.ts';
import { UserError } from '../protocol/errors.ts';
import type { Handlers } from '../protocol/rpc.ts';
import { readDirections } from './attribution/directions.ts';
import { inspectActivations } from './attribution/inspect.ts';
import { trace } from './attribution/trace.ts';
import { type Loaded, LoadedPair, stampOf, weightsOf } from './loaded.ts';
import { describeModel } from './model/loadModel.ts';
import { SetFeatures } from './setFeatures.ts';
import { featureLogits } from './transcoders/describe.ts';
import { describeTranscoders } from './transcoders/load.ts';
import { collectExamples } from './transcoders/ownText.ts';

/** Tokens listed on each side of a card whose logits are computed here. */
const listedLogits = 10;

export type CallsOptions = {
  /** The product's version. */
  readonly version: string;
  readonly log: (level: 'debug' | 'info' | 'warn', line: string) => void;
};

/** The functions behind the engine's calls, around one loaded pair. */
export function createCalls({ version, log }: CallsOptions): Handlers<EngineCalls> {
  const loadedPair = new LoadedPair((line) => log('info', line));
  const models = new Descriptions(describeModel);
  const sets = new Descriptions(describeTranscoders);
  const weights = new KnownWeights();
  let known: SetFeatures | null = null;
  const features = ({ transcoders }: ModelPair): SetFeatures => {
    if (transcoders === null) throw noTranscoders();
    if (known?.folder !== transcoders) known = new SetFeatures(transcoders);
    return known;
  };
  return {
    status: async () => statusOf(version, loadedPair),
    inspectModel: async ({ folder }) => models.get(folder),
    inspectTranscoders: async ({ folder }) => sets.get(folder),
    tokenize: async ({ pair: { model }, prompt }) => (await loadedPair.tokenizer(model)).tokenize(prompt),
    weights: async ({ pair }) => weights.get(pair),
    readDirections: async ({ folder, file }) => readDirections(file, models.get(folder).dModel),
    trace: async (request, context) => {
      const started = performance.now();
      return loadedPair.use(
        request.pair,
        request.device,
        async ({ attributor, tokenizer, description, device, weights }) => {
          const loading = performance.now() - started;
          if (attributor === null) throw noTranscoders();
          const parts = { attributor, tokenizer, modelName: description.name, device, version, weights };
          const result = await trace(request, parts, context);
          const load = { phase: 'load model', milliseconds: loading } as const;
          const graph = features(request.pair).withLabels(result.graph);
          return { ...result, graph, phases: [load, ...result.phases] };
        },
        context,
      );
    },
    collectExamples: (request, context) =>
      loadedPair.use(
        request.pair,
        request.device,
        async ({ model, tokenizer, attributor }) => {
          if (attributor === null) throw noTranscoders();
          const { set, encoder } = attributor;
          return collectExamples(request, { model, tokenizer, set, encoder }, context);
        },
        context,
      ),
    inspectActivations: (request, context) =>
      loadedPair.use(
        request.pair,
        request.device,
        ({ model, tokenizer, attributor }) => {
          const label = (layer: number, feature: number): string =>
            request.pair.transcoders === null ? '' : features(request.pair).label(layer, feature);
          return inspectActivations(request, { model, tokenizer, attributor, label }, context);
        },
        context,
      ),
    featureCard: async ({ pair, layer, feature, hosted }, { signal }) => {
      const card = features(pair).card(layer, feature, hosted);
      if (card.topLogits.length > 0 || card.bottomLogits.length > 0) return card;
      return loadedPair.use(pair, null, (loaded) => withComputedLogits(card, loaded, signal), { signal });
    },
    featureLabels: async ({ pair }) => features(pair).labels(),
    readGraph: async ({ bytes }) => readGraphBytes(bytes),
    intervene: async (request, context) =>
      loadedPair.use(
        request.pair,
        request.device,
        async ({ intervener }) => {
          if (intervener === null) throw noTranscoders();
          return intervener.intervene(request, context);
        },
        context,
      ),
    verify: (request, context) =>
      loadedPair.use(
        request.pair,
        request.device,
        async ({ intervener }) => {
          if (intervener === null) throw noTranscoders();
          return intervener.verify(request, context);
        },
        context,
      ),
    unload: async () => {
      await loadedPair.unload();
      return null;
    },
  };
}

/** The card with the tokens that the feature raises and lowers most, where the set's files do not name them. */
async function withComputedLogits(
  card: FeatureCard,
  { model, set, tokenizer }: Loaded,
  signal: AbortSignal,
): Promise<FeatureCard> {
  if (set === null || card.layer >= set.layers.length || card.feature >= set.nFeatures) return card;
  const onPart = async (): Promise<void> => {
    // Gives a cancel the chance to come in.
    await new Promise((resolve) => setImmediate(resolve));
    signal.throwIfAborted();
  };
  const { top, bottom } = await featureLogits(model, set, card.layer, card.feature, listedLogits, onPart);
  const text = ({ id }: { readonly id: number }): string => tokenizer.text(id);
  return { ...card, topLogits: top.map(text), bottomLogits: bottom.map(text), logitsFrom: 'computed' };
}

/** What folders hold, looked into again only when their files changed: large sets take a while to look into. */
class Descriptions<Description> {
  readonly #describe: (folder: string) => Description;
  readonly #known = new Map<string, { readonly stamp: string; readonly description: Description }>();

  constructor(describe: (folder: string) => Description) {
    this.#describe = describe;
  }

  get(folder: string): Description {
    const stamp = stampOf(folder);
    const known = this.#known.get(folder);
    if (known?.stamp === stamp) return known.description;
    const description = this.#describe(folder);
    this.#known.set(folder, { stamp, description });
    return description;
  }
}

/** The weights of the pair that was asked for last, read again only when files changed. */
class KnownWeights {
  #known: { readonly stamp: string; readonly weights: GraphWeights } | null = null;

  get(pair: ModelPair): GraphWeights {
    const stamp = [pair.model, pair.transcoders].map((folder) => (folder === null ? '' : stampOf(folder))).join('\n');
    if (this.#known?.stamp !== stamp) this.#known = { stamp, weights: weightsOf(pair) };
    return this.#known.weights;
  }
}

function noTranscoders(): UserError {
  return new UserError('transcoders.none', 'This model has no transcoder set.', 'Choose a transcoder set for it.');
}

function statusOf(version: string, { current }: LoadedPair): EngineStatus {
  return {
    version,
    loaded: current === null ? null : { model: current.description, set: current.set?.description ?? null },
    device: current?.device ?? 'cpu',
    deviceReason: current?.deviceReason ?? '',
    ownBytes: ownBytes(),
  };
}

/** Memory that is this process's own: file mappings, which the system takes back at will, are left out where it tells. */
function ownBytes(): number {
  try {
    const anonymous = /^RssAnon:\s+(\d+) kB/m.exec(fs.readFileSync('/proc/self/status', 'utf8'));
    if (anonymous !== null) return Number(anonymous[1]) * 1024;
  } catch {
    // Only Linux tells.
  }
  return process.memoryUsage.rss();
}
