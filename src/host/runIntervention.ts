import { type GraphEdit, noInterventions, plainRun, type RunOptions } from '../graph/interventions.ts';
import type { InterveneRequest, InterveneResult, ModelPair, Progress, Prompt } from '../protocol/engine.ts';
import { UserError } from '../protocol/errors.ts';
import { requestedEdits } from '../protocol/interventionRequest.ts';
import type { EngineProcess } from './engineProcess.ts';
import type { OpenTrace } from './traces.ts';

/** How many of the most likely tokens are compared before and after. */
const comparedTokens = 10;

/**
 * The run of a trace's prompt with edits: those on its table, unless others are given. UserError when its model is not on
 * this machine.
 */
export function requestFor(
  trace: OpenTrace,
  { edits, options }: { readonly edits: readonly GraphEdit[]; readonly options: RunOptions } = trace.graph
    .interventions ?? noInterventions,
): InterveneRequest {
  return {
    pair: modelOf(trace),
    prompt: promptOf(trace),
    ...requestedEdits(edits, options),
    topTokens: comparedTokens,
    device: 'auto',
  };
}

/** Runs a trace's prompt with features changed; a newer call does not end it, its signal does. */
export function runIntervention(
  engine: EngineProcess,
  request: InterveneRequest,
  options: { readonly signal: AbortSignal; readonly onProgress?: (progress: Progress) => void },
): Promise<InterveneResult> {
  return engine.call('intervene', request, options);
}

/** Some nodes of a trace turned off, and nothing else changed. */
export function ablationOf(trace: OpenTrace, nodeIds: readonly string[]): InterveneRequest {
  const wanted = new Set(nodeIds);
  const sites = trace.graph.nodes.flatMap(({ id, kind, layer, pos, feature, activation }) =>
    kind === 'feature' && feature !== null && wanted.has(id) ? [{ layer, pos, feature, unit: activation ?? 0 }] : [],
  );
  const edit: GraphEdit = { type: 'features', name: '', isOn: true, sites, places: 'own', kind: 'ablate', factor: 0 };
  return requestFor(trace, { edits: [edit], options: plainRun });
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

/** The prompt by its tokens, where all are known: a text may be split otherwise. */
export function promptOf({ record }: OpenTrace): Prompt {
  const ids = record.tokens.map(({ id }) => id);
  return ids.length > 0 && ids.every((id) => id >= 0) ? { type: 'tokens', ids } : record.prompt;
}
