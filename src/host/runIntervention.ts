import type { InterveneResult, Intervention, ModelPair } from '../protocol/engine.ts';
import { UserError } from '../protocol/errors.ts';
import type { EngineProcess } from './engineProcess.ts';
import type { OpenTrace } from './traces.ts';

/** How many of the most likely tokens are compared before and after. */
const comparedTokens = 10;

/**
 * Runs the trace's prompt with its features changed, and `newTokens` further; a UserError when its model is not on this machine.
 */
export function runIntervention(
  engine: EngineProcess,
  trace: OpenTrace,
  interventions: readonly Intervention[],
  signal: AbortSignal,
  newTokens = 0,
): Promise<InterveneResult> {
  const request = {
    pair: modelOf(trace),
    prompt: trace.record.prompt,
    interventions,
    freezeAttention: false,
    constrainedLayers: null,
    topTokens: comparedTokens,
    newTokens,
    sampling: null,
    device: 'auto' as const,
  };
  return engine.call('intervene', request, { signal });
}

/** The model and transcoders that the trace was made with; a UserError when they are not on this machine. */
export function modelOf({ record }: OpenTrace): ModelPair {
  if (record.pair !== null) return record.pair;
  throw new UserError(
    'model.unknown',
    `The model ${record.modelName} of this graph is not known on this machine.`,
    'Choose its folder and trace the prompt again.',
  );
}
