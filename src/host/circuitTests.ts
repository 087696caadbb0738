import path from 'node:path';
import * as vscode from 'vscode';
import { readAssertionFile } from '../graph/assertionFile.ts';
import { assertionPlaces, type TextRange } from '../graph/assertionPlaces.ts';
import type { CircuitTest } from '../graph/assertions.ts';
import type { ModelPair } from '../protocol/engine.ts';
import { isAbort, UserError } from '../protocol/errors.ts';
import { runCircuitTest } from '../protocol/runCircuitTest.ts';
import { readConfig } from './config.ts';
import type { EngineProcess } from './engineProcess.ts';
import type { Log } from './log.ts';

const pattern = '**/*.circuit-test.json';

/** A test as it was read from its file, with what running it needs. */
type Known = {
  readonly test: CircuitTest;
  readonly pair: ModelPair | null;
  readonly statements: readonly vscode.Location[];
};

/** The window's circuit tests in the Testing view: found in the workspace, read again when their files change, run on the engine. */
export class CircuitTests implements vscode.Disposable {
  readonly #extensionPath: string;
  readonly #engine: EngineProcess;
  readonly #log: Log;
  readonly #controller = vscode.tests.createTestController('promptCircuits.circuitTests', 'Circuit Tests');
  readonly #watcher = vscode.workspace.createFileSystemWatcher(pattern);
  readonly #known = new WeakMap<vscode.TestItem, Known>();

  constructor(extensionPath: string, engine: EngineProcess, log: Log) {
    this.#extensionPath = extensionPath;
    this.#engine = engine;
    this.#log = log;
    this.#controller.resolveHandler = (item) => (item === undefined ? this.#findFiles() : this.#readFile(item));
    this.#controller.refreshHandler = () => this.#findFiles();
    this.#controller.createRunProfile(
      'Run',
      vscode.TestRunProfileKind.Run,
      (request, token) => this.#run(request, token),
      true,
    );
    this.#watcher.onDidCreate((file) => this.#readFile(this.#fileItem(file)));
    this.#watcher.onDidChange((file) => this.#readFile(this.#fileItem(file)));
    this.#watcher.onDidDelete((file) => this.#controller.items.delete(file.toString()));
  }

  dispose(): void {
    this.#watcher.dispose();
    this.#controller.dispose();
  }

  async #findFiles(): Promise<void> {
    const files = await vscode.workspace.findFiles(pattern, '**/node_modules/**');
    const items = files.map((file) => this.#fileItem(file));
    this.#controller.items.replace(items);
    for (const item of items) await this.#readFile(item);
  }

  #fileItem(file: vscode.Uri): vscode.TestItem {
    const known = this.#controller.items.get(file.toString());
    if (known !== undefined) return known;
    const item = this.#controller.createTestItem(file.toString(), path.basename(file.path), file);
    item.canResolveChildren = true;
    this.#controller.items.add(item);
    return item;
  }

  /** Reads a file's tests as they are in its editor, saved or not; what is wrong with it is shown at the file. */
  async #readFile(fileItem: vscode.TestItem): Promise<void> {
    const { uri } = fileItem;
    if (uri === undefined) return;
    try {
      const document = await vscode.workspace.openTextDocument(uri);
      const text = document.getText();
      const file = readAssertionFile(text);
      const folder = path.dirname(uri.fsPath);
      const places = assertionPlaces(text);
      const rangeOf = ([start, end]: TextRange) =>
        new vscode.Range(document.positionAt(start), document.positionAt(end));
      const items = file.tests.map((test, index) => {
        const item = this.#controller.createTestItem(`${uri.toString()}#${index}`, test.name, uri);
        item.range = rangeOf(places[index].test);
        const pair =
          file.model === null || file.transcoders === null
            ? null
            : { model: path.resolve(folder, file.model), transcoders: path.resolve(folder, file.transcoders) };
        const statements = places[index].statements.map((range) => new vscode.Location(uri, rangeOf(range)));
        this.#known.set(item, { test, pair, statements });
        return item;
      });
      fileItem.error = undefined;
      fileItem.children.replace(items);
    } catch (error) {
      fileItem.children.replace([]);
      fileItem.error = this.#sentences(error);
    }
  }

  async #run(request: vscode.TestRunRequest, token: vscode.CancellationToken): Promise<void> {
    const run = this.#controller.createTestRun(request);
    const cancel = new AbortController();
    const listener = token.onCancellationRequested(() => cancel.abort());
    try {
      const items = await this.#itemsOf(request);
      for (const item of items) run.enqueued(item);
      for (const item of items) {
        if (token.isCancellationRequested) run.skipped(item);
        else await this.#runOne(run, item, cancel.signal);
      }
    } finally {
      listener.dispose();
      run.end();
    }
  }

  /** The tests that a request means, and files that cannot be read: those named or else all; less those excluded. */
  async #itemsOf({ include, exclude }: vscode.TestRunRequest): Promise<vscode.TestItem[]> {
    if (include === undefined && this.#controller.items.size === 0) await this.#findFiles();
    const top = include ?? Array.from(this.#controller.items, ([, item]) => item);
    const items = top.flatMap((item) =>
      this.#known.has(item) || item.error ? [item] : Array.from(item.children, ([, child]) => child),
    );
    return items.filter((item) => !exclude?.includes(item) && !(item.parent && exclude?.includes(item.parent)));
  }

  async #runOne(run: vscode.TestRun, item: vscode.TestItem, signal: AbortSignal): Promise<void> {
    const known = this.#known.get(item);
    run.started(item);
    if (known === undefined) {
      run.errored(item, new vscode.TestMessage(item.error ?? 'This file has no tests.'));
      return;
    }
    const begun = performance.now();
    try {
      const { pair, device } = readConfig(this.#extensionPath);
      const verdicts = await runCircuitTest(known.test, known.pair ?? pair, device, {
        trace: (request) => this.#engine.call('trace', request, { signal }),
        intervene: (request) => this.#engine.call('intervene', request, { signal }),
      });
      for (const { holds, message } of verdicts)
        run.appendOutput(`${holds ? '✔' : '✖'} ${message}\r\n`, undefined, item);
      const messages = verdicts.flatMap(({ holds, message }, index) => {
        if (holds) return [];
        const failure = new vscode.TestMessage(message);
        failure.location = known.statements[index];
        return [failure];
      });
      if (messages.length === 0) run.passed(item, performance.now() - begun);
      else run.failed(item, messages, performance.now() - begun);
    } catch (error) {
      if (isAbort(error)) run.skipped(item);
      else run.errored(item, new vscode.TestMessage(this.#sentences(error)), performance.now() - begun);
    }
  }

  #sentences(error: unknown): string {
    if (error instanceof UserError) return `${error.message} ${error.remedy}`;
    this.#log.error(error instanceof Error ? (error.stack ?? error.message) : String(error));
    return 'Something went wrong; the log of Prompt Circuits says more.';
  }
}
