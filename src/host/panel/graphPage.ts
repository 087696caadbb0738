import path from 'node:path';
import * as vscode from 'vscode';
import type { GraphView } from '../../graph/circuitGraph.ts';
import type { Site } from '../../graph/node.ts';
import type { Claim, Progress as EngineProgress, Intervention } from '../../protocol/engine.ts';
import { isAbort, UserError } from '../../protocol/errors.ts';
import type { FromPanel, ToPanel } from '../../protocol/panel.ts';
import type { EngineProcess } from '../engineProcess.ts';
import type { HostedExamples } from '../hostedExamples.ts';
import type { Log } from '../log.ts';
import { remedyFor } from '../remedies.ts';
import { runIntervention } from '../runIntervention.ts';
import { runVerification } from '../runVerification.ts';
import { showError } from '../showError.ts';
import { traceName } from '../traceRecord.ts';
import type { OpenTrace, Traces } from '../traces.ts';
import { panelHtml, webviewOptions } from './html.ts';
import { panelTrace } from './panelTrace.ts';
import { readMessage } from './readMessage.ts';

const layoutKey = 'panelLayout';

export type Progress = Extract<ToPanel, { type: 'progress' }>;
export type Preview = Extract<ToPanel, { type: 'preview' }>;

/** What a page shows. It is said again whenever the page comes up anew: after hiding, moving, or a reload. */
export type PageContent =
  | { readonly type: 'nothing' }
  | {
      readonly type: 'busy';
      readonly progress: Progress;
      readonly preview: Preview | null;
      readonly cancel: () => void;
    }
  | { readonly type: 'trace'; readonly id: string }
  | { readonly type: 'failed'; readonly error: UserError };

export type PageServices = {
  readonly extensionUri: vscode.Uri;
  readonly engine: EngineProcess;
  readonly traces: Traces;
  readonly log: Log;
  readonly hostedExamples: HostedExamples;
  /** Keeps how the reader last left a page, between windows. */
  readonly memory: vscode.Memento;
};

/** One webview that shows a graph: in a panel of a trace or in the editor of a file. Speaks for it, both ways. */
export class GraphPage implements vscode.Disposable {
  readonly #webview: vscode.Webview;
  readonly #services: PageServices;
  readonly #listeners: vscode.Disposable[] = [];
  #content: PageContent = { type: 'nothing' };
  #isReady = false;
  /** The intervention under way: a newer one takes its place. */
  #steering: AbortController | null = null;

  constructor(webview: vscode.Webview, services: PageServices) {
    this.#webview = webview;
    this.#services = services;
    webview.options = webviewOptions(services.extensionUri);
    this.#listeners.push(
      webview.onDidReceiveMessage((raw) => {
        const message = readMessage(raw);
        if (message === null) services.log.warn('a message from the graph panel was not understood');
        else void this.#receive(message).catch((error) => showError(error, services.log));
      }),
      services.traces.onDidChange((change) => {
        if (change.type === 'view' && change.id === this.traceId && change.by !== 'panel') this.#postGraph();
        if (change.type === 'selected' && this.isActive) this.#post({ type: 'select', node: services.traces.selected });
      }),
    );
    webview.html = panelHtml(webview, services.extensionUri);
  }

  get traceId(): string | null {
    return this.#content.type === 'trace' ? this.#content.id : null;
  }

  /** True when the page shows the active trace. */
  get isActive(): boolean {
    return this.traceId !== null && this.#services.traces.active?.record.id === this.traceId;
  }

  show(content: PageContent): void {
    const before = this.#content;
    this.#content = content;
    const isNews = content.type !== 'busy' || before.type !== 'busy' || content.preview !== before.preview;
    if (!isNews && content.type === 'busy') this.#post(content.progress);
    else this.#say();
  }

  dispose(): void {
    this.#steering?.abort();
    for (const listener of this.#listeners) listener.dispose();
  }

  #post(message: ToPanel): void {
    if (this.#isReady) void this.#webview.postMessage(message);
  }

  /** Says all there is to show. */
  #say(): void {
    const content = this.#content;
    if (content.type === 'busy') {
      this.#post(content.progress);
      if (content.preview !== null) this.#post(content.preview);
    } else if (content.type === 'trace') {
      this.#postGraph();
      void this.#postLabels();
    } else if (content.type === 'failed') {
      const { code, message, remedy } = content.error;
      this.#post({ type: 'failed', message, remedy, action: remedyFor(code)?.title ?? null });
    }
  }

  #trace(): OpenTrace | null {
    return this.traceId === null ? null : this.#services.traces.opened(this.traceId);
  }

  #postGraph(): void {
    const trace = this.#trace();
    if (trace !== null) this.#post({ type: 'showGraph', trace: panelTrace(trace) });
  }

  async #postLabels(): Promise<void> {
    const pair = this.#trace()?.record.pair;
    if (!pair?.transcoders || !this.#isReady) return;
    try {
      const labels = await this.#services.engine.call('featureLabels', { pair });
      this.#post({ type: 'labels', labels });
    } catch (error) {
      // The graph stands without them: its nodes carry the labels that it was saved with.
      this.#services.log.debug(`no feature labels: ${error instanceof Error ? error.message : error}`);
    }
  }

  async #receive(message: FromPanel): Promise<void> {
    const { traces, log } = this.#services;
    switch (message.type) {
      case 'ready':
        this.#isReady = true;
        this.#post({ type: 'remembered', state: this.#services.memory.get(layoutKey) ?? null });
        this.#say();
        break;
      case 'selectNode':
        if (this.traceId !== null) traces.activate(this.traceId);
        traces.select(message.node);
        break;
      case 'hoverNode':
        if (this.isActive) traces.hover(message.node);
        break;
      case 'needCard':
        await this.#sendCard(message.layer, message.feature);
        break;
      case 'viewChanged':
        this.#changeView(message.view);
        break;
      case 'intervene':
        await this.#intervene(message.interventions, message.newTokens ?? 0);
        break;
      case 'verify':
        await this.#verify(message.claims, message.kept);
        break;
      case 'cancel':
        this.#steering?.abort();
        if (this.#content.type === 'busy') this.#content.cancel();
        break;
      case 'failedAction': {
        const action = this.#content.type === 'failed' ? remedyFor(this.#content.error.code) : null;
        if (action !== null) await vscode.commands.executeCommand(action.command, ...(action.arguments ?? []));
        break;
      }
      case 'export':
        await saveExport(this.#trace(), message.format, message.data);
        break;
      case 'remember':
        await this.#services.memory.update(layoutKey, message.state);
        break;
      case 'log':
        log[message.level](`panel: ${message.message}`);
        break;
    }
  }

  #changeView(view: GraphView): void {
    if (this.traceId !== null) this.#services.traces.changeView(this.traceId, view, 'panel');
  }

  async #sendCard(layer: number, feature: number): Promise<void> {
    const fail = (message: string): void => this.#post({ type: 'featureCardFailed', layer, feature, message });
    const pair = this.#trace()?.record.pair;
    if (!pair?.transcoders)
      return fail('The model of this graph is not on this machine: the file has no feature card.');
    try {
      const { engine, hostedExamples } = this.#services;
      const card = await engine.call('featureCard', { pair, layer, feature });
      this.#post({ type: 'featureCard', layer, feature, card });
      if (card.quantiles.length > 0) return;
      const hosted = await hostedExamples.read(pair, layer, feature);
      if (hosted === null) return;
      const fuller = await engine.call('featureCard', { pair, layer, feature, hosted });
      this.#post({ type: 'featureCard', layer, feature, card: fuller });
    } catch (error) {
      this.#services.log.warn(`feature card ${layer}/${feature}: ${error instanceof Error ? error.message : error}`);
      fail(error instanceof UserError ? `${error.message} ${error.remedy}` : 'The feature card could not be read.');
    }
  }

  async #intervene(interventions: readonly Intervention[], newTokens: number): Promise<void> {
    const { engine } = this.#services;
    await this.#runOnTrace(async (trace, signal) => {
      const result = await runIntervention(engine, trace, interventions, signal, newTokens);
      this.#post({ type: 'intervened', result });
    });
  }

  async #verify(claims: readonly Claim[], kept: readonly Site[] | null): Promise<void> {
    const { engine } = this.#services;
    await this.#runOnTrace(async (trace, signal) => {
      const onProgress = (progress: EngineProgress): void =>
        this.#post({ type: 'progress', title: 'Testing what the graph claims', ...progress });
      const result = await runVerification(engine, trace, { claims, kept }, { signal, onProgress });
      this.#post({ type: 'verified', claims, result });
    });
  }

  /** Runs the trace's model for the page; a newer run ends the one before it. */
  async #runOnTrace(run: (trace: OpenTrace, signal: AbortSignal) => Promise<void>): Promise<void> {
    const trace = this.#trace();
    if (trace === null) return;
    this.#steering?.abort();
    const controller = new AbortController();
    this.#steering = controller;
    try {
      await run(trace, controller.signal);
    } catch (error) {
      if (isAbort(error)) return;
      if (!(error instanceof UserError)) throw error;
      const action = remedyFor(error.code)?.title ?? null;
      this.#post({ type: 'failed', message: error.message, remedy: error.remedy, action });
    } finally {
      if (this.#steering === controller) this.#steering = null;
    }
  }
}

const endings = { png: 'png', svg: 'svg', html: 'html', csv: 'csv', markdown: 'md' } as const;

/** Asks where to, and writes what the page drew. Pictures come as data addresses. */
async function saveExport(trace: OpenTrace | null, format: keyof typeof endings, data: string): Promise<void> {
  const name = (trace === null ? 'graph' : traceName(trace.record)).replace(/[^\w -]+/g, '').trim() || 'graph';
  const folder = vscode.workspace.workspaceFolders?.[0]?.uri;
  const file = `${name}.${endings[format]}`;
  const target = await vscode.window.showSaveDialog({
    defaultUri: folder === undefined ? undefined : vscode.Uri.file(path.join(folder.fsPath, file)),
    filters: { [format.toUpperCase()]: [endings[format]] },
  });
  if (target === undefined) return;
  const encoded = /^data:[^,]*;base64,/.exec(data);
  const bytes = encoded === null ? Buffer.from(data) : Buffer.from(data.slice(encoded[0].length), 'base64');
  await vscode.workspace.fs.writeFile(target, bytes);
  const chosen = await vscode.window.showInformationMessage(`Saved ${path.basename(target.path)}.`, 'Open');
  if (chosen !== undefined) await vscode.commands.executeCommand('vscode.open', target);
}
