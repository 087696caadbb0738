import * as vscode from 'vscode';
import { noInterventions } from '../graph/interventions.ts';
import type { InterveneResult, Prediction, Progress } from '../protocol/engine.ts';
import { isAbort, UserError } from '../protocol/errors.ts';
import type { InterventionRun } from '../protocol/panel.ts';
import type { EngineProcess } from './engineProcess.ts';
import type { Log } from './log.ts';
import { requestFor, runIntervention } from './runIntervention.ts';
import type { Traces } from './traces.ts';

const noRun: InterventionRun = { isRunning: false, result: null, streamed: { before: [], after: [] }, failure: null };

/** Milliseconds: models that answer within this are asked again while a slider moves. */
const fastRun = 700;

type Entry = {
  run: InterventionRun;
  /** The run under way. */
  controller: AbortController | null;
  startedAt: number;
  /** The edits changed while it went on. */
  isWanted: boolean;
};

/**
 * Runs the model with the edits of the window's traces, one run a trace at a time, and says how it went: the one answer
 * that panel and side bar show.
 */
export class InterventionRuns implements vscode.Disposable {
  readonly #engine: EngineProcess;
  readonly #traces: Traces;
  readonly #log: Log;
  readonly #entries = new Map<string, Entry>();
  readonly #changed = new vscode.EventEmitter<string>();
  /** Fires with the id of the trace. */
  readonly onDidChange = this.#changed.event;
  readonly #listener: vscode.Disposable;

  constructor(engine: EngineProcess, traces: Traces, log: Log) {
    this.#engine = engine;
    this.#traces = traces;
    this.#log = log;
    this.#listener = traces.onDidChange((change) => {
      if (change.type !== 'interventions') return;
      const { edits, options } = traces.opened(change.id)?.graph.interventions ?? noInterventions;
      const isSame = change.before.edits === edits && change.before.options === options;
      if (!isSame && edits.length > 0 && this.#isFast(change.id)) this.request(change.id);
    });
  }

  runOf(id: string): InterventionRun {
    return this.#entries.get(id)?.run ?? noRun;
  }

  /** Runs the trace's edits as they are now; a run under way is let end first, if it is a fast one. */
  request(id: string): void {
    const entry = this.#entries.get(id) ?? { run: noRun, controller: null, startedAt: 0, isWanted: false };
    this.#entries.set(id, entry);
    entry.isWanted = true;
    if (entry.controller === null) void this.#run(id, entry);
    else if (performance.now() - entry.startedAt > fastRun) entry.controller.abort();
  }

  cancel(id: string): void {
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    entry.isWanted = false;
    entry.controller?.abort();
  }

  dispose(): void {
    this.#listener.dispose();
    for (const { controller } of this.#entries.values()) controller?.abort();
    this.#changed.dispose();
  }

  #isFast(id: string): boolean {
    const entry = this.#entries.get(id);
    return entry !== undefined && (entry.run.result?.milliseconds ?? Number.POSITIVE_INFINITY) < fastRun;
  }

  async #run(id: string, entry: Entry): Promise<void> {
    while (entry.isWanted) {
      entry.isWanted = false;
      entry.controller = new AbortController();
      entry.startedAt = performance.now();
      this.#say(id, entry, { ...entry.run, isRunning: true, streamed: noRun.streamed, failure: null });
      const outcome = await this.#once(id, entry, entry.controller.signal);
      entry.controller = null;
      this.#say(id, entry, { ...entry.run, ...outcome, isRunning: false, streamed: noRun.streamed });
    }
  }

  async #once(
    id: string,
    entry: Entry,
    signal: AbortSignal,
  ): Promise<{ readonly result: InterveneResult } | { readonly failure: InterventionRun['failure'] }> {
    const onProgress = ({ token }: Progress): void => {
      if (token === undefined) return;
      const { streamed } = entry.run;
      const add = (run: 'before' | 'after'): readonly Prediction[] =>
        token.run === run ? [...streamed[run], token] : streamed[run];
      this.#say(id, entry, { ...entry.run, streamed: { before: add('before'), after: add('after') } });
    };
    try {
      const trace = this.#traces.opened(id);
      if (trace === null) return { failure: null };
      const result = await runIntervention(this.#engine, requestFor(trace), { signal, onProgress });
      return { result };
    } catch (error) {
      if (isAbort(error)) return { failure: null };
      if (error instanceof UserError) return { failure: { message: error.message, remedy: error.remedy } };
      this.#log.error(error instanceof Error ? (error.stack ?? error.message) : String(error));
      return { failure: { message: 'Something went wrong.', remedy: 'The log of Prompt Circuits says more.' } };
    }
  }

  #say(id: string, entry: Entry, run: InterventionRun): void {
    entry.run = run;
    this.#changed.fire(id);
  }
}
