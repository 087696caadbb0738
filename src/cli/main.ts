#!/usr/bin/env node
import process from 'node:process';
import { isAbort, UserError } from '../protocol/errors.ts';
import { UsageError } from './options.ts';
import { processTerminal, type Terminal } from './terminal.ts';

const help = `Usage: prompt-circuits COMMAND [OPTIONS]

  trace       trace a prompt: predictions, scores, strongest paths; writes the graph
  intervene   run a prompt with features changed: what the model says before and after
  examples    where features fire in texts of yours, how often and how strongly
  goldens     run reference cases and compare with their results
  test        run circuit tests: statements about prompts and their features
  compare     what two graphs share, and where they differ
  export      a graph for circuit-tracer, Neuronpedia, a spreadsheet, a pull request
  bench       measure this machine: forward, encode, attribute, prune, on sizes that grow

  prompt-circuits COMMAND --help says more.
  --version   print the version
`;

type Command = (args: readonly string[], terminal: Terminal) => Promise<number>;

/** Each command is loaded when it is called: help and mistakes answer at once. */
const commands: Readonly<Record<string, () => Promise<Command>>> = {
  trace: async () => (await import('./traceCommand.ts')).traceCommand,
  intervene: async () => (await import('./interveneCommand.ts')).interveneCommand,
  examples: async () => (await import('./examplesCommand.ts')).examplesCommand,
  goldens: async () => (await import('./goldensCommand.ts')).goldensCommand,
  test: async () => (await import('./testCommand.ts')).testCommand,
  compare: async () => (await import('./compareCommand.ts')).compareCommand,
  export: async () => (await import('./exportCommand.ts')).exportCommand,
  bench: async () => (await import('./benchCommand.ts')).benchCommand,
};

/** @returns the exit code: 0 done, 1 failed, 2 called wrongly, 130 cancelled */
export async function runCommandLine(args: readonly string[], terminal: Terminal): Promise<number> {
  const [name, ...rest] = args;
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    terminal.out(help);
    return name === undefined ? 2 : 0;
  }
  try {
    if (name === '--version') {
      terminal.out(`${(await import('./product.ts')).version()}\n`);
      return 0;
    }
    if (!Object.hasOwn(commands, name)) throw new UsageError(`There is no command ${JSON.stringify(name)}.`, help);
    const command = await commands[name]();
    return await command(rest, terminal);
  } catch (error) {
    return report(error, terminal);
  }
}

function report(error: unknown, terminal: Terminal): number {
  if (error instanceof UsageError) {
    terminal.err(`${error.message}\n\n${error.help}`);
    return 2;
  }
  if (error instanceof UserError) {
    terminal.err(`${error.message}\n${error.remedy}\n`);
    return 1;
  }
  if (isAbort(error)) {
    terminal.err('Cancelled.\n');
    return 130;
  }
  terminal.err(`Something went wrong.\n${error instanceof Error ? error.stack : String(error)}\n`);
  return 1;
}

/** A test that calls `runCommandLine` imports this file; the program runs it. */
if (process.argv[1] !== undefined && /(?:cli\.cjs|cli[/\\]main\.ts|prompt-circuits)$/.test(process.argv[1])) {
  void runCommandLine(process.argv.slice(2), processTerminal).then((code) => {
    process.exitCode = code;
  });
}
