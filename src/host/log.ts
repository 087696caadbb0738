import * as vscode from 'vscode';

export type Log = vscode.LogOutputChannel;

/**
 * The one log of the extension; the engine's lines are forwarded to it.
 * `info`: one line per user action with durations. `debug`: phases. No prompt text above `trace`.
 */
export function createLog(): Log {
  return vscode.window.createOutputChannel('Prompt Circuits', { log: true });
}

/** Milliseconds as a person reads them. */
export function duration(milliseconds: number): string {
  return milliseconds < 10_000 ? `${Math.round(milliseconds)} ms` : `${(milliseconds / 1000).toFixed(1)} s`;
}
