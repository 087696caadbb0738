import path from 'node:path';
import * as vscode from 'vscode';
import type { CircuitGraph, GraphView } from '../../graph/circuitGraph.ts';
import { readGraphBytes } from '../../graph/readGraph.ts';
import { writeGraph } from '../../graph/writeGraph.ts';
import type { ModelPair } from '../../protocol/engine.ts';
import { UserError } from '../../protocol/errors.ts';
import { recordOfGraph } from '../traceRecord.ts';
import { GraphPage, type PageServices } from './graphPage.ts';

/** Larger files are read in the engine's process: parsing them here would hold up the whole window. */
const readHereBelow = 1_000_000;

class CircuitDocument implements vscode.CustomDocument {
  readonly uri: vscode.Uri;
  /** Settles when the graph is in memory, or with the reason why it is not. */
  reading: Promise<void> = Promise.resolve();
  isDisposed = false;
  readonly #release: () => void;

  constructor(uri: vscode.Uri, release: () => void) {
    this.uri = uri;
    this.#release = release;
  }

  /** The graph's name among the open traces. */
  get id(): string {
    return this.uri.toString();
  }

  dispose(): void {
    this.isDisposed = true;
    this.#release();
  }
}

/** The editor of `*.circuit.json`: the graph panel with undo, save, revert and hot exit. */
export class CircuitEditor implements vscode.CustomEditorProvider<CircuitDocument>, vscode.Disposable {
  static readonly viewType = 'promptCircuits.circuit';
  readonly #services: PageServices;
  /** The model of a graph's transcoder set, where it is on this machine. */
  readonly #pairFor: (graph: CircuitGraph) => ModelPair | null;
  readonly #changed = new vscode.EventEmitter<vscode.CustomDocumentEditEvent<CircuitDocument>>();
  readonly onDidChangeCustomDocument = this.#changed.event;
  readonly #documents = new Map<string, CircuitDocument>();
  readonly #disposables: vscode.Disposable[];

  constructor(services: PageServices, pairFor: (graph: CircuitGraph) => ModelPair | null) {
    this.#services = services;
    this.#pairFor = pairFor;
    this.#disposables = [
      this.#changed,
      vscode.window.registerCustomEditorProvider(CircuitEditor.viewType, this, {
        supportsMultipleEditorsPerDocument: true,
      }),
      services.traces.onDidChange((change) => {
        if (change.type === 'view' && change.by !== 'file') this.#edited(change.id, change.before);
      }),
    ];
  }

  async openCustomDocument(uri: vscode.Uri, context: vscode.CustomDocumentOpenContext): Promise<CircuitDocument> {
    const document = new CircuitDocument(uri, () => {
      this.#documents.delete(document.id);
      this.#services.traces.release(document.id);
    });
    // Read while the page comes up: both take their time.
    const from = context.backupId === undefined ? uri : vscode.Uri.parse(context.backupId);
    document.reading = this.#read(document, from);
    document.reading.catch(() => {});
    this.#documents.set(document.id, document);
    return document;
  }

  async resolveCustomEditor(document: CircuitDocument, panel: vscode.WebviewPanel): Promise<void> {
    const { traces, log } = this.#services;
    const page = new GraphPage(panel.webview, this.#services);
    const activate = (): void => {
      if (panel.active) traces.activate(document.id);
    };
    panel.onDidChangeViewState(activate);
    panel.onDidDispose(() => page.dispose());
    try {
      await document.reading;
      page.show({ type: 'trace', id: document.id });
      activate();
    } catch (error) {
      log.warn(`${document.uri.path}: ${error instanceof Error ? error.message : error}`);
      page.show({ type: 'failed', error: asUserError(error) });
    }
  }

  async saveCustomDocument(document: CircuitDocument): Promise<void> {
    await this.#write(document, document.uri);
  }

  async saveCustomDocumentAs(document: CircuitDocument, target: vscode.Uri): Promise<void> {
    await this.#write(document, target);
  }

  async revertCustomDocument(document: CircuitDocument): Promise<void> {
    const before = this.#services.traces.opened(document.id)?.graph.view;
    document.reading = this.#read(document, document.uri);
    await document.reading;
    const view = this.#services.traces.opened(document.id)?.graph.view;
    if (before !== undefined && view !== undefined) this.#services.traces.changeView(document.id, view, 'file');
  }

  async backupCustomDocument(
    document: CircuitDocument,
    { destination }: vscode.CustomDocumentBackupContext,
  ): Promise<vscode.CustomDocumentBackup> {
    await this.#write(document, destination);
    const remove = (): void => void vscode.workspace.fs.delete(destination).then(undefined, () => {});
    return { id: destination.toString(), delete: remove };
  }

  dispose(): void {
    for (const disposable of this.#disposables) disposable.dispose();
  }

  /** A change of the view is an edit that can be undone, but for the mere choice of a node. */
  #edited(id: string, before: GraphView): void {
    const document = this.#documents.get(id);
    const after = this.#services.traces.opened(id)?.graph.view;
    if (document === undefined || after === undefined) return;
    if (JSON.stringify({ ...before, clicked: null }) === JSON.stringify({ ...after, clicked: null })) return;
    const set = (view: GraphView): void => this.#services.traces.changeView(id, view, 'file');
    this.#changed.fire({ document, undo: () => set(before), redo: () => set(after), label: 'Change Graph View' });
  }

  async #read(document: CircuitDocument, from: vscode.Uri): Promise<void> {
    const started = performance.now();
    const bytes = await vscode.workspace.fs.readFile(from);
    const { graph, warnings } =
      bytes.length < readHereBelow ? readGraphBytes(bytes) : await this.#services.engine.call('readGraph', { bytes });
    if (document.isDisposed) return;
    const title = path.basename(document.uri.path).replace(/(\.circuit)?\.json$/, '');
    const record = { ...recordOfGraph(document.id, title, graph, this.#pairFor(graph)), warnings };
    this.#services.traces.hold(record, graph);
    const took = Math.round(performance.now() - started);
    this.#services.log.info(`read ${title}: ${bytes.length} bytes, ${graph.nodes.length} nodes in ${took} ms`);
    for (const warning of warnings) this.#services.log.warn(`${title}: ${warning}`);
  }

  async #write(document: CircuitDocument, target: vscode.Uri): Promise<void> {
    const trace = this.#services.traces.opened(document.id);
    if (trace === null) throw new UserError('graph.closed', 'The graph is not open any more.', 'Open the file again.');
    await vscode.workspace.fs.writeFile(target, Buffer.from(writeGraph(trace.graph)));
  }
}

function asUserError(error: unknown): UserError {
  if (error instanceof UserError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new UserError(
    'graph.unreadable',
    `The file could not be read: ${message}.`,
    'Check that it is there and may be read.',
  );
}
