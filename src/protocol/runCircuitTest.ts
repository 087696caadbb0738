import { type CircuitTest, judge, sitesToAblate, type Verdict } from '../graph/assertions.ts';
import type { Site } from '../graph/node.ts';
import {
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

/** How many predictions are asked for after an ablation: enough to find the probability of a token that was likely. */
const topTokens = 50;

/** Traces the test's prompt, ablates what its statements ask for, and holds every statement against the results. */
export async function runCircuitTest(
  test: CircuitTest,
  pair: ModelPair,
  engine: CircuitTestEngine,
): Promise<readonly Verdict[]> {
  const trace = await engine.trace(traceRequest(test, pair));
  const ablations = new Map<string, readonly Prediction[]>();
  const verdicts: Verdict[] = [];
  for (const statement of test.statements) {
    const sites = sitesToAblate(statement, test, trace.graph);
    let after: readonly Prediction[] | null = null;
    if (sites !== null && sites.length > 0) {
      const key = JSON.stringify(sites);
      after = ablations.get(key) ?? (await ablate(test, pair, sites, engine));
      ablations.set(key, after);
    }
    verdicts.push(judge(statement, test, trace, after));
  }
  return verdicts;
}

/** The most likely tokens without these features. The engine also tells of tokens that were likely before; they go. */
async function ablate(
  test: CircuitTest,
  pair: ModelPair,
  sites: readonly Site[],
  engine: CircuitTestEngine,
): Promise<readonly Prediction[]> {
  return (await engine.intervene(ablation(test, pair, sites))).after.slice(0, topTokens);
}

/** A trace that keeps more than a panel shows, so that shares of paths are shares of nearly all. */
function traceRequest(test: CircuitTest, pair: ModelPair): TraceRequest {
  const keep = { nodeThreshold: 0.95, edgeThreshold: 0.99 };
  return {
    pair,
    prompt: test.prompt,
    targets: { type: 'top' },
    settings: { ...defaultAttribution, ...keep },
    keep,
    device: 'auto',
    slug: 'circuit-test',
  };
}

function ablation(test: CircuitTest, pair: ModelPair, sites: readonly Site[]): InterveneRequest {
  return {
    pair,
    prompt: test.prompt,
    interventions: sites.map((site) => ({ ...site, kind: 'ablate', value: 0 })),
    freezeAttention: false,
    constrainedLayers: null,
    topTokens,
    newTokens: 0,
    sampling: null,
    device: 'auto',
  };
}
