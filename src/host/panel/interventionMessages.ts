import { noInterventions } from '../../graph/interventions.ts';
import type { FromPanel, ToPanel } from '../../protocol/panel.ts';
import { addIntervention, copyCommandLine, takeFromTrace } from '../commands/editInterventions.ts';
import type { InterventionRuns } from '../interventionRuns.ts';
import type { Traces } from '../traces.ts';

export type InterventionServices = {
  readonly extensionPath: string;
  readonly traces: Traces;
  readonly runs: InterventionRuns;
};

/**
 * Answers a page's messages about a trace's interventions, wherever the page is.
 * @param page whoever asks: it is not told of its own changes
 * @returns false for messages about something else
 */
export async function answerAboutInterventions(
  message: FromPanel,
  id: string,
  page: unknown,
  { extensionPath, traces, runs }: InterventionServices,
): Promise<boolean> {
  switch (message.type) {
    case 'interventionsChanged':
      traces.changeInterventions(id, message.interventions, page);
      return true;
    case 'runInterventions':
      runs.request(id);
      return true;
    case 'addIntervention':
      await addIntervention(traces, undefined, id);
      return true;
    case 'takeFromTrace':
      await takeFromTrace(traces, id);
      return true;
    case 'copyCommandLine': {
      const trace = traces.opened(id);
      if (trace !== null) await copyCommandLine(extensionPath, trace);
      return true;
    }
    case 'cancel':
      runs.cancel(id);
      return false;
    default:
      return false;
  }
}

/** What a page that shows the trace is told when it comes up. */
export function interventionsNow(id: string, { traces, runs }: InterventionServices): ToPanel[] {
  const interventions = traces.opened(id)?.graph.interventions ?? noInterventions;
  return [
    { type: 'interventions', interventions },
    { type: 'interventionRun', run: runs.runOf(id) },
  ];
}
