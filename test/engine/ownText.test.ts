import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { loadModel } from '../../src/engine/model/loadModel.ts';
import { loadTokenizer } from '../../src/engine/model/tokenizer.ts';
import { Encoder } from '../../src/engine/transcoders/encode.ts';
import { FeatureTally } from '../../src/engine/transcoders/featureTally.ts';
import { loadTranscoders } from '../../src/engine/transcoders/load.ts';
import { collectExamples } from '../../src/engine/transcoders/ownText.ts';
import { featureInput } from '../../src/engine/transcoders/tapPoint.ts';
import type { CollectRequest } from '../../src/protocol/engine.ts';
import { UserError } from '../../src/protocol/errors.ts';

const folder = path.join(import.meta.dirname, '../fixtures/sample-pair');
const pair = { model: path.join(folder, 'model'), transcoders: path.join(folder, 'transcoders') };
const texts = [
  { name: 'a.md', text: 'The capital of the state containing Dallas is Austin.' },
  { name: 'b.md', text: 'The capital of France is Paris. The capital of the state containing Dallas is' },
];

async function parts() {
  const model = await loadModel(pair.model, { device: 'cpu' });
  const set = loadTranscoders(pair.transcoders, model.dimensions);
  return { model, tokenizer: await loadTokenizer(pair.model), set, encoder: new Encoder(set) };
}

/** Every activation of every feature on the texts, by the plain way: one text, one layer at a time. */
async function plainly({ model, tokenizer, set, encoder }: Awaited<ReturnType<typeof parts>>) {
  const found: { layer: number; feature: number; text: number; pos: number; activation: number }[] = [];
  let tokens = 0;
  for (const [text, { text: words }] of texts.entries()) {
    const ids = tokenizer.tokenize({ type: 'text', text: words }).tokens.map(({ id }) => id);
    tokens += ids.length - 1;
    const run = await model.forward(ids, { logits: 'none' });
    for (let layer = 0; layer < set.layers.length; layer++) {
      const active = await encoder.activeAt(layer, featureInput(set.inputHook, model, run, layer), ids.length, 1);
      for (let i = 0; i < active.count; i++) {
        const [feature, pos, activation] = [active.feature[i], active.pos[i], active.activation[i]];
        found.push({ layer, feature, text, pos, activation });
      }
    }
  }
  return { found, tokens };
}

test('frequency, largest activation and the strongest place are those of a plain count', async () => {
  const all = await parts();
  const { found, tokens } = await plainly(all);
  const features = [...new Set(found.map(({ layer, feature }) => `${layer}/${feature}`))].slice(0, 60).map((key) => {
    const [layer, feature] = key.split('/').map(Number);
    return { layer, feature };
  });
  const request: CollectRequest = { pair, texts, features, maxTokens: 10_000, device: 'cpu' };
  const result = await collectExamples(request, all);
  assert.equal(result.tokens, tokens);
  assert.equal(result.tokensGiven, tokens);
  assert.equal(result.texts, 2);
  assert.equal(result.features.length, features.length);
  for (const { layer, feature, activationFrequency, activationMax, quantiles, histogram } of result.features) {
    const mine = found.filter((each) => each.layer === layer && each.feature === feature);
    const best = mine.reduce((a, b) => (b.activation > a.activation ? b : a));
    assert.equal(activationFrequency, mine.length / tokens);
    assert.ok(Math.abs(activationMax! - best.activation) < 1e-6);
    assert.equal(
      histogram.reduce((a, b) => a + b, 0),
      mine.length,
    );
    const [example] = quantiles[0].examples;
    const words = all.tokenizer.tokenize({ type: 'text', text: texts[best.text].text }).tokens;
    assert.ok(Math.abs(example.activations[example.peak!] - best.activation) < 1e-6);
    assert.equal(example.tokens[example.peak!], words[best.pos].text);
  }
});

test('a feature that never fires says so, and one that the set has not is left out', async () => {
  const all = await parts();
  const { found } = await plainly(all);
  const on = new Set(found.filter(({ layer }) => layer === 0).map(({ feature }) => feature));
  const silent = Array.from({ length: all.set.nFeatures }, (_, feature) => feature).find((each) => !on.has(each))!;
  const features = [
    { layer: 0, feature: silent },
    { layer: 99, feature: 0 },
    { layer: 0, feature: 1e6 },
  ];
  const result = await collectExamples({ pair, texts, features, maxTokens: 1000, device: 'cpu' }, all);
  assert.equal(result.features.length, 1);
  assert.deepEqual(result.features[0].quantiles, []);
  assert.equal(result.features[0].activationFrequency, 0);
});

test('of long texts as many tokens are read as were allowed, and a cancel ends it', async () => {
  const all = await parts();
  const long = [{ name: 'long.md', text: `${texts[0].text} `.repeat(200) }];
  const request = {
    pair,
    texts: long,
    features: [{ layer: 1, feature: 2 }],
    maxTokens: 300,
    device: 'cpu' as const,
  };
  const result = await collectExamples(request, all);
  assert.equal(result.tokens, 256);
  assert.ok(result.tokensGiven > 2000);
  const controller = new AbortController();
  const cancelled = collectExamples(request, all, {
    signal: controller.signal,
    onProgress: () => controller.abort(),
  });
  await assert.rejects(cancelled, { name: 'AbortError' });
});

test('texts without words, and more than makes sense, are refused with a reason', async () => {
  const all = await parts();
  const request = { pair, features: [], maxTokens: 1000, device: 'cpu' as const };
  const refused = (texts: CollectRequest['texts'], code: string) =>
    assert.rejects(collectExamples({ ...request, texts }, all), (error: UserError) => {
      assert.ok(error instanceof UserError);
      assert.equal(error.code, code);
      return true;
    });
  await refused([{ name: 'empty', text: '' }], 'ownText.empty');
  await refused([{ name: 'huge', text: 'a'.repeat(8_000_001) }], 'ownText.tooMuch');
});

test('a tally of a long stream keeps its strongest places, a fair sample, and no repetitions', () => {
  const tally = new FeatureTally(0, 0);
  for (let window = 0; window < 2000; window++) {
    tally.fires(3, 1 + window / 1000);
    tally.endWindow([0, window, 7, 8, 9], 1);
    // The same words again, weaker.
    tally.fires(3, 0.5);
    tally.endWindow([0, window, 7, 8, 9], 1);
  }
  const { quantiles, activationFrequency, quantileValues, activationMax } = tally.finish(8000, String);
  assert.equal(activationFrequency, 0.5);
  assert.equal(activationMax, 1 + 1999 / 1000);
  const [top, ...thirds] = quantiles;
  assert.deepEqual(
    top.examples.map(({ tokens, peak }) => [tokens[0], peak]),
    Array.from({ length: 8 }, (_, place) => [String(1999 - place), 2]),
  );
  assert.deepEqual(
    thirds.map(({ name }) => name),
    ['Upper third', 'Middle third', 'Lower third'],
  );
  assert.ok(Math.abs(quantileValues[24] - 0.5) < 0.01, 'a quarter and more of the activations are the weak ones');
  assert.ok(
    Math.abs(quantileValues[74] - 2) < 0.15,
    `three quarters lie below 2, the sample says ${quantileValues[74]}`,
  );
});
