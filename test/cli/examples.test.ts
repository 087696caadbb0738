import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { runCommandLine } from '../../src/cli/main.ts';
import { SetFeatures } from '../../src/engine/setFeatures.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

const samplePair = path.join(import.meta.dirname, '..', 'fixtures', 'sample-pair');
const pair = ['--model', path.join(samplePair, 'model'), '--transcoders', path.join(samplePair, 'transcoders')];

async function call(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  let [out, err] = ['', ''];
  const terminal = {
    out: (text: string) => {
      out += text;
    },
    err: (text: string) => {
      err += text;
    },
    isInteractive: false,
  };
  return { code: await runCommandLine(['examples', ...args], terminal), out, err };
}

test('features of a graph are found in texts, and the files that are written are examples of a set', async () => {
  await using place = await temporaryFolder();
  const text = path.join(place.path, 'text.md');
  const graph = path.join(place.path, 'g.circuit.json');
  writeFileSync(text, 'Fact: the capital of the state containing Dallas is Austin. '.repeat(3));
  const prompt = 'Fact: the capital of the state containing Dallas is';
  const terminal = { out: () => {}, err: () => {}, isInteractive: false };
  assert.equal(await runCommandLine(['trace', ...pair, '--prompt', prompt, '--out', graph], terminal), 0);
  const features = path.join(place.path, 'set', 'features');
  const { code, out } = await call(...pair, '--graph', graph, '--out', features, text);
  assert.equal(code, 0);
  assert.match(out, /^(\d+) of \1 tokens of 1 texts\n/);
  const first = /^L(\d+)\/(\d+) {2}on [\d.]+ % of the tokens, at most ([\d.]+)\n +([\d.]+) {2}.*\[/m.exec(out);
  assert.ok(first, out.slice(0, 400));
  const [, layer, feature, most, strongest] = first;
  assert.equal(most, strongest);
  const kept = path.join(place.path, 'set');
  const card = new SetFeatures(kept).card(Number(layer), Number(feature));
  assert.equal(card.quantiles[0].name, 'Top activations');
  assert.equal(card.activationMax?.toPrecision(4), most);
  assert.equal(card.quantileValues.length, 100);
});

test('a call without texts, without features, or with files that are none, ends with what is wrong', async () => {
  await using place = await temporaryFolder();
  const text = path.join(place.path, 'text.md');
  writeFileSync(text, 'Some words.');
  assert.match((await call(...pair, '--features', '0/1')).err, /Name at least one text file/);
  assert.equal((await call(...pair, text)).code, 2);
  assert.match((await call(...pair, '--features', '0-1', text)).err, /"0-1" is no feature; write LAYER\/NUMBER/);
  const { code, err } = await call(...pair, '--features', '0/1', place.path);
  assert.equal(code, 1);
  assert.match(err, /is no file/);
});
