import type { Progress, VerifyRequest, VerifyResult } from '../protocol/engine.ts';
import type { EngineProcess } from './engineProcess.ts';
import { modelOf } from './runIntervention.ts';
import type { OpenTrace } from './traces.ts';

/** Turns the claims' sources off, one after the other, and measures what becomes of their targets. */
export function runVerification(
  engine: EngineProcess,
  trace: OpenTrace,
  { claims, kept }: Pick<VerifyRequest, 'claims' | 'kept'>,
  options: { readonly signal: AbortSignal; readonly onProgress: (progress: Progress) => void },
): Promise<VerifyResult> {
  const pair = modelOf(trace);
  const request = { pair, prompt: trace.record.prompt, claims, factor: 0, kept, device: 'auto' as const };
  return engine.call('verify', request, options);
}
