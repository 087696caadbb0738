import type { Inspection, Progress } from '../protocol/engine.ts';
import type { EngineProcess } from './engineProcess.ts';
import { modelOf, promptOf } from './runIntervention.ts';
import type { OpenTrace } from './traces.ts';

/** What of each cell is listed, and how many tokens are looked into in one go. */
const topFeatures = 12;
const topTokens = 5;
const tokensAtOnce = 64;

/** Looks into every layer at the trace's tokens from `first` on; null: at the last ones. UserError without its model. */
export function runInspection(
  engine: EngineProcess,
  trace: OpenTrace,
  first: number | null,
  options: { readonly signal: AbortSignal; readonly onProgress: (progress: Progress) => void },
): Promise<Inspection> {
  const last = trace.graph.metadata.promptTokens.length - 1;
  const positions = first === null ? null : ([first, Math.min(last, first + tokensAtOnce - 1)] as const);
  const request = { pair: modelOf(trace), prompt: promptOf(trace), positions, topFeatures, topTokens };
  return engine.call('inspectActivations', { ...request, device: 'auto' }, options);
}
