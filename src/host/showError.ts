import * as vscode from 'vscode';
import { isAbort, UserError } from '../protocol/errors.ts';
import type { Log } from './log.ts';
import { remedyFor } from './remedies.ts';

/**
 * Shows a failure once, as its kind asks: a UserError with its remedy as a button, a bug as "Something went wrong" with
 * the log, a cancel not at all.
 */
export async function showError(error: unknown, log: Log): Promise<void> {
  if (isAbort(error)) return;
  if (error instanceof UserError) {
    log.warn(`${error.code}: ${error.message}`);
    const action = remedyFor(error.code);
    const text = `${error.message} ${error.remedy}`;
    const chosen = await vscode.window.showErrorMessage(text, ...(action === null ? [] : [action.title]));
    if (chosen !== undefined && action !== null) {
      await vscode.commands.executeCommand(action.command, ...(action.arguments ?? []));
    }
    return;
  }
  log.error(error instanceof Error ? (error.stack ?? error.message) : String(error));
  const chosen = await vscode.window.showErrorMessage('Prompt Circuits: Something went wrong.', 'Show Log');
  if (chosen !== undefined) log.show();
}
