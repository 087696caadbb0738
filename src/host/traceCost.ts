import os from 'node:os';
import type { AttributionSettings, EngineCalls, ModelPair } from '../protocol/engine.ts';
import { estimateTrace, type TraceEstimate } from '../protocol/estimate.ts';
import { formatBytes } from './remote/sizes.ts';

/** The engine as its callers see it: a process, or anything that answers alike. */
export type EngineCaller = {
  call<Name extends keyof EngineCalls>(
    name: Name,
    params: EngineCalls[Name]['params'],
    options?: { readonly signal?: AbortSignal },
  ): Promise<EngineCalls[Name]['result']>;
};

/** A pair that can be traced. */
export type TracedPair = ModelPair & { readonly transcoders: string };

/** What of a prompt is traced. */
export type TracedPrompt = {
  readonly nTokens: number;
  /** Positions whose features are sources of their own; absent: all. */
  readonly nSourcePositions?: number;
  readonly maxFeatureNodes: AttributionSettings['maxFeatureNodes'];
};

/** Memory and time of a trace on this machine. */
export async function estimateFor(
  engine: EngineCaller,
  { model: modelFolder, transcoders }: TracedPair,
  size: TracedPrompt,
  signal?: AbortSignal,
): Promise<TraceEstimate> {
  const [model, set] = await Promise.all([
    engine.call('inspectModel', { folder: modelFolder }, { signal }),
    engine.call('inspectTranscoders', { folder: transcoders }, { signal }),
  ]);
  const machine = { memory: os.totalmem(), available: os.freemem(), cores: os.availableParallelism() };
  return estimateTrace({ model, set, ...size }, machine);
}

/** Rounded as an estimate deserves. */
export function describeEstimate({ seconds, bytes }: TraceEstimate): string {
  const time = seconds < 1.5 ? '1 s' : seconds < 90 ? `${Math.round(seconds)} s` : `${Math.round(seconds / 60)} min`;
  return `about ${time}, ${formatBytes(bytes)} of memory`;
}
