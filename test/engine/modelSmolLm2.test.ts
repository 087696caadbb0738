import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { loadModel } from '../../src/engine/model/loadModel.ts';
import { largest } from '../../src/engine/model/sample.ts';
import { loadTokenizer } from '../../src/engine/model/tokenizer.ts';
import { smolLm2 } from '../support/smolLm2.ts';

type Case = {
  readonly text: string;
  readonly ids: number[];
  readonly largest: number;
  readonly every64th: number[];
  readonly best: number[];
  readonly bestLogits: number[];
  readonly continuation: number[];
};
const reference = path.join(import.meta.dirname, '../fixtures/smollm2/reference.json');
const cases = JSON.parse(fs.readFileSync(reference, 'utf8')) as Case[];
const model = smolLm2();
const options = 'missing' in model ? { skip: model.missing } : {};
const folder = 'folder' in model ? model.folder : '';

test('SmolLM2 tokenizes 20 texts as PyTorch does', options, async () => {
  const tokenizer = await loadTokenizer(folder);
  for (const { text, ids } of cases) {
    const { tokens } = tokenizer.tokenize({ type: 'text', text });
    assert.deepEqual(
      tokens.map((token) => token.id),
      ids,
      text,
    );
  }
});

test("SmolLM2's logits on 20 texts and its greedy continuations of 30 tokens are PyTorch's", options, async () => {
  using loaded = await loadModel(folder);
  using _held = loaded.holdWeights();
  const { dVocab } = loaded.dimensions;
  for (const { text, ids, continuation, ...expected } of cases) {
    // One run over prompt and continuation: each position's best token must be the next one of the continuation.
    const whole = [...ids, ...continuation.slice(0, -1)];
    const { logits } = await loaded.forward(whole, { logits: 'all', keepsPatterns: false });
    const at = (pos: number) => logits.subarray(pos * dVocab, (pos + 1) * dVocab);
    const last = at(ids.length - 1);
    const tolerance = 1e-3 * expected.largest;
    for (const [i, logit] of expected.every64th.entries()) {
      assert.ok(
        Math.abs(last[i * 64]! - logit) <= tolerance,
        `${text}: logit ${i * 64} is ${last[i * 64]}, not ${logit}`,
      );
    }
    for (const [i, id] of expected.best.entries()) {
      assert.ok(Math.abs(last[id]! - expected.bestLogits[i]!) <= tolerance, `${text}: logit of the token ${id}`);
    }
    const continued = continuation.map((_, i) => largest(at(ids.length - 1 + i), 1)[0]);
    assert.deepEqual(continued, continuation, text);
  }
});
