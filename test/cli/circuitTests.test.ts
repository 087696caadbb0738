import assert from 'node:assert/strict';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { runCommandLine } from '../../src/cli/main.ts';

const pair = path.join(import.meta.dirname, '..', 'fixtures', 'sample-pair');
const prompt = 'The capital of the state containing Dallas is';

const dallas = {
  name: 'Dallas leads to Austin',
  prompt,
  supernodes: { Dallas: [{ token: ' Dallas' }] },
  expect: [
    { topToken: ' Austin' },
    { probability: ' Austin', atLeast: 0.9 },
    { carries: 'Dallas', to: ' Austin', atLeast: 0.2 },
    { score: 'replacement', atLeast: 0.9 },
    { ablate: 'Dallas', notTopToken: ' Austin' },
  ],
};

type Run = { readonly code: number; readonly out: string; readonly junit: string };

function folderFor(t: TestContext): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'circuit-test-'));
  t.after(() => rmSync(folder, { recursive: true }));
  return folder;
}

/** Runs the command on a file with these tests, with the sample model and, unless named, its set as the file's own. */
async function run(t: TestContext, tests: unknown, set = path.join(pair, 'transcoders')): Promise<Run> {
  const folder = folderFor(t);
  const file = path.join(folder, 'my.circuit-test.json');
  const relative = (place: string) => path.relative(folder, place);
  const own = { version: 1, model: relative(path.join(pair, 'model')), transcoders: relative(set), tests };
  writeFileSync(file, JSON.stringify(own));
  const junit = path.join(folder, 'results', 'junit.xml');
  const lines: string[] = [];
  const terminal = { out: (text: string) => void lines.push(text), err: () => {}, isInteractive: false };
  const code = await runCommandLine(['test', file, '--junit', junit], terminal);
  return { code, out: lines.join(''), junit: existsSync(junit) ? readFileSync(junit, 'utf8') : '' };
}

test('statements that hold pass, with the numbers that were found', async (t) => {
  const { code, out, junit } = await run(t, [dallas]);
  assert.match(out, /^✔ Dallas leads to Austin/);
  assert.match(out, /✔ " Austin" has a probability of 99\.\d %/);
  assert.match(out, /✔ "Dallas" \(\d+ nodes\) carries to " Austin" \d+\.\d %/);
  assert.match(out, /✔ With "Dallas" ablated, the most likely token is/);
  assert.match(out, /1 of 1 tests passed/);
  assert.equal(code, 0);
  assert.match(junit, /tests="1" failures="0" errors="0"/);
});

test('the same statements fail for another prompt, and the run ends with 1', async (t) => {
  const changed = { ...dallas, prompt: prompt.replace('Dallas', 'Oakland') };
  const { code, out, junit } = await run(t, [changed, { ...dallas, expect: [dallas.expect[0]] }]);
  assert.match(out, /✖ The most likely token is " Sacramento" \([\d.]+ %\), not " Austin"\./);
  assert.match(out, /✖ No feature in the graph belongs to "Dallas"\.|✖ " Austin" is not explained by the graph/);
  assert.match(out, /1 of 2 tests passed/);
  assert.equal(code, 1);
  assert.match(junit, /tests="2" failures="1" errors="0"/);
});

test('supernodes by label follow the labels that come with the set', async (t) => {
  const set = path.join(folderFor(t), 'set');
  cpSync(path.join(pair, 'transcoders'), set, { recursive: true });
  const label = (text: string) => {
    const labels = Array.from({ length: 1024 }, (_, feature) => ({
      layer: 0,
      feature,
      label: text,
      source: 'this test',
    }));
    writeFileSync(path.join(set, 'labels.json'), JSON.stringify({ version: 1, labels }));
  };
  const test = {
    name: 'words carry the answer',
    prompt,
    supernodes: { words: [{ label: 'WORD' }] },
    expect: [{ carries: 'words', to: ' Austin', atLeast: 0.2 }],
  };
  label('a word');
  assert.equal((await run(t, [test], set)).code, 0);
  label('a number');
  const { code, out } = await run(t, [test], set);
  assert.equal(code, 1);
  assert.match(out, /✖ No feature in the graph belongs to "words"\./);
});

test('the circuit tests among the sample prompts hold on the built-in model', async () => {
  const samples = path.join(import.meta.dirname, '..', '..', 'media', 'built-in-model', 'prompts');
  const lines: string[] = [];
  const terminal = { out: (text: string) => void lines.push(text), err: () => {}, isInteractive: false };
  const code = await runCommandLine(['test', path.join(samples, 'two-steps.circuit-test.json')], terminal);
  assert.equal(code, 0, lines.join(''));
  assert.match(lines.join(''), /2 of 2 tests passed/);
});

test('a test that cannot run says why and does not stop the others', async (t) => {
  const { code, out, junit } = await run(t, [
    { ...dallas, prompt: [999_999] },
    { ...dallas, expect: [dallas.expect[0]] },
  ]);
  assert.match(out, /✖ Dallas leads to Austin .*\n {4}\S+/);
  assert.match(out, /1 of 2 tests passed/);
  assert.equal(code, 1);
  assert.match(junit, /failures="0" errors="1"/);
});

test('a file that is wrong or missing fails with its reason', async (t) => {
  const wrong = await run(t, [{ ...dallas, expect: [{ topTokn: ' Austin' }] }]);
  assert.equal(wrong.code, 1);
  assert.match(wrong.out, /tests\[0\]\.expect\[0\] must have one of topToken/);
  const lines: string[] = [];
  const terminal = {
    out: (text: string) => void lines.push(text),
    err: (text: string) => void lines.push(text),
    isInteractive: false,
  };
  assert.equal(await runCommandLine(['test', 'no-such.circuit-test.json'], terminal), 1);
  assert.match(lines.join(''), /There is no file no-such\.circuit-test\.json/);
  assert.equal(await runCommandLine(['test'], terminal), 2);
});
