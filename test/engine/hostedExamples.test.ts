import assert from 'node:assert/strict';
import fs from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { SetFeatures } from '../../src/engine/setFeatures.ts';
import { UserError } from '../../src/protocol/errors.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

const record = (token: string) =>
  JSON.stringify({
    top_logits: [token],
    examples_quantiles: [{ quantile_name: 'Top', examples: [{ tokens: [token, ' b'], tokens_acts_list: [1, 0] }] }],
  });

test('examples that the host was given fill a card whose folder has none', async () => {
  await using folder = await temporaryFolder();
  const features = new SetFeatures(folder.path);
  assert.deepEqual(features.card(0, 3).quantiles, []);
  const { quantiles, topLogits } = features.card(0, 3, record('a'));
  assert.deepEqual(quantiles[0]?.examples[0]?.tokens, ['a', ' b']);
  assert.deepEqual(topLogits, ['a']);
});

test("the folder's own examples win over those the host was given", async () => {
  await using folder = await temporaryFolder();
  await fs.mkdir(path.join(folder.path, 'features'));
  // 0 and 3 pair to 9.
  await fs.writeFile(path.join(folder.path, 'features', '9.json'), record('own'));
  assert.deepEqual(new SetFeatures(folder.path).card(0, 3, record('other')).topLogits, ['own']);
});

test('hosted examples that are no JSON object are refused', async () => {
  await using folder = await temporaryFolder();
  for (const text of ['', '[]', '{', 'null']) {
    assert.throws(() => new SetFeatures(folder.path).card(0, 3, text), UserError);
  }
});
