import path from 'node:path';
import * as vscode from 'vscode';
import type { CircuitGraph, GraphView } from '../../graph/circuitGraph.ts';
import { type InterventionSet, noInterventions } from '../../graph/interventions.ts';
import { type GraphRead, readGraphBytes } from '../../graph/readGraph.ts';
import { writeGraph } from '../../graph/writeGraph.ts';
import type { ModelPair } from '../../protocol/engine.ts';
import { UserError } from '../../protocol/errors.ts';
import { type GraphFiles, isLargeGraph, smallFile } from '../graphFiles.ts';
import { recordOfGraph } from '../traceRecord.ts';
import { GraphPage, type PageServices } from './graphPage.ts';

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
  readonly #graphFiles: GraphFiles;
  /** The model of a graph's transcoder set, where it is on this machine. */
  readonly #pairFor: (graph: CircuitGraph) => ModelPair | null;
  readonly #changed = new vscode.EventEmitter<vscode.CustomDocumentEditEvent<CircuitDocument>>();
  readonly onDidChangeCustomDocument = this.#changed.event;
  readonly #documents = new Map<string, CircuitDocument>();
  readonly #disposables: vscode.Disposable[];

  constructor(services: PageServices, graphFiles: GraphFiles, pairFor: (graph: CircuitGraph) => ModelPair | null) {
    this.#services = services;
    this.#graphFiles = graphFiles;
    this.#pairFor = pairFor;
    this.#disposables = [
      this.#changed,
      vscode.window.registerCustomEditorProvider(CircuitEditor.viewType, this, {
        supportsMultipleEditorsPerDocument: true,
      }),
      services.traces.onDidChange((change) => {
        if (change.type === 'view' && change.by !== 'file') this.#edited(change.id, change.before);
        if (change.type === 'interventions' && change.by !== this) this.#setsEdited(change.id, change.before.sets);
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

  /** Keeping, renaming or deleting a set of edits is an edit that can be undone; the edits on the table are not kept so. */
  #setsEdited(id: string, before: readonly InterventionSet[]): void {
    const { traces } = this.#services;
    const document = this.#documents.get(id);
    const after = traces.opened(id)?.graph.interventions?.sets;
    if (document === undefined || after === undefined || JSON.stringify(before) === JSON.stringify(after)) return;
    const set = (sets: readonly InterventionSet[]): void => {
      const now = traces.opened(id)?.graph.interventions ?? noInterventions;
      traces.changeInterventions(id, { ...now, sets }, this);
    };
    this.#changed.fire({ document, undo: () => set(before), redo: () => set(after), label: 'Change Named Edits' });
  }

  async #read(document: CircuitDocument, from: vscode.Uri): Promise<void> {
    const started = performance.now();
    const { size } = await vscode.workspace.fs.stat(from);
    const { graph, warnings } = await this.#readGraph(from, size);
    if (document.isDisposed) return;
    const title = path.basename(document.uri.path).replace(/(\.circuit)?\.json$/, '');
    const record = { ...recordOfGraph(document.id, title, graph, this.#pairFor(graph)), warnings };
    this.#services.traces.hold(record, graph);
    const took = Math.round(performance.now() - started);
    this.#services.log.info(`read ${title}: ${size} bytes, ${graph.nodes.length} nodes in ${took} ms`);
    for (const warning of warnings) this.#services.log.warn(`${title}: ${warning}`);
  }

  /** Large files are read in a thread of their own: parsing them here would hold up the whole window. */
  async #readGraph(from: vscode.Uri, size: number): Promise<GraphRead> {
    if (size >= smallFile && from.scheme === 'file') return this.#graphFiles.read({ file: from.fsPath });
    const bytes = await vscode.workspace.fs.readFile(from);
    return bytes.length < smallFile ? readGraphBytes(bytes) : this.#graphFiles.read({ bytes });
  }

  async #write(document: CircuitDocument, target: vscode.Uri): Promise<void> {
    const trace = this.#services.traces.opened(document.id);
    if (trace === null) throw new UserError('graph.closed', 'The graph is not open any more.', 'Open the file again.');
    if (target.scheme === 'file' && isLargeGraph(trace.graph)) {
      await this.#graphFiles.write(target.fsPath, trace.graph);
    } else await vscode.workspace.fs.writeFile(target, Buffer.from(writeGraph(trace.graph)));
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
