import type { InterveneResult, Intervention } from '../protocol/engine.ts';
import { UserError } from '../protocol/errors.ts';
import type { EngineProcess } from './engineProcess.ts';
import type { OpenTrace } from './traces.ts';

/** How many of the most likely tokens are compared before and after. */
const comparedTokens = 10;

/** Runs the trace's prompt with its features changed; a UserError when its model is not on this machine. */
export function runIntervention(
  engine: EngineProcess,
  { record }: OpenTrace,
  interventions: readonly Intervention[],
  signal: AbortSignal,
): Promise<InterveneResult> {
  if (record.pair === null) {
    throw new UserError(
      'model.unknown',
      `The model ${record.modelName} of this graph is not known on this machine.`,
      'Choose its folder and trace the prompt again.',
    );
  }
  const request = {
    pair: record.pair,
    prompt: record.prompt,
    interventions,
    freezeAttention: false,
    constrainedLayers: null,
    topTokens: comparedTokens,
    newTokens: 0,
    sampling: null,
    device: 'auto' as const,
  };
  return engine.call('intervene', request, { signal });
}
