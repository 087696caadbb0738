import path from 'node:path';
import * as vscode from 'vscode';
import type { GraphView } from '../../graph/circuitGraph.ts';
import type { Site } from '../../graph/node.ts';
import { weightsDifference } from '../../graph/weights.ts';
import type { Claim, Progress as EngineProgress } from '../../protocol/engine.ts';
import { isAbort, UserError } from '../../protocol/errors.ts';
import type { FromPanel, ToPanel } from '../../protocol/panel.ts';
import { chooseTexts, collectFromTexts } from '../commands/findExamples.ts';
import type { EngineProcess } from '../engineProcess.ts';
import type { FeatureCards } from '../featureCards.ts';
import { isLargeGraph } from '../graphFiles.ts';
import type { Log } from '../log.ts';
import { remedyFor } from '../remedies.ts';
import { runInspection } from '../runInspection.ts';
import { runVerification } from '../runVerification.ts';
import { showError } from '../showError.ts';
import { traceName } from '../traceRecord.ts';
import type { OpenTrace } from '../traces.ts';
import { postInParts } from './graphParts.ts';
import { panelHtml, webviewOptions } from './html.ts';
import { answerAboutInterventions, type InterventionServices, interventionsNow } from './interventionMessages.ts';
import { type DialogSession, PageDialog } from './pageDialog.ts';
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

export type PageServices = InterventionServices & {
  readonly extensionUri: vscode.Uri;
  readonly engine: EngineProcess;
  readonly log: Log;
  readonly cards: FeatureCards;
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
  /** Counts the graphs that were sent: a newer one ends the sending of the one before. */
  #graphTurn = 0;
  readonly #dialog = new PageDialog((message) => this.#post(message));
  /** Features whose cards the page has, by layer and number. */
  readonly #cards = new Map<string, { readonly layer: number; readonly feature: number }>();
  /** What is wrong with the weights of today; null while they are the graph's own, or not known. */
  #weightsNote: string | null = null;
  /** The token at which the layers are to be shown once the page is up. */
  #layersAt: number | null = null;
  /** The test of claims, or whatever else runs for the page: a newer one takes its place. */
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
        if (change.type === 'view' && change.id === this.traceId && change.by !== 'panel') this.#postView();
        if (change.type === 'interventions' && change.id === this.traceId && change.by !== this)
          this.#sayInterventions();
        if (change.type === 'selected' && this.isActive) this.#post({ type: 'select', node: services.traces.selected });
        if (change.type === 'layers' && this.isActive) this.#showLayers(change.pos);
        if (change.type === 'tokens' && this.isActive)
          this.#post({ type: 'tokensSelected', positions: change.positions });
      }),
      services.cards.onDidChange(() => this.#resendCards()),
    );
    this.#listeners.push(
      services.runs.onDidChange((id) => {
        if (id === this.traceId) this.#post({ type: 'interventionRun', run: services.runs.runOf(id) });
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
    if (content.type !== 'trace' || content.id !== this.traceId) {
      this.#cards.clear();
      this.#weightsNote = null;
    }
    this.#content = content;
    const isNews = content.type !== 'busy' || before.type !== 'busy' || content.preview !== before.preview;
    if (!isNews && content.type === 'busy') this.#post(content.progress);
    else this.#say();
  }

  /** Asks over whatever is on the page; another dialog that is open is left. */
  ask(session: DialogSession): void {
    this.#dialog.open(session);
  }

  dispose(): void {
    this.#steering?.abort();
    this.#dialog.close();
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
      this.#sayInterventions();
      void this.#postLabels();
      void this.#checkWeights();
    } else if (content.type === 'failed') {
      const { code, message, remedy } = content.error;
      this.#post({ type: 'failed', message, remedy, action: remedyFor(code)?.title ?? null });
    }
  }

  /** A page that is still coming up is told when it is ready. */
  #showLayers(pos: number): void {
    this.#layersAt = this.#isReady ? null : pos;
    this.#post({ type: 'showLayers', pos });
  }

  #sayInterventions(): void {
    if (this.traceId === null) return;
    for (const message of interventionsNow(this.traceId, this.#services)) this.#post(message);
  }

  #trace(): OpenTrace | null {
    return this.traceId === null ? null : this.#services.traces.opened(this.traceId);
  }

  #postGraph(): void {
    const trace = this.#trace();
    if (trace === null) return;
    const shown = panelTrace(trace);
    const warnings = this.#weightsNote === null ? shown.warnings : [...shown.warnings, this.#weightsNote];
    const whole = { ...shown, warnings };
    const turn = ++this.#graphTurn;
    if (!this.#isReady || !isLargeGraph(trace.graph)) this.#post({ type: 'showGraph', trace: whole });
    else {
      const isWanted = (): boolean => turn === this.#graphTurn && this.traceId === whole.id;
      void postInParts(whole, (message) => this.#webview.postMessage(message), isWanted);
    }
  }

  /** Of a large graph only what was made of it is said again. */
  #postView(): void {
    const trace = this.#trace();
    if (trace === null) return;
    if (isLargeGraph(trace.graph)) this.#post({ type: 'showView', id: trace.record.id, view: trace.graph.view });
    else this.#postGraph();
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
    const id = this.traceId;
    if (id !== null && (await answerAboutInterventions(message, id, this, this.#services))) return;
    switch (message.type) {
      case 'ready':
        this.#isReady = true;
        this.#post({ type: 'remembered', state: this.#services.memory.get(layoutKey) ?? null });
        this.#say();
        this.#dialog.say();
        if (this.#layersAt !== null) this.#showLayers(this.#layersAt);
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
      case 'inspect':
        await this.#inspect(message.first);
        break;
      case 'findExamples':
        await this.#findExamples();
        break;
      case 'useNeuronpedia':
        await this.#services.cards.askForNeuronpedia();
        break;
      case 'traceDialog':
        if (message.action !== 'open') await this.#dialog.receive({ ...message, action: message.action });
        else await vscode.commands.executeCommand('promptCircuits.traceWithOptions', this.#trace()?.record);
        break;
      case 'checkTrace':
      case 'startTrace':
        await this.#dialog.receive(message);
        break;
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
    const trace = this.#trace();
    if (trace === null) return;
    this.#cards.set(`${layer}/${feature}`, { layer, feature });
    try {
      await this.#services.cards.read(trace, layer, feature, (answer) =>
        this.#post({ type: 'featureCard', layer, feature, ...answer }),
      );
    } catch (error) {
      this.#services.log.warn(`feature card ${layer}/${feature}: ${error instanceof Error ? error.message : error}`);
      const isKnown = error instanceof UserError;
      const message = isKnown ? `${error.message} ${error.remedy}` : 'The feature card could not be read.';
      this.#post({ type: 'featureCardFailed', layer, feature, message });
    }
  }

  /** Cards that the page has say more than before. */
  #resendCards(): void {
    for (const { layer, feature } of this.#cards.values()) void this.#sendCard(layer, feature);
  }

  /** Finds examples of the graph's features in texts of the user's. */
  async #findExamples(): Promise<void> {
    const texts = await chooseTexts();
    if (texts === null) return;
    await this.#runOnTrace(async (trace, signal) => {
      const onProgress = (progress: EngineProgress): void =>
        this.#post({ type: 'progress', title: `Looking for examples in ${texts.where}`, ...progress });
      await collectFromTexts(this.#services, trace, texts, { signal, onProgress });
      this.#post({ type: 'settled' });
    });
  }

  /** Says so where the folders hold other weights than the graph was made with. */
  async #checkWeights(): Promise<void> {
    const trace = this.#trace();
    const then = trace?.graph.metadata.weights;
    if (!trace || !then || !this.#isReady) return;
    const now = await this.#services.cards.weightsOf(trace).catch(() => null);
    const difference = now && weightsDifference(then, now);
    const note = difference
      ? `This graph was made with other weights than its folders hold now: ${difference}. Cards, layers and interventions speak of the weights of now.`
      : null;
    if (note === this.#weightsNote || trace.record.id !== this.traceId) return;
    this.#weightsNote = note;
    this.#postGraph();
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

  async #inspect(first: number | null): Promise<void> {
    const { engine } = this.#services;
    await this.#runOnTrace(async (trace, signal) => {
      const onProgress = (progress: EngineProgress): void =>
        this.#post({ type: 'progress', title: 'Looking into every layer', ...progress });
      const inspection = await runInspection(engine, trace, first, { signal, onProgress });
      this.#post({ type: 'inspection', inspection });
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
