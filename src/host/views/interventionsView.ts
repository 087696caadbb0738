import * as vscode from 'vscode';
import type { FromPanel, ToPanel } from '../../protocol/panel.ts';
import type { EngineProcess } from '../engineProcess.ts';
import type { Log } from '../log.ts';
import { panelHtml, webviewOptions } from '../panel/html.ts';
import {
  answerAboutInterventions,
  type InterventionServices,
  interventionsNow,
} from '../panel/interventionMessages.ts';
import { panelTrace } from '../panel/panelTrace.ts';
import { readMessage } from '../panel/readMessage.ts';
import { showError } from '../showError.ts';
import { traceName } from '../traceRecord.ts';

export type InterventionsViewServices = InterventionServices & {
  readonly extensionUri: vscode.Uri;
  readonly engine: EngineProcess;
  readonly log: Log;
};

const noEdges = { source: new Uint32Array(0), target: new Uint32Array(0), weight: new Float32Array(0) };

/**
 * The interventions of the active trace in the side bar: the same rows, run and result as in its graph panel, and the
 * same state, which the trace holds.
 */
export class InterventionsView implements vscode.WebviewViewProvider, vscode.Disposable {
  readonly #services: InterventionsViewServices;
  readonly #listeners: vscode.Disposable[];
  #view: vscode.WebviewView | null = null;
  #isReady = false;

  constructor(services: InterventionsViewServices) {
    this.#services = services;
    const { traces, runs } = services;
    this.#listeners = [
      vscode.window.registerWebviewViewProvider('promptCircuits.interventions', this),
      traces.onDidChange((change) => {
        if (change.type === 'active' || (change.type === 'view' && change.id === this.#id)) this.#show();
        if (change.type === 'selected') this.#post({ type: 'select', node: traces.selected });
        if (change.type === 'interventions' && change.id === this.#id && change.by !== this) {
          for (const message of interventionsNow(change.id, services)) this.#post(message);
        }
      }),
      runs.onDidChange((id) => {
        if (id === this.#id) this.#post({ type: 'interventionRun', run: runs.runOf(id) });
      }),
    ];
  }

  resolveWebviewView(view: vscode.WebviewView): void {
    const { extensionUri, log } = this.#services;
    this.#view = view;
    this.#isReady = false;
    view.webview.options = webviewOptions(extensionUri);
    view.webview.onDidReceiveMessage((raw) => {
      const message = readMessage(raw);
      if (message === null) log.warn('a message from the interventions view was not understood');
      else void this.#receive(message).catch((error) => showError(error, log));
    });
    view.onDidDispose(() => {
      this.#view = null;
    });
    view.webview.html = panelHtml(view.webview, extensionUri, 'interventions.js');
  }

  dispose(): void {
    for (const listener of this.#listeners) listener.dispose();
  }

  get #id(): string | null {
    return this.#services.traces.active?.record.id ?? null;
  }

  #post(message: ToPanel): void {
    if (this.#isReady) void this.#view?.webview.postMessage(message);
  }

  #show(): void {
    const trace = this.#services.traces.active;
    if (this.#view !== null) this.#view.description = trace === null ? undefined : traceName(trace.record, 30);
    if (trace === null) {
      this.#post({ type: 'nothing' });
      return;
    }
    const { graph, ...rest } = panelTrace(trace);
    // Rows name nodes and their places; edges can be many and are not looked at here.
    this.#post({ type: 'showGraph', trace: { ...rest, graph: { ...graph, edges: noEdges } } });
    for (const message of interventionsNow(trace.record.id, this.#services)) this.#post(message);
  }

  async #receive(message: FromPanel): Promise<void> {
    const { traces, log } = this.#services;
    if (message.type === 'ready') {
      this.#isReady = true;
      this.#show();
      await this.#postLabels();
    } else if (message.type === 'log') {
      log[message.level](`interventions: ${message.message}`);
    } else if (message.type === 'selectNode') {
      traces.select(message.node);
    } else if (message.type === 'hoverNode') {
      traces.hover(message.node);
    } else if (this.#id !== null) {
      await answerAboutInterventions(message, this.#id, this, this.#services);
    }
  }

  async #postLabels(): Promise<void> {
    const pair = this.#services.traces.active?.record.pair;
    if (!pair?.transcoders) return;
    try {
      this.#post({ type: 'labels', labels: await this.#services.engine.call('featureLabels', { pair }) });
    } catch (error) {
      this.#services.log.debug(`no feature labels: ${error instanceof Error ? error.message : error}`);
    }
  }
}
