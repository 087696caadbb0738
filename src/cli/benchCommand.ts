import { Options } from './options.ts';
import type { Terminal } from './terminal.ts';

const help = `Usage: prompt-circuits bench
`;

export async function benchCommand(args: readonly string[], terminal: Terminal): Promise<number> {
  const options = new Options(args, {}, help);
  if (options.flag('help')) {
    terminal.out(help);
    return 0;
  }
  return 0;
}
