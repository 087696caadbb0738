import fs from 'node:fs';
import process from 'node:process';
import { readGraphBytes } from '../graph/readGraph.ts';
import type { EngineCalls, EngineStatus } from '../protocol/engine.ts';
import { UserError } from '../protocol/errors.ts';
import type { Handlers } from '../protocol/rpc.ts';
import { trace } from './attribution/trace.ts';
import { LoadedPair } from './loaded.ts';
import { describeModel } from './model/loadModel.ts';
import { describeTranscoders } from './transcoders/load.ts';

export type CallsOptions = {
  /** The product's version. */
  readonly version: string;
  readonly log: (level: 'debug' | 'info' | 'warn', line: string) => void;
};

/** The functions behind the engine's calls, around one loaded pair. */
export function createCalls({ version, log }: CallsOptions): Handlers<EngineCalls> {
  const pair = new LoadedPair((line) => log('info', line));
  return {
    status: async () => statusOf(version, pair),
    inspectModel: async ({ folder }) => describeModel(folder),
    inspectTranscoders: async ({ folder }) => describeTranscoders(folder),
    tokenize: async ({ pair: { model }, prompt }) => (await pair.tokenizer(model)).tokenize(prompt),
    trace: async (request, context) => {
      const started = performance.now();
      return pair.use(
        request.pair,
        request.device,
        async ({ attributor, tokenizer, description, device }) => {
          const loading = performance.now() - started;
          if (attributor === null) {
            throw new UserError('transcoders.none', 'A trace needs a transcoder set.', 'Choose one for this model.');
          }
          const parts = { attributor, tokenizer, modelName: description.name, device, version };
          const result = await trace(request, parts, context);
          const load = { phase: 'load model', milliseconds: loading } as const;
          return { ...result, phases: [load, ...result.phases] };
        },
        context,
      );
    },
    featureCard: async () => {
      throw new UserError('features.none', 'This set has no feature examples.', 'Choose a set with a features folder.');
    },
    featureLabels: async () => [],
    readGraph: async ({ bytes }) => readGraphBytes(bytes),
    intervene: async () => {
      throw new UserError('intervention.none', 'Interventions are not there yet.', 'Wait for the next version.');
    },
    unload: async () => {
      await pair.unload();
      return null;
    },
  };
}

function statusOf(version: string, { current }: LoadedPair): EngineStatus {
  return {
    version,
    loaded: current === null ? null : { model: current.description, set: current.set?.description ?? null },
    device: current?.device ?? 'cpu',
    deviceReason: '',
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
