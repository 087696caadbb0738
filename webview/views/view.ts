import type { Claim } from '../../src/protocol/engine.ts';
import type { Derived } from '../derive.ts';
import type { ExportFormat } from '../exports/exportGraph.ts';
import type { Update, ViewState } from '../store.ts';
import type { SteeringRequest } from './steering.ts';

/** A part of the page: draws the state, and asks for changes through what it was made with. */
export type View = {
  readonly element: HTMLElement;
  update(state: ViewState, derived: Derived | null): void;
};

/** What a view may ask for: changes of the state, and the few things only the extension can do. */
export type Intents = {
  apply(update: Update): void;
  cancel(): void;
  failedAction(): void;
  export(format: ExportFormat): void;
  /** Opens or closes the trace dialog, asks for a file of vectors, or starts the trace that was settled there. */
  traceDialog(action: 'open' | 'close' | 'pickDirections' | 'start'): void;
  /** Asks what only the extension can ask the reader about the interventions. */
  ask(request: SteeringRequest): void;
  /** Tests one claim against the model, or the strongest ones. */
  verify(claims: Claim | 'strongest'): void;
  /** Finds examples of the graph's features in texts that the user is asked for. */
  findExamples(): void;
  /** Asks the user whether Neuronpedia may be asked about features. */
  useNeuronpedia(): void;
};

/** What a view needs that only changes the state. */
export type Changes = Pick<Intents, 'apply'>;

/** Says whether any of the values differs from the last time; the first time it does. */
export function changeOf(): (...values: readonly unknown[]) => boolean {
  let last: readonly unknown[] | null = null;
  return (...values) => {
    const isSame =
      last?.length === values.length && values.every((value, position) => Object.is(value, last?.[position]));
    last = values;
    return !isSame;
  };
}
