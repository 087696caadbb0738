import * as vscode from 'vscode';
import { readConfig } from '../config.ts';
import type { EngineProcess } from '../engineProcess.ts';
import { nameOfFolder } from '../remote/hubCache.ts';
import type { Jobs } from '../runJob.ts';
import type { Traces } from '../traces.ts';

/** Model, device, and whether work is under way. A click changes the model; while work runs it cancels. */
export class StatusBar implements vscode.Disposable {
  readonly #item: vscode.StatusBarItem;
  readonly #disposables: vscode.Disposable[];
  readonly #extensionPath: string;
  readonly #engine: EngineProcess;
  readonly #jobs: Jobs;
  readonly #traces: Traces;

  constructor(extensionPath: string, engine: EngineProcess, jobs: Jobs, traces: Traces) {
    this.#extensionPath = extensionPath;
    this.#engine = engine;
    this.#jobs = jobs;
    this.#traces = traces;
    this.#item = vscode.window.createStatusBarItem('promptCircuits.status', vscode.StatusBarAlignment.Right, 90);
    this.#item.name = 'Prompt Circuits';
    this.#disposables = [
      this.#item,
      jobs.onDidChange(() => this.#draw()),
      engine.onDidChangeState(() => this.#draw()),
      traces.onDidChange(({ type }) => {
        if (type === 'active') this.#draw();
      }),
      vscode.workspace.onDidChangeConfiguration((change) => {
        if (change.affectsConfiguration('promptCircuits')) this.#draw();
      }),
    ];
    this.#draw();
    this.#item.show();
  }

  dispose(): void {
    for (const disposable of this.#disposables) disposable.dispose();
  }

  #draw(): void {
    const config = readConfig(this.#extensionPath);
    const model = config.isBuiltIn ? 'Built-in Model' : nameOfFolder(config.pair.model);
    const device = this.#traces.records[0]?.device || (config.device === 'auto' ? '' : config.device);
    const job = this.#jobs.current;
    const isBusy = job !== null;
    const state = isBusy ? 'busy' : this.#engine.state === 'running' ? 'idle' : 'engine not running';
    this.#item.text = `$(${isBusy ? 'loading~spin' : 'type-hierarchy'}) ${model}${device && ` · ${device}`}`;
    this.#item.tooltip = isBusy
      ? `${job}. Click to cancel.`
      : `Prompt Circuits: ${model}, ${state}. Click to change the model.`;
    this.#item.command = isBusy ? 'promptCircuits.cancel' : 'promptCircuits.chooseModel';
    this.#item.accessibilityInformation = { label: `Prompt Circuits: ${model}, ${state}` };
  }
}
