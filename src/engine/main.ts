import os from 'node:os';
import process from 'node:process';
import { type EngineCalls, engineProtocolVersion } from '../protocol/engine.ts';
import { type Port, serve } from '../protocol/rpc.ts';
import { createCalls } from './calls.ts';

/**
 * The engine process: answers the calls of the extension host over the channel it was forked with, and ends when
 * the channel closes. Its one argument is the product's version. Lines on stderr, `[level] text`, go to the extension's log.
 */
function main(version: string): void {
  if (process.send === undefined) {
    process.stderr.write('[error] The engine is started by the extension; for a terminal there is prompt-circuits.\n');
    process.exitCode = 2;
    return;
  }
  const port: Port = {
    send: (message) => void process.send?.(message),
    onMessage: (listener) => void process.on('message', listener),
  };
  process.on('disconnect', () => process.exit(0));
  stepBack();
  serve<EngineCalls>(
    port,
    engineProtocolVersion,
    createCalls({ version, log: (level, text) => void process.stderr.write(`[${level}] ${text}\n`) }),
  );
}

/**
 * Below the editor's priority: where all processors are busy, the extension host and the screen are served first. Done
 * before any thread is started, because on Linux threads take the priority of the one that starts them.
 */
function stepBack(): void {
  try {
    os.setPriority(os.constants.priority.PRIORITY_BELOW_NORMAL);
  } catch (error) {
    process.stderr.write(`[debug] The engine runs at the editor's own priority: ${(error as Error).message}\n`);
  }
}

main(process.argv[2] ?? 'unknown');
