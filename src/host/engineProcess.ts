import { type ChildProcess, fork } from 'node:child_process';
import process from 'node:process';
import { createInterface } from 'node:readline';
import { type EngineCalls, engineProtocolVersion } from '../protocol/engine.ts';
import { UserError } from '../protocol/errors.ts';
import { type CallOptions, type Client, connect } from '../protocol/rpc.ts';

export type EngineState = 'stopped' | 'running';

export type EngineProcessOptions = {
  /** The engine's entry: a bundled module, or its source in tests. */
  readonly modulePath: string;
  /** The product's version. */
  readonly version: string;
  /** Receives the engine's own lines and what happens to its process. */
  readonly log: (level: 'debug' | 'info' | 'warn' | 'error', line: string) => void;
  /** Milliseconds that a cancel may stay unanswered before the process is killed. */
  readonly cancelPatience?: number;
};

/**
 * The engine process as the extension sees it: started when first called, watched, and started again by the next call
 * after it ended. When it ends unasked, what was pending fails with a UserError that says how.
 */
export class EngineProcess {
  readonly #options: EngineProcessOptions;
  readonly #listeners = new Set<(state: EngineState) => void>();
  #running: { readonly child: ChildProcess; readonly client: Client<EngineCalls> } | null = null;
  #isDisposed = false;

  constructor(options: EngineProcessOptions) {
    this.#options = options;
  }

  get state(): EngineState {
    return this.#running === null ? 'stopped' : 'running';
  }

  /** The operating system's number of the process; null while there is none. */
  get pid(): number | null {
    return this.#running?.child.pid ?? null;
  }

  /** Calls the listener whenever the process starts or ends. */
  onDidChangeState(listener: (state: EngineState) => void): { dispose: () => void } {
    this.#listeners.add(listener);
    return { dispose: () => void this.#listeners.delete(listener) };
  }

  /** Makes one call, starting the process when there is none. Settles exactly once. */
  call<Method extends keyof EngineCalls>(
    method: Method,
    params: EngineCalls[Method]['params'],
    options?: CallOptions<EngineCalls[Method]['progress']>,
  ): Promise<EngineCalls[Method]['result']> {
    return this.start().call(method, params, options);
  }

  /** Starts the process when there is none, ahead of the first call. */
  start(): Client<EngineCalls> {
    if (this.#isDisposed) throw new Error('The extension is shutting down.');
    if (this.#running !== null) return this.#running.client;
    const child = fork(this.#options.modulePath, [this.#options.version], {
      serialization: 'advanced',
      execArgv: [],
      env: { ...process.env, ELECTRON_RUN_AS_NODE: '1' },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    for (const stream of [child.stdout, child.stderr]) {
      if (stream !== null) createInterface({ input: stream }).on('line', (line) => this.#forward(line));
    }
    const client = connect<EngineCalls>(
      {
        send: (message) => void child.send(message as object),
        onMessage: (listen) => void child.on('message', listen),
      },
      engineProtocolVersion,
      {
        cancelPatience: this.#options.cancelPatience ?? 3000,
        onUnansweredCancel: () => this.#stop(child, 'It did not answer a cancel in time and was stopped.', false),
      },
    );
    this.#running = { child, client };
    child.on('error', (error) => this.#ended(child, `It could not be reached: ${error.message}`));
    child.on('exit', (code, signal) =>
      this.#ended(child, signal === null ? `It ended with code ${code}.` : `It was ended by ${signal}.`),
    );
    this.#options.log('info', `engine process ${child.pid} started`);
    this.#announce();
    return client;
  }

  /** Ends the process, if there is one, and starts a fresh one. Pending calls fail with the reason. */
  restart(): void {
    if (this.#running !== null) this.#stop(this.#running.child, 'It was restarted.', true);
    this.start();
  }

  dispose(): void {
    this.#isDisposed = true;
    if (this.#running !== null) this.#stop(this.#running.child, 'The extension is shutting down.', true);
    this.#listeners.clear();
  }

  #stop(child: ChildProcess, how: string, isAsked: boolean): void {
    if (!isAsked) this.#options.log('warn', `engine process ${child.pid}: ${how}`);
    this.#ended(child, how);
    child.kill('SIGKILL');
  }

  #ended(child: ChildProcess, how: string): void {
    if (this.#running?.child !== child) return;
    const { client } = this.#running;
    this.#running = null;
    this.#options.log('info', `engine process ${child.pid} ended: ${how}`);
    client.end(
      new UserError('engine.ended', `The engine process is gone. ${how}`, 'Restart the engine and try again.'),
    );
    this.#announce();
  }

  #announce(): void {
    for (const listener of this.#listeners) listener(this.state);
  }

  #forward(line: string): void {
    if (line.trim() === '') return;
    const [, level, text] = /^\[(debug|info|warn|error)\] (.*)$/s.exec(line) ?? [];
    this.#options.log((level as 'debug' | undefined) ?? 'warn', `engine: ${text ?? line}`);
  }
}
