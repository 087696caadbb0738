import { setImmediate as nextTurn } from 'node:timers/promises';
import * as vscode from 'vscode';
import type { CircuitGraph, GraphView } from '../graph/circuitGraph.ts';
import { type Interventions, noInterventions } from '../graph/interventions.ts';
import type { Log } from './log.ts';
import type { TraceRecord } from './traceRecord.ts';
import type { TraceStore } from './traceStore.ts';

/** A trace, or a graph file, whose graph is in memory. */
export type OpenTrace = { readonly record: TraceRecord; readonly graph: CircuitGraph };

/** Who changed a view, so that the one who did need not be told. */
export type ViewAuthor = 'panel' | 'tree' | 'file';

export type TracesChange =
  /** Traces were added, renamed or removed. */
  | { readonly type: 'list' }
  /** Another trace, or none, is the one that the trees and the editor show. */
  | { readonly type: 'active' }
  | { readonly type: 'view'; readonly id: string; readonly by: ViewAuthor; readonly before: GraphView }
  /** `by`: whoever changed them, not to be told. */
  | { readonly type: 'interventions'; readonly id: string; readonly by: unknown; readonly before: Interventions }
  | { readonly type: 'selected' }
  /** Tokens of the active trace's prompt were selected in an editor; none: the selection left them. */
  | { readonly type: 'tokens'; readonly positions: readonly number[] }
  /** The layers of the active trace are wanted on screen, at a token. */
  | { readonly type: 'layers'; readonly pos: number }
  | { readonly type: 'hovered' };

/** Milliseconds between a change of a view and its writing: a drag is one write. */
const saveDelay = 400;

/**
 * This window's traces: the one state of the host. Kept ones are on disk and in `records`; open ones have their graphs
 * in memory; one of them is active, and in it at most one node is selected.
 */
export class Traces implements vscode.Disposable {
  readonly #store: TraceStore;
  readonly #log: Log;
  readonly #changed = new vscode.EventEmitter<TracesChange>();
  readonly onDidChange = this.#changed.event;
  readonly #open = new Map<string, OpenTrace>();
  readonly #unsaved = new Map<string, ReturnType<typeof setTimeout>>();
  #records: readonly TraceRecord[] = [];
  #activeId: string | null = null;
  #selected: string | null = null;
  #hovered: string | null = null;

  constructor(store: TraceStore, log: Log) {
    this.#store = store;
    this.#log = log;
  }

  /** Reads what earlier sessions kept. */
  async load(): Promise<void> {
    const { records, unreadable } = await this.#store.list();
    for (const name of unreadable) this.#log.warn(`not a trace: ${name}`);
    this.#records = records;
    this.#changed.fire({ type: 'list' });
  }

  /** Kept traces, newest first. */
  get records(): readonly TraceRecord[] {
    return this.#records;
  }

  get active(): OpenTrace | null {
    return this.#activeId === null ? null : (this.#open.get(this.#activeId) ?? null);
  }

  /** The id of the selected node of the active trace. */
  get selected(): string | null {
    return this.#selected;
  }

  get hovered(): string | null {
    return this.#hovered;
  }

  opened(id: string): OpenTrace | null {
    return this.#open.get(id) ?? null;
  }

  /** Keeps a new trace and makes it the active one, at once; resolves when it is written. */
  async add(record: TraceRecord, graph: CircuitGraph): Promise<OpenTrace> {
    const trace = { record, graph };
    this.#records = [record, ...this.#records.filter((other) => other.id !== record.id)];
    this.#open.set(record.id, trace);
    this.#changed.fire({ type: 'list' });
    this.activate(record.id);
    // Drawing goes before writing, each in a turn of its own.
    await nextTurn();
    await this.#store.writeGraph(record.id, graph);
    await this.#store.writeRecord(record);
    return trace;
  }

  /** Holds a graph that lives in a file of the user's: never written by us but through its editor. */
  hold(record: TraceRecord, graph: CircuitGraph): OpenTrace {
    const trace = { record, graph };
    this.#open.set(record.id, trace);
    if (this.#activeId === record.id) this.#changed.fire({ type: 'active' });
    return trace;
  }

  /** Lets go of a graph whose last page has closed. */
  release(id: string): void {
    if (this.#activeId === id) this.activate(null);
    if (!this.#unsaved.has(id)) this.#open.delete(id);
  }

  /** The kept trace with its graph, read from disk when it is not in memory. */
  async open(id: string): Promise<OpenTrace | null> {
    const open = this.#open.get(id);
    if (open !== undefined) return open;
    const record = this.#records.find((candidate) => candidate.id === id);
    if (record === undefined) return null;
    const trace = { record, graph: await this.#store.readGraph(id) };
    this.#open.set(id, trace);
    return trace;
  }

  activate(id: string | null): void {
    if (this.#activeId === id) return;
    this.#activeId = id;
    this.#selected = this.active?.graph.view.clicked ?? null;
    this.#hovered = null;
    this.#changed.fire({ type: 'active' });
  }

  select(node: string | null): void {
    if (this.#selected === node) return;
    this.#selected = node;
    this.#changed.fire({ type: 'selected' });
  }

  hover(node: string | null): void {
    if (this.#hovered === node) return;
    this.#hovered = node;
    this.#changed.fire({ type: 'hovered' });
  }

  /** Tells of the prompt's tokens that are selected in an editor. */
  selectTokens(positions: readonly number[]): void {
    this.#changed.fire({ type: 'tokens', positions });
  }

  /** Asks the active trace's page for its table of layers. */
  showLayers(pos: number): void {
    this.#changed.fire({ type: 'layers', pos });
  }

  async rename(id: string, title: string): Promise<void> {
    const record = this.#records.find((candidate) => candidate.id === id);
    if (record === undefined) return;
    const renamed = { ...record, title };
    this.#records = this.#records.map((other) => (other.id === id ? renamed : other));
    const open = this.#open.get(id);
    if (open !== undefined) this.#open.set(id, { ...open, record: renamed });
    this.#changed.fire({ type: 'list' });
    await this.#store.writeRecord(renamed);
  }

  async remove(id: string): Promise<void> {
    clearTimeout(this.#unsaved.get(id));
    this.#unsaved.delete(id);
    this.#records = this.#records.filter((record) => record.id !== id);
    if (this.#activeId === id) this.activate(null);
    this.#open.delete(id);
    this.#changed.fire({ type: 'list' });
    await this.#store.remove(id);
  }

  /** Takes what the user made of a graph: pins, groups, names, places. Kept traces are written soon after. */
  changeView(id: string, view: GraphView, by: ViewAuthor): void {
    const open = this.#open.get(id);
    if (open === undefined) return;
    const before = open.graph.view;
    this.#open.set(id, { ...open, graph: { ...open.graph, view } });
    this.#changed.fire({ type: 'view', id, by, before });
    this.#saveSoon(id);
  }

  /** Takes the edits on the table and the sets that are kept. */
  changeInterventions(id: string, interventions: Interventions, by: unknown): void {
    const open = this.#open.get(id);
    if (open === undefined) return;
    const before = open.graph.interventions ?? noInterventions;
    this.#open.set(id, { ...open, graph: { ...open.graph, interventions } });
    this.#changed.fire({ type: 'interventions', id, by, before });
    this.#saveSoon(id);
  }

  #saveSoon(id: string): void {
    if (!this.#records.some((record) => record.id === id)) return;
    clearTimeout(this.#unsaved.get(id));
    this.#unsaved.set(
      id,
      setTimeout(() => void this.#save(id), saveDelay),
    );
  }

  async #save(id: string): Promise<void> {
    clearTimeout(this.#unsaved.get(id));
    this.#unsaved.delete(id);
    const open = this.#open.get(id);
    if (open === undefined) return;
    await this.#store
      .writeGraph(id, open.graph)
      .catch((error: Error) => this.#log.error(`trace ${id} could not be written: ${error.message}`));
  }

  /** Writes what is still unwritten; called when the window closes. */
  async flush(): Promise<void> {
    await Promise.all([...this.#unsaved.keys()].map((id) => this.#save(id)));
  }

  dispose(): void {
    for (const timer of this.#unsaved.values()) clearTimeout(timer);
    this.#changed.dispose();
  }
}
