import * as vscode from 'vscode';
import { UserError } from '../../protocol/errors.ts';
import { traceName } from '../traceRecord.ts';
import { GraphPage, type PageContent, type PageServices } from './graphPage.ts';
import { webviewOptions } from './html.ts';
import type { DialogSession } from './pageDialog.ts';

const viewType = 'promptCircuits.graph';
const newTitle = 'Prompt Circuits';

type Entry = { readonly panel: vscode.WebviewPanel; readonly page: GraphPage };

/**
 * The graph panels of this window. A new trace takes the panel that was used last; a trace from the history goes to the
 * panel that shows it already, or to that one. Panels survive a reload of the window.
 */
export class GraphPanels implements vscode.Disposable, vscode.WebviewPanelSerializer {
  readonly #services: PageServices;
  readonly #memory: vscode.Memento;
  readonly #loaded: Promise<void>;
  readonly #listeners: vscode.Disposable[];
  /** Most recently used last. */
  #entries: Entry[] = [];

  /** @param loaded settles when the kept traces are known: restored panels wait for it */
  constructor(services: PageServices, memory: vscode.Memento, loaded: Promise<void>) {
    this.#services = services;
    this.#memory = memory;
    this.#loaded = loaded;
    this.#listeners = [
      vscode.window.registerWebviewPanelSerializer(viewType, this),
      services.traces.onDidChange((change) => {
        if (change.type === 'list') this.#afterListChange();
      }),
    ];
  }

  /** A panel beside the text for what is about to be traced. The keyboard stays in the text. */
  forNewTrace(title: string): { readonly show: (content: PageContent) => void } {
    const entry = this.#entries.at(-1) ?? this.#create(title);
    entry.panel.title = title;
    entry.panel.reveal(undefined, true);
    return { show: (content) => this.#show(entry, content) };
  }

  /** Asks in the panel that a new trace would take; a panel that was made for it goes when nothing comes of it. */
  ask(title: string, session: DialogSession & { readonly result: Promise<unknown> }): void {
    const known = this.#entries.at(-1);
    const entry = known ?? this.#create(title);
    entry.panel.reveal();
    entry.page.ask(session);
    void session.result.then((result) => {
      if (known === undefined && result === null) entry.panel.dispose();
    });
  }

  /** Opens a kept trace; `toSide`: in a panel of its own. */
  async open(id: string, toSide = false): Promise<void> {
    const trace = await this.#services.traces.open(id);
    if (trace === null) throw new UserError('trace.missing', 'This trace was removed.', 'Trace the prompt again.');
    const shown = toSide ? undefined : this.#entries.findLast(({ page }) => page.traceId === id);
    const entry = shown ?? (toSide ? undefined : this.#entries.at(-1)) ?? this.#create(traceName(trace.record));
    this.#services.traces.activate(id);
    if (shown === undefined) this.#show(entry, { type: 'trace', id });
    entry.panel.reveal();
  }

  /** Called by VS Code for each panel that was open before a reload. */
  async deserializeWebviewPanel(panel: vscode.WebviewPanel, state: unknown): Promise<void> {
    const entry = this.#adopt(panel);
    const kept = typeof state === 'object' && state !== null && 'traceId' in state ? state.traceId : null;
    await this.#loaded;
    const id = typeof kept === 'string' ? kept : this.#memory.get<string>('lastTrace');
    try {
      const trace = id === undefined ? null : await this.#services.traces.open(id);
      if (trace === null) return panel.dispose();
      this.#services.traces.activate(trace.record.id);
      this.#show(entry, { type: 'trace', id: trace.record.id });
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      this.#show(entry, { type: 'failed', error });
    }
  }

  dispose(): void {
    for (const listener of this.#listeners) listener.dispose();
    for (const { panel } of [...this.#entries]) panel.dispose();
  }

  #create(title: string): Entry {
    const column = vscode.window.activeTextEditor === undefined ? vscode.ViewColumn.Active : vscode.ViewColumn.Beside;
    const options = webviewOptions(this.#services.extensionUri);
    return this.#adopt(
      vscode.window.createWebviewPanel(viewType, title, { viewColumn: column, preserveFocus: true }, options),
    );
  }

  #adopt(panel: vscode.WebviewPanel): Entry {
    const { extensionUri } = this.#services;
    panel.iconPath = vscode.Uri.joinPath(extensionUri, 'media', 'icons', 'graph.svg');
    const page = new GraphPage(panel.webview, this.#services);
    const entry = { panel, page };
    this.#entries.push(entry);
    panel.onDidChangeViewState(() => {
      if (!panel.active) return;
      this.#entries = [...this.#entries.filter((other) => other !== entry), entry];
      if (page.traceId !== null) this.#services.traces.activate(page.traceId);
    });
    panel.onDidDispose(() => {
      this.#entries = this.#entries.filter((other) => other !== entry);
      const id = page.traceId;
      page.dispose();
      if (id !== null && !this.#entries.some((other) => other.page.traceId === id)) this.#services.traces.release(id);
    });
    return entry;
  }

  #show(entry: Entry, content: PageContent): void {
    entry.page.show(content);
    if (content.type !== 'trace') return;
    void this.#memory.update('lastTrace', content.id);
    entry.panel.title = this.#titleOf(content.id);
  }

  #titleOf(id: string): string {
    const trace = this.#services.traces.opened(id);
    return trace === null ? newTitle : traceName(trace.record, 32);
  }

  #afterListChange(): void {
    for (const { panel, page } of [...this.#entries]) {
      if (page.traceId === null) continue;
      if (this.#services.traces.opened(page.traceId) !== null) panel.title = this.#titleOf(page.traceId);
      else panel.dispose();
    }
  }
}
