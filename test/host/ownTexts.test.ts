import assert from 'node:assert/strict';
import { readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { OwnExampleStore } from '../../src/host/ownExampleStore.ts';
import { fairlyCut, ownTextLimits, sourceText, textOf } from '../../src/host/ownTexts.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

const texts = fc.array(fc.record({ name: fc.string(), text: fc.string({ maxLength: 300 }) }), { maxLength: 12 });

test('texts that are cut keep within the limit, short ones stay whole, and the limit is used', () => {
  fc.assert(
    fc.property(texts, fc.nat(1500), (files, limit) => {
      const cut = fairlyCut(files, limit);
      const total = cut.reduce((sum, { text }) => sum + text.length, 0);
      const given = files.reduce((sum, { text }) => sum + text.length, 0);
      assert.ok(total <= limit || given <= limit);
      assert.ok(total === given || total > limit - files.length, `${total} of ${limit} used`);
      const longest = Math.max(...cut.map(({ text }) => text.length), 0);
      cut.forEach(({ text }, place) => {
        assert.ok(files[place].text.startsWith(text));
        assert.ok(text.length === files[place].text.length || text.length === longest, 'only the longest are cut');
      });
    }),
  );
});

test('pictures, programs and huge files are no texts', () => {
  assert.equal(textOf(new TextEncoder().encode('Grüße')), 'Grüße');
  assert.equal(textOf(Uint8Array.of(0x89, 0x50, 0, 1)), null);
  assert.equal(textOf(new Uint8Array()), null);
  assert.equal(textOf(new TextEncoder().encode(' \n')), null);
  assert.equal(textOf(new Uint8Array(ownTextLimits.fileBytes + 1).fill(0x61)), null);
});

test('a card says how much of which text its examples are from', () => {
  const date = new Date(2026, 10, 22);
  const all = { texts: 12, tokens: 8431, tokensGiven: 8431 };
  assert.equal(sourceText('your workspace', all, date), '12 files of your workspace, 8,431 tokens, 22 Nov 2026');
  const some = { texts: 1, tokens: 20_000, tokensGiven: 31_000 };
  assert.equal(sourceText('notes', some, date), '1 file of notes, 20,000 of 31,000 tokens, 22 Nov 2026');
});

const weights = (fingerprint: string) => ({
  model: { revision: null, fingerprint },
  transcoders: { revision: null, fingerprint: 'b'.repeat(16) },
});

const examples = {
  layer: 3,
  feature: 113,
  quantiles: [{ name: 'Top activations', examples: [{ tokens: [' Dallas'], activations: [2.5], peak: 0 }] }],
  activationFrequency: 0.01,
  histogram: [1, 2],
  quantileValues: [1, 2.5],
  activationMin: 0,
  activationMax: 2.5,
};

test('examples of one’s own are kept by feature and by weights, and newer ones take their place', async () => {
  await using place = await temporaryFolder();
  const store = new OwnExampleStore(place.path);
  assert.equal(await store.read(weights('a'.repeat(16)), 3, 113), null);
  await store.write(weights('a'.repeat(16)), [examples], 'first');
  await store.write(weights('a'.repeat(16)), [{ ...examples, activationFrequency: 0.5 }], 'second');
  const kept = await new OwnExampleStore(place.path).read(weights('a'.repeat(16)), 3, 113);
  assert.equal(kept?.source, 'second');
  assert.equal(kept?.activationFrequency, 0.5);
  assert.deepEqual(kept?.quantiles, examples.quantiles);
  assert.equal(await store.read(weights('c'.repeat(16)), 3, 113), null, 'other weights have other features');
  assert.equal(await store.read(weights('a'.repeat(16)), 3, 114), null);
});

test('a damaged file of examples is as good as none', async () => {
  await using place = await temporaryFolder();
  const store = new OwnExampleStore(place.path);
  await store.write(weights('a'.repeat(16)), [examples], 'first');
  const [folder] = await readdir(place.path);
  const file = path.join(place.path, folder, '3-113.json');
  for (const text of [
    '',
    '{',
    '[]',
    '{"source":1}',
    '{"source":"x","quantiles":[{"name":"t","examples":[{"tokens":[1]}]}]}',
  ]) {
    await writeFile(file, text);
    assert.equal(await store.read(weights('a'.repeat(16)), 3, 113), null, text);
  }
});
