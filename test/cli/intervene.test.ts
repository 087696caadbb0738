import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { runCommandLine } from '../../src/cli/main.ts';
import { editText, readEdit } from '../../src/protocol/editText.ts';
import type { InterveneResult, Intervention } from '../../src/protocol/engine.ts';

const samplePair = path.join(import.meta.dirname, '..', 'fixtures', 'sample-pair');
const pair = ['--model', path.join(samplePair, 'model'), '--transcoders', path.join(samplePair, 'transcoders')];
const dallas = ['intervene', ...pair, '--prompt', 'Fact: the capital of the state containing Dallas is'];

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
  return { code: await runCommandLine(args, terminal), out, err };
}

test("another city's activations move the Dallas prompt to that city's capital, and the text goes on from there", async () => {
  const swap = ['--patch', 'Fact: the capital of the state containing Chicago is', '--patch-at', '9'];
  const { code, out } = await call(...dallas, ...swap, '--generate', '3');
  assert.equal(code, 0);
  assert.match(out, /^ {2}" Springfield" +\d+\.\d+ % {2}\(0\.\d+ %\)$/m);
  assert.match(out, /Without the edits: " Austin\..*\nWith the edits: {4}" Springfield\./);
  assert.match(out, /layer \d+, feature \d+ at position 1\d: \d+\.\d+ -> \d+\.\d+/);
});

test('edits of every kind reach the engine, and --json prints its result whole', async () => {
  const edits = ['--set', '0:5@9=3', '--scale', '1:7@2..=0.5', '--add', '2:3@1..4=-1', '--ablate', '3:9@10'];
  const { code, out } = await call(...dallas, ...edits, '--json', '--freeze-attention', '--top', '2');
  assert.equal(code, 0);
  const result = JSON.parse(out) as InterveneResult;
  assert.ok(result.after.length >= 2 && result.changed.length > 0);
});

test('direct effects alone change features otherwise than all effects', async () => {
  const edit = ['--scale', '1:7@9=0', '--add', '0:5@9=3', '--json', '--top', '1'];
  const free = JSON.parse((await call(...dallas, ...edit)).out) as InterveneResult;
  const direct = JSON.parse((await call(...dallas, ...edit, '--direct')).out) as InterveneResult;
  assert.ok(free.changed.length > 0);
  assert.notDeepEqual(direct.changed, free.changed);
});

test('an edit that is not written as one, or of what does not exist, ends with what is wrong', async () => {
  for (const edit of ['1:2', '1:2@3', 'x:2@3=1', '1:2@3=', '1:2@3=one', '1:2@-3=1', '1:2@3..2..=1']) {
    const { code, err } = await call(...dallas, '--set', edit);
    assert.equal(code, 2, edit);
    assert.match(err, /--set is .*; it must be LAYER:FEATURE@POSITIONS/);
  }
  assert.equal((await call(...dallas, '--ablate', '1:2@3=4')).code, 2);
  assert.equal((await call(...dallas)).code, 2);
  const { code, err } = await call(...dallas, '--set', '99:2@3=4');
  assert.equal(code, 1);
  assert.match(err, /no layer 99: there are 4 layers/);
});

test('an edit reads back from its own text', () => {
  const position = fc.oneof(
    fc.nat(999),
    fc.record({ start: fc.nat(999), stop: fc.option(fc.nat(999)) }, { noNullPrototype: true }),
  );
  const kind = fc.constantFrom('set' as const, 'scale' as const, 'add' as const, 'ablate' as const);
  const value = fc.double({ noNaN: true, noDefaultInfinity: true });
  fc.assert(
    fc.property(fc.nat(99), fc.nat(200_000), position, kind, value, (layer, feature, pos, own, number) => {
      const edit: Intervention = {
        layer,
        feature,
        pos,
        kind: own,
        value: own === 'ablate' || number === 0 ? 0 : number,
      };
      const [option, text] = editText(edit).split(' ');
      assert.equal(option, `--${own}`);
      assert.deepEqual(readEdit(own, text), edit);
    }),
  );
});
