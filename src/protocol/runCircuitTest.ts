import { type CircuitTest, judge, sitesToAblate, type Verdict } from '../graph/assertions.ts';
import type { Site } from '../graph/node.ts';
import {
  type DeviceChoice,
  defaultAttribution,
  type InterveneRequest,
  type InterveneResult,
  type ModelPair,
  type Prediction,
  type TraceRequest,
  type TraceResult,
} from './engine.ts';

/** What running a circuit test needs of an engine, in this process or another. */
export type CircuitTestEngine = {
  readonly trace: (request: TraceRequest) => Promise<TraceResult>;
  readonly intervene: (request: InterveneRequest) => Promise<InterveneResult>;
};

type Run = Pick<TraceRequest, 'pair' | 'prompt' | 'device'>;

/** How many predictions are asked for after an ablation: enough to find the probability of a token that was likely. */
const topTokens = 50;

/** Traces the test's prompt, ablates what its statements ask for, and holds every statement against the results. */
export async function runCircuitTest(
  test: CircuitTest,
  pair: ModelPair,
  device: DeviceChoice,
  engine: CircuitTestEngine,
): Promise<readonly Verdict[]> {
  const run = { pair, prompt: test.prompt, device };
  const trace = await engine.trace(traceRequest(run));
  const ablations = new Map<string, readonly Prediction[]>();
  const verdicts: Verdict[] = [];
  for (const statement of test.statements) {
    const sites = sitesToAblate(statement, test, trace.graph);
    let after: readonly Prediction[] | null = null;
    if (sites !== null && sites.length > 0) {
      const key = JSON.stringify(sites);
      after = ablations.get(key) ?? (await ablate(run, sites, engine));
      ablations.set(key, after);
    }
    verdicts.push(judge(statement, test, trace, after));
  }
  return verdicts;
}

/** The most likely tokens without these features. The engine also tells of tokens that were likely before; they go. */
async function ablate(run: Run, sites: readonly Site[], engine: CircuitTestEngine): Promise<readonly Prediction[]> {
  return (await engine.intervene(ablation(run, sites))).after.slice(0, topTokens);
}

/** A trace that keeps more than a panel shows, so that shares of paths are shares of nearly all. */
function traceRequest(run: Run): TraceRequest {
  const keep = { nodeThreshold: 0.95, edgeThreshold: 0.99 };
  return {
    ...run,
    targets: { type: 'top' },
    settings: { ...defaultAttribution, ...keep },
    keep,
    slug: 'circuit-test',
  };
}

function ablation(run: Run, sites: readonly Site[]): InterveneRequest {
  return {
    ...run,
    interventions: sites.map((site) => ({ ...site, kind: 'ablate', value: 0 })),
    freezeAttention: false,
    constrainedLayers: null,
    topTokens,
    newTokens: 0,
    sampling: null,
  };
}
