import * as vscode from 'vscode';
import { UserError } from '../../protocol/errors.ts';
import { traceName } from '../traceRecord.ts';
import { type ComparedIds, ComparisonPage, type ComparisonServices } from './comparisonPage.ts';
import { webviewOptions } from './html.ts';

const viewType = 'promptCircuits.comparison';

type Entry = { readonly panel: vscode.WebviewPanel; readonly page: ComparisonPage };

/** The panels that compare two traces: one a pair, kept over a reload of the window. */
export class ComparisonPanels implements vscode.Disposable, vscode.WebviewPanelSerializer {
  readonly #services: ComparisonServices;
  readonly #loaded: Promise<void>;
  readonly #listeners: vscode.Disposable[];
  #entries: Entry[] = [];

  /** @param loaded settles when the kept traces are known: restored panels wait for it */
  constructor(services: ComparisonServices, loaded: Promise<void>) {
    this.#services = services;
    this.#loaded = loaded;
    this.#listeners = [
      vscode.window.registerWebviewPanelSerializer(viewType, this),
      services.traces.onDidChange((change) => {
        if (change.type === 'list') this.#afterListChange();
      }),
    ];
  }

  /** Shows both traces beside each other. */
  async open(ids: ComparedIds): Promise<void> {
    const shown = this.#entries.find(({ page }) => page.ids?.left === ids.left && page.ids.right === ids.right);
    if (shown !== undefined) return shown.panel.reveal();
    const panel = vscode.window.createWebviewPanel(viewType, 'Compare', vscode.ViewColumn.Active, {
      ...webviewOptions(this.#services.extensionUri),
    });
    await this.#show(this.#adopt(panel), ids);
  }

  /** Called by VS Code for each panel that was open before a reload. */
  async deserializeWebviewPanel(panel: vscode.WebviewPanel, state: unknown): Promise<void> {
    const entry = this.#adopt(panel);
    const kept =
      typeof state === 'object' && state !== null ? (state as Partial<Record<'left' | 'right', unknown>>) : {};
    await this.#loaded;
    if (typeof kept.left !== 'string' || typeof kept.right !== 'string') return panel.dispose();
    await this.#show(entry, { left: kept.left, right: kept.right });
  }

  dispose(): void {
    for (const listener of this.#listeners) listener.dispose();
    for (const { panel } of [...this.#entries]) panel.dispose();
  }

  #adopt(panel: vscode.WebviewPanel): Entry {
    const { extensionUri } = this.#services;
    panel.iconPath = vscode.Uri.joinPath(extensionUri, 'media', 'icons', 'graph.svg');
    const entry = { panel, page: new ComparisonPage(panel.webview, this.#services) };
    this.#entries.push(entry);
    panel.onDidDispose(() => {
      this.#entries = this.#entries.filter((other) => other !== entry);
      entry.page.dispose();
    });
    return entry;
  }

  async #show({ panel, page }: Entry, ids: ComparedIds): Promise<void> {
    const { traces } = this.#services;
    try {
      const [left, right] = [await traces.open(ids.left), await traces.open(ids.right)];
      if (left === null || right === null) throw missing();
      page.show(ids);
      panel.title = `${traceName(left.record, 20)} | ${traceName(right.record, 20)}`;
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      page.fail(error);
    }
  }

  #afterListChange(): void {
    const { traces } = this.#services;
    for (const { panel, page } of [...this.#entries]) {
      const { ids } = page;
      if (ids === null) continue;
      const [left, right] = [traces.opened(ids.left), traces.opened(ids.right)];
      if (left === null || right === null) panel.dispose();
      else panel.title = `${traceName(left.record, 20)} | ${traceName(right.record, 20)}`;
    }
  }
}

function missing(): UserError {
  return new UserError(
    'trace.missing',
    'One of the two compared traces is not there any more.',
    'Close this page, open or trace both, and compare them again.',
  );
}
