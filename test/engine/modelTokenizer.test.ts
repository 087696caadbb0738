import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { largest, sampler, softmax } from '../../src/engine/model/sample.ts';
import { rangesInText, textOfBytes } from '../../src/engine/model/tokenBytes.ts';
import { loadTokenizer } from '../../src/engine/model/tokenizer.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

const goldens = path.join(import.meta.dirname, '../fixtures/goldens');
const llama = path.join(goldens, 'llama-plt-relu/model');
const gemma = path.join(goldens, 'gemma2-plt-jumprelu/model');
const gemmaChat = path.join(goldens, 'gemma3-it-plt/gemma-3-tiny-it');

type Case = {
  readonly model: string;
  readonly zero_positions: number;
  readonly token_ids: number[];
  readonly prompt: { readonly text: string; readonly given_ids: number[]; readonly intervention_text?: string };
};

test("every golden's texts and given ids become the ids that the reference ran", async () => {
  const names = fs.readdirSync(goldens).filter((name) => fs.existsSync(path.join(goldens, name, 'case.json')));
  assert.ok(names.length >= 24);
  for (const name of names) {
    const golden = JSON.parse(fs.readFileSync(path.join(goldens, name, 'case.json'), 'utf8')) as Case;
    const tokenizer = await loadTokenizer(path.join(goldens, name, golden.model));
    const ids = (text: string) => tokenizer.tokenize({ type: 'text', text }).tokens.map((token) => token.id);
    const given = tokenizer.tokenize({ type: 'tokens', ids: golden.prompt.given_ids }).tokens.map((token) => token.id);
    assert.deepEqual(given, golden.token_ids, `${name}: given ids`);
    assert.equal(tokenizer.zeroPositions(given), golden.zero_positions, `${name}: zero positions`);
    // An empty prompt is refused here, where the reference runs the start token alone.
    if (golden.prompt.text) assert.deepEqual(ids(golden.prompt.text), golden.token_ids, `${name}: text`);
    if (golden.prompt.intervention_text) {
      assert.deepEqual(ids(golden.prompt.intervention_text), golden.token_ids, `${name}: intervention text`);
    }
  }
});

test('any text is tiled by the ranges of its tokens, and the tokens give it back', async () => {
  for (const folder of [llama, gemma]) {
    const tokenizer = await loadTokenizer(folder);
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', minLength: 1 }), (text) => {
        const { tokens } = tokenizer.tokenize({ type: 'text', text });
        assert.equal(tokens[0]!.range, null);
        let end = 0;
        for (const token of tokens.slice(1)) {
          assert.ok(token.range);
          assert.equal(token.range[0], end);
          end = token.range[1];
        }
        assert.equal(end, text.length);
        // To a tokenizer that writes spaces as ▁, the two are the same.
        const asRead = folder === gemma ? text.replaceAll('▁', ' ') : text;
        assert.equal(tokenizer.decode(tokens.slice(1).map((token) => token.id)), asRead);
      }),
      { numRuns: 100, examples: [['▁ '], ['a▁b ▁']] },
    );
  }
});

test('a token that holds a part of a character shows its bytes, and its neighbours share the range', async () => {
  const tokenizer = await loadTokenizer(llama);
  const { tokens } = tokenizer.tokenize({ type: 'text', text: 'a😀b' });
  const parts = tokens.slice(2, -1);
  assert.deepEqual(
    parts.map((token) => token.text),
    ['\\xf0', '\\x9f', '\\x98', '\\x80'],
  );
  assert.deepEqual(
    parts.map((token) => token.range),
    [
      [1, 1],
      [1, 1],
      [1, 1],
      [1, 3],
    ],
  );
});

test('bytes that are no text are shown one by one, whole characters as they are', () => {
  assert.equal(textOfBytes(Uint8Array.of(0x61, 0xff, 0xc3, 0xa9, 0xe2, 0x82)), 'a\\xffé\\xe2\\x82');
  assert.equal(textOfBytes(Uint8Array.of(0xc0, 0x80)), '\\xc0\\x80');
});

test('a space that the tokenizer put before the text is in no range', () => {
  const encode = (text: string) => new TextEncoder().encode(text);
  assert.deepEqual(rangesInText('the cat', [encode(' the'), encode(' cat')]), [
    [0, 3],
    [3, 7],
  ]);
  assert.deepEqual(rangesInText('AB c', [encode('a'), encode('b'), encode(' c')]), [null, null, [2, 4]]);
});

test('id 0 is put in front where it is the only special token', async () => {
  await using folder = await temporaryFolder();
  fs.cpSync(gemma, folder.path, { recursive: true });
  const read = (name: string) => JSON.parse(fs.readFileSync(path.join(folder.path, name), 'utf8'));
  const json = read('tokenizer.json');
  json.post_processor = null;
  json.added_tokens = json.added_tokens.slice(0, 1);
  fs.writeFileSync(path.join(folder.path, 'tokenizer.json'), JSON.stringify(json));
  fs.writeFileSync(
    path.join(folder.path, 'tokenizer_config.json'),
    '{"tokenizer_class":"PreTrainedTokenizerFast","pad_token":"<pad>"}',
  );
  const tokenizer = await loadTokenizer(folder.path);
  const { tokens } = tokenizer.tokenize({ type: 'text', text: 'the state' });
  assert.equal(tokens[0]!.id, 0);
  assert.equal(tokens[0]!.text, '<pad>');
});

test('a prompt of an instruction-tuned Gemma 3 begins with the start of a user turn', async () => {
  const tokenizer = await loadTokenizer(gemmaChat);
  const { tokens, warnings } = tokenizer.tokenize({ type: 'text', text: 'the light is red' });
  assert.deepEqual(
    tokens.slice(0, 4).map((token) => token.id),
    [2, 105, 2364, 107],
  );
  assert.deepEqual(tokens[4]!.range?.[0], 0);
  assert.match(warnings.join(), /start of a user turn was put in front/);
  assert.equal(tokenizer.zeroPositions(tokens.map((token) => token.id)), 4);
  assert.throws(() => tokenizer.tokenize({ type: 'tokens', ids: [2, 431, 440] }), /must begin with the ids 2, 105/);
});

test("role messages go through the model's chat template, and a model without one says so", async () => {
  await using folder = await temporaryFolder();
  fs.cpSync(gemma, folder.path, { recursive: true });
  const template =
    '{{ bos_token }}{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}{% if add_generation_prompt %}[model]{% endif %}';
  fs.writeFileSync(path.join(folder.path, 'chat_template.jinja'), template);
  const messages = [{ role: 'user', content: 'the state' }];
  const { tokens } = (await loadTokenizer(folder.path)).tokenize({ type: 'chat', messages });
  assert.equal(tokens.map((token) => token.text).join(''), '<bos>[user]the state[model]');
  assert.equal(tokens.filter((token) => token.id === 2).length, 1);
  const without = await loadTokenizer(gemma);
  assert.throws(() => without.tokenize({ type: 'chat', messages }), /no chat template/);
});

test('nothing is put in front of nothing', async () => {
  const tokenizer = await loadTokenizer(llama);
  assert.deepEqual(tokenizer.tokenize({ type: 'text', text: '' }).tokens, []);
  assert.deepEqual(tokenizer.tokenize({ type: 'tokens', ids: [] }).tokens, []);
});

test('a trailing space is pointed out', async () => {
  const tokenizer = await loadTokenizer(llama);
  assert.match(tokenizer.tokenize({ type: 'text', text: 'the state ' }).warnings.join(), /ends with a space/);
  assert.deepEqual(tokenizer.tokenize({ type: 'text', text: 'the state' }).warnings, []);
});

test('a folder without a tokenizer, or with a broken one, says so', async () => {
  await using folder = await temporaryFolder();
  await assert.rejects(loadTokenizer(folder.path), /has no tokenizer.json/);
  fs.writeFileSync(path.join(folder.path, 'tokenizer.json'), '{"model": 3}');
  await assert.rejects(loadTokenizer(folder.path), /can't be read/);
});

test('sampling with a seed repeats itself, keeps within the top share, and at temperature 0 takes the best', () => {
  const logits = Float32Array.of(2, 1, 0, -1, -9);
  const draw = (seed: number, topP: number) => {
    const next = sampler({ temperature: 1, topP, seed });
    return Array.from({ length: 2000 }, () => next(logits));
  };
  assert.deepEqual(draw(7, 1), draw(7, 1));
  assert.notDeepEqual(draw(7, 1), draw(8, 1));
  const share = draw(7, 1).filter((id) => id === 0).length / 2000;
  assert.ok(Math.abs(share - softmax(logits)[0]!) < 0.04, `${share}`);
  assert.deepEqual([...new Set(draw(7, 0.8))].sort(), [0, 1]); // 0.64 + 0.24
  assert.deepEqual([...new Set(draw(7, 0.5))], [0]);
  assert.equal(sampler({ temperature: 0, topP: 1, seed: 1 })(logits), 0);
  assert.equal(sampler(null)(logits), 0);
});

test('the largest values come in order, equal ones by index', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: -5, max: 5 }), { minLength: 1 }),
      fc.integer({ min: 1, max: 9 }),
      (values, count) => {
        const expected = Array.from(values.keys()).sort((a, b) => values[b]! - values[a]! || a - b);
        assert.deepEqual(largest(Float32Array.from(values), count), expected.slice(0, count));
      },
    ),
  );
});
