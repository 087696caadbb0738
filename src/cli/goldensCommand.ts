import { chooseDevice } from '../engine/runtime/device.ts';
import { runGoldens } from './goldens.ts';
import { Options } from './options.ts';
import type { Terminal } from './terminal.ts';

const help = `Usage: prompt-circuits goldens DIR [--dump OUT]

  Runs every case below DIR (folders with a case.json) and compares each with the
  reference results beside it: a line per case with the largest deviation and
  where it is, or the first tensor that differs. Ends with code 1 if any differs.

  --device NAME  where to compute: cpu (default), auto, cuda, webgpu, dml, coreml
  --dump OUT   write OUT/<case>/result.safetensors, tensors named as in
               golden.safetensors, and OUT/<case>/interventions.safetensors
               where the case has interventions
`;

export async function goldensCommand(args: readonly string[], terminal: Terminal): Promise<number> {
  const options = new Options(args, { dump: 'text', device: 'text' }, help);
  if (options.flag('help')) {
    terminal.out(help);
    return 0;
  }
  const [folder, ...more] = options.positionals;
  if (folder === undefined) throw options.wrong('Name a folder of reference cases.');
  if (more.length > 0) throw options.wrong(`One folder at a time; ${JSON.stringify(more[0])} is a second.`);
  const { provider } = await chooseDevice(options.device());
  const failed = await runGoldens(folder, { dump: options.text('dump'), provider }, (line) =>
    terminal.out(`${line}\n`),
  );
  return failed > 0 ? 1 : 0;
}
