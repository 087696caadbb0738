import * as vscode from 'vscode';
import type { Progress } from '../protocol/engine.ts';
import type { Log } from './log.ts';
import { showError } from './showError.ts';

export type Job = { readonly signal: AbortSignal; readonly report: (progress: Progress) => void };

/** Milliseconds after which a job that still runs gets a notification: what is done sooner needs none. */
const notifyAfter = 700;

/** The jobs under way in this window: started here, cancelled from here, and the reason the status bar says *busy*. */
export class Jobs implements vscode.Disposable {
  readonly #log: Log;
  readonly #running = new Map<AbortController, string>();
  readonly #changed = new vscode.EventEmitter<void>();
  readonly onDidChange = this.#changed.event;

  constructor(log: Log) {
    this.#log = log;
  }

  /** The title of the newest job under way; null when there is none. */
  get current(): string | null {
    return [...this.#running.values()].at(-1) ?? null;
  }

  /** Cancels every job under way. */
  cancelAll(): void {
    for (const controller of this.#running.keys()) controller.abort();
  }

  /**
   * Runs work with a cancellable progress notification. A failure is shown once, here; the result is then undefined,
   * as it is after a cancel.
   */
  async run<T>(title: string, work: (job: Job) => Promise<T>): Promise<T | undefined> {
    const controller = new AbortController();
    this.#running.set(controller, title);
    this.#changed.fire();
    let report: Job['report'] = () => {};
    const result = work({ signal: controller.signal, report: (progress) => report(progress) });
    const timer = setTimeout(() => {
      void vscode.window.withProgress(
        { location: vscode.ProgressLocation.Notification, title, cancellable: true },
        (notification, token) => {
          token.onCancellationRequested(() => controller.abort());
          report = ({ phase, done, total }) =>
            notification.report({ message: total > 1 ? `${phase} ${Math.round((100 * done) / total)} %` : phase });
          return result.then(
            () => {},
            () => {},
          );
        },
      );
    }, notifyAfter);
    try {
      return await result;
    } catch (error) {
      void showError(error, this.#log);
      return undefined;
    } finally {
      clearTimeout(timer);
      this.#running.delete(controller);
      this.#changed.fire();
    }
  }

  dispose(): void {
    this.cancelAll();
    this.#changed.dispose();
  }
}
