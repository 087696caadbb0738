import process from 'node:process';
import { isAbort, UserError } from '../protocol/errors.ts';
import { UsageError } from './options.ts';

const help = `Usage: prompt-circuits COMMAND [OPTIONS]

  trace       trace a prompt: predictions, scores, strongest paths; writes the graph
  goldens     run reference cases and compare with their results
  bench       measure this machine: forward, encode, attribute, prune, on sizes that grow

  prompt-circuits COMMAND --help says more.
  --version   print the version
`;

/** Each command is loaded when it is called: help and mistakes answer at once. */
const commands: Readonly<Record<string, () => Promise<(args: string[]) => Promise<number>>>> = {
  trace: async () => (await import('./traceCommand.ts')).traceCommand,
  goldens: async () => (await import('./goldensCommand.ts')).goldensCommand,
  bench: async () => (await import('./benchCommand.ts')).benchCommand,
};

/** @returns the exit code: 0 done, 1 failed, 2 called wrongly, 130 cancelled */
export async function runCommandLine(args: readonly string[]): Promise<number> {
  const [name, ...rest] = args;
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    process.stdout.write(help);
    return name === undefined ? 2 : 0;
  }
  try {
    if (name === '--version') {
      process.stdout.write(`${(await import('./product.ts')).version()}\n`);
      return 0;
    }
    if (!Object.hasOwn(commands, name)) throw new UsageError(`There is no command ${JSON.stringify(name)}.`, help);
    const command = await commands[name]();
    return await command(rest);
  } catch (error) {
    return report(error);
  }
}

function report(error: unknown): number {
  if (error instanceof UsageError) {
    process.stderr.write(`${error.message}\n\n${error.help}`);
    return 2;
  }
  if (error instanceof UserError) {
    process.stderr.write(`${error.message}\n${error.remedy}\n`);
    return 1;
  }
  if (isAbort(error)) {
    process.stderr.write('Cancelled.\n');
    return 130;
  }
  process.stderr.write(`Something went wrong.\n${error instanceof Error ? error.stack : String(error)}\n`);
  return 1;
}

/** A test that calls `runCommandLine` imports this file; the program runs it. */
if (process.argv[1] !== undefined && /(?:cli\.cjs|cli[/\\]main\.ts|prompt-circuits)$/.test(process.argv[1])) {
  void runCommandLine(process.argv.slice(2)).then((code) => {
    process.exitCode = code;
  });
}
