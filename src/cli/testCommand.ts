import fs from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { createCalls } from '../engine/calls.ts';
import { type CircuitTestFile, readAssertionFile } from '../graph/assertionFile.ts';
import { junitXml, passed, type TestOutcome } from '../graph/junit.ts';
import type { ModelPair } from '../protocol/engine.ts';
import { isAbort, UserError } from '../protocol/errors.ts';
import { type CircuitTestEngine, runCircuitTest } from '../protocol/runCircuitTest.ts';
import { Options } from './options.ts';
import { builtInPair, version } from './product.ts';
import type { Terminal } from './terminal.ts';

const help = `Usage: prompt-circuits test [OPTIONS] FILE...

  Traces the prompts of circuit tests (*.circuit-test.json) and says which of
  their statements hold. Ends with 1 when one does not.

  --model DIR            model folder for files that name none (default: built-in)
  --transcoders DIR      transcoder set for it
  --junit FILE           write the outcomes as JUnit XML, for build servers
  --quiet                print only what fails
`;

const optionKinds = { model: 'text', transcoders: 'text', junit: 'text', quiet: 'flag' } as const;

/** @returns 0 when every statement holds, 1 when one does not or a file cannot be run */
export async function testCommand(args: readonly string[], terminal: Terminal): Promise<number> {
  const options = new Options(args, optionKinds, help);
  if (options.flag('help')) {
    terminal.out(help);
    return 0;
  }
  if (options.positionals.length === 0) throw options.wrong('Name at least one file of circuit tests.');
  const fallback = givenPair(options);
  const controller = new AbortController();
  const cancel = () => controller.abort();
  process.once('SIGINT', cancel);
  const calls = createCalls({ version: version(), log: () => {} });
  const context = { signal: controller.signal, onProgress: () => {} };
  const engine: CircuitTestEngine = {
    trace: (request) => calls.trace(request, context),
    intervene: (request) => calls.intervene(request, context),
  };
  const outcomes: TestOutcome[] = [];
  try {
    for (const file of options.positionals) {
      for await (const outcome of runFile(file, fallback, engine)) {
        if (!options.flag('quiet') || !passed(outcome)) terminal.out(outcomeText(outcome));
        outcomes.push(outcome);
      }
    }
  } finally {
    process.off('SIGINT', cancel);
    await calls.unload({}, context);
  }
  const junit = options.text('junit');
  if (junit !== null) {
    fs.mkdirSync(path.dirname(path.resolve(junit)), { recursive: true });
    fs.writeFileSync(junit, junitXml(outcomes));
  }
  const failed = outcomes.filter((outcome) => !passed(outcome)).length;
  terminal.out(`${outcomes.length - failed} of ${outcomes.length} tests passed.\n`);
  return failed === 0 && outcomes.length > 0 ? 0 : 1;
}

/** Runs a file's tests one by one; a file that cannot be read is one outcome that says why. */
async function* runFile(
  file: string,
  fallback: ModelPair,
  engine: CircuitTestEngine,
): AsyncGenerator<TestOutcome, void, undefined> {
  let tests: CircuitTestFile;
  try {
    tests = readAssertionFile(readText(file));
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    yield { file, name: path.basename(file), milliseconds: 0, verdicts: [], problem: sentences(error) };
    return;
  }
  const folder = path.dirname(path.resolve(file));
  const pair: ModelPair =
    tests.model === null
      ? fallback
      : { model: path.resolve(folder, tests.model), transcoders: path.resolve(folder, tests.transcoders ?? '') };
  for (const test of tests.tests) {
    const begun = performance.now();
    const outcome = { file, name: test.name };
    try {
      const verdicts = await runCircuitTest(test, pair, 'cpu', engine);
      yield { ...outcome, milliseconds: performance.now() - begun, verdicts, problem: null };
    } catch (error) {
      if (isAbort(error) || !(error instanceof UserError)) throw error;
      yield { ...outcome, milliseconds: performance.now() - begun, verdicts: [], problem: sentences(error) };
    }
  }
}

function readText(file: string): string {
  if (!fs.statSync(file, { throwIfNoEntry: false })?.isFile()) {
    throw new UserError('circuitTest.missing', `There is no file ${file}.`, 'Check its name.');
  }
  return fs.readFileSync(file, 'utf8');
}

function givenPair(options: Options): ModelPair {
  const [model, transcoders] = [options.text('model'), options.text('transcoders')];
  if ((model === null) !== (transcoders === null)) {
    throw options.wrong('--model and --transcoders go together: name both, or neither for the built-in model.');
  }
  return model === null ? builtInPair() : { model, transcoders };
}

function outcomeText(outcome: TestOutcome): string {
  const mark = passed(outcome) ? '✔' : '✖';
  const lines = outcome.verdicts.map(({ holds, message }) => `    ${holds ? '✔' : '✖'} ${message}\n`);
  const problem = outcome.problem === null ? '' : `    ${outcome.problem}\n`;
  return `${mark} ${outcome.name} (${outcome.file})\n${lines.join('')}${problem}`;
}

function sentences(error: UserError): string {
  return `${error.message} ${error.remedy}`;
}
