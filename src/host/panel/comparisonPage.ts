import * as vscode from 'vscode';
import type { FromComparison, Side, ToComparison } from '../../protocol/comparison.ts';
import type { UserError } from '../../protocol/errors.ts';
import { comparedNames } from '../comparedNames.ts';
import type { EngineProcess } from '../engineProcess.ts';
import type { Log } from '../log.ts';
import { remedyFor } from '../remedies.ts';
import { showError } from '../showError.ts';
import type { OpenTrace, Traces } from '../traces.ts';
import { panelHtml, webviewOptions } from './html.ts';
import { panelTrace } from './panelTrace.ts';
import { readComparisonMessage } from './readComparisonMessage.ts';

/** The compared traces, by their ids. */
export type ComparedIds = { readonly left: string; readonly right: string };

export type ComparisonServices = {
  readonly extensionUri: vscode.Uri;
  readonly engine: EngineProcess;
  readonly traces: Traces;
  readonly log: Log;
  /** Opens a trace's own graph. */
  readonly openGraph: (id: string) => Promise<void>;
  /** Opens both as one graph. */
  readonly openMerged: (left: OpenTrace, right: OpenTrace) => Promise<void>;
};

/** One webview that compares two traces. Speaks for it, both ways; says all again whenever the page comes up anew. */
export class ComparisonPage implements vscode.Disposable {
  readonly #webview: vscode.Webview;
  readonly #services: ComparisonServices;
  readonly #listeners: vscode.Disposable[] = [];
  #ids: ComparedIds | null = null;
  #failure: UserError | null = null;
  #isReady = false;

  constructor(webview: vscode.Webview, services: ComparisonServices) {
    this.#webview = webview;
    this.#services = services;
    webview.options = webviewOptions(services.extensionUri);
    this.#listeners.push(
      webview.onDidReceiveMessage((raw) => {
        const message = readComparisonMessage(raw);
        if (message === null) services.log.warn('a message from the comparison was not understood');
        else void this.#receive(message).catch((error) => showError(error, services.log));
      }),
      services.traces.onDidChange((change) => {
        if (change.type === 'view' && (change.id === this.#ids?.left || change.id === this.#ids?.right)) this.#say();
      }),
    );
    webview.html = panelHtml(webview, services.extensionUri, 'comparison.js');
  }

  get ids(): ComparedIds | null {
    return this.#ids;
  }

  show(ids: ComparedIds): void {
    this.#ids = ids;
    this.#failure = null;
    this.#say();
  }

  fail(failure: UserError): void {
    this.#failure = failure;
    this.#say();
  }

  dispose(): void {
    for (const listener of this.#listeners) listener.dispose();
  }

  #post(message: ToComparison): void {
    if (this.#isReady) void this.#webview.postMessage(message);
  }

  #trace(side: Side): OpenTrace | null {
    return this.#ids === null ? null : this.#services.traces.opened(this.#ids[side]);
  }

  #say(): void {
    if (this.#failure !== null) {
      const { code, message, remedy } = this.#failure;
      this.#post({ type: 'failed', message, remedy, action: remedyFor(code)?.title ?? null });
      return;
    }
    const [left, right] = [this.#trace('left'), this.#trace('right')];
    if (left === null || right === null) return;
    const names = comparedNames(left, right);
    this.#post({ type: 'showComparison', traces: { left: panelTrace(left), right: panelTrace(right), names } });
    void this.#sendLabels([left, right]);
  }

  /** Labels of both traces' sets; once where they are of the same. */
  async #sendLabels(traces: readonly OpenTrace[]): Promise<void> {
    if (!this.#isReady) return;
    const pairs = new Map(traces.map(({ record }) => [JSON.stringify(record.pair), record.pair]));
    for (const pair of pairs.values()) {
      if (!pair?.transcoders) continue;
      try {
        this.#post({ type: 'labels', labels: await this.#services.engine.call('featureLabels', { pair }) });
      } catch (error) {
        // The graphs stand without them: their nodes carry the labels that they were saved with.
        this.#services.log.debug(`no feature labels: ${error instanceof Error ? error.message : error}`);
      }
    }
  }

  async #receive(message: FromComparison): Promise<void> {
    const { traces, openGraph, openMerged } = this.#services;
    switch (message.type) {
      case 'ready':
        this.#isReady = true;
        this.#say();
        break;
      case 'selectNode':
        if (this.#trace(message.side) === null) break;
        traces.activate(this.#ids?.[message.side] ?? null);
        traces.select(message.node);
        break;
      case 'openTrace': {
        const trace = this.#trace(message.side);
        if (trace === null) break;
        await openGraph(trace.record.id);
        if (message.node !== null) traces.select(message.node);
        break;
      }
      case 'openMerged': {
        const [left, right] = [this.#trace('left'), this.#trace('right')];
        if (left !== null && right !== null) await openMerged(left, right);
        break;
      }
      case 'failedAction': {
        const action = this.#failure === null ? null : remedyFor(this.#failure.code);
        if (action !== null) await vscode.commands.executeCommand(action.command, ...(action.arguments ?? []));
        break;
      }
    }
  }
}
