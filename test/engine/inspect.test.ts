import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { Attributor } from '../../src/engine/attribution/attribute.ts';
import { inspectActivations } from '../../src/engine/attribution/inspect.ts';
import { loadModel } from '../../src/engine/model/loadModel.ts';
import { softmax } from '../../src/engine/model/sample.ts';
import { loadTokenizer } from '../../src/engine/model/tokenizer.ts';
import { loadTranscoders } from '../../src/engine/transcoders/load.ts';
import type { InspectRequest } from '../../src/protocol/engine.ts';
import { UserError } from '../../src/protocol/errors.ts';

const pair = path.join(import.meta.dirname, '../fixtures/sample-pair');
const prompt = { type: 'text', text: 'The capital of the state containing Dallas is' } as const;
const request: InspectRequest = {
  pair: { model: path.join(pair, 'model'), transcoders: path.join(pair, 'transcoders') },
  prompt,
  positions: [8, 8],
  topFeatures: 5,
  topTokens: 3,
  device: 'cpu',
};

async function parts() {
  const model = await loadModel(request.pair.model, { device: 'cpu' });
  const attributor = new Attributor(model, loadTranscoders(request.pair.transcoders!, model.dimensions));
  const tokenizer = await loadTokenizer(request.pair.model);
  return { model, tokenizer, attributor, label: (layer: number, feature: number) => `${layer}/${feature}` };
}

test('the lens after the last layer says what the model says, and lengths add up as the stream does', async () => {
  const all = await parts();
  const { tokens, first, columns } = await inspectActivations(request, all);
  const [layers] = columns;
  assert.equal(tokens[first].text, ' is');
  assert.equal(columns.length, 1);
  assert.equal(layers.length, 4);
  assert.equal(layers[3].lens[0].text, ' Austin');
  assert.ok(Math.abs(layers[3].lens[0].probability - 0.9994) < 1e-3);
  for (const { residNorm, attentionNorm, mlpNorm, errorNorm, features, activeFeatures } of layers) {
    for (const norm of [residNorm, attentionNorm, mlpNorm]) assert.ok(norm > 0 && Number.isFinite(norm));
    assert.ok(errorNorm !== null && errorNorm < mlpNorm, 'the transcoder explains a part of the MLP');
    assert.ok(features.length === Math.min(5, activeFeatures) && activeFeatures > 0);
    const activations = features.map(({ activation }) => activation);
    assert.deepEqual(
      activations,
      activations.toSorted((a, b) => b - a),
    );
  }
  assert.match(layers[0].features[0].label, /^0\/\d+$/);
});

test('the counts of active features over all positions are those of the trace', async () => {
  const all = await parts();
  let active = 0;
  const { first, columns } = await inspectActivations({ ...request, positions: null }, all);
  assert.equal(first, 0);
  assert.equal(columns.length, 9);
  for (const [pos, layers] of columns.entries()) {
    for (const layer of layers) active += layer.activeFeatures;
    if (pos === 0) assert.ok(layers.every(({ errorNorm }) => errorNorm === 0 || errorNorm === null));
  }
  assert.equal(active, 550);
});

test('a model without transcoders is inspected without features and errors', async () => {
  const all = await parts();
  const { columns } = await inspectActivations(request, { ...all, attributor: null });
  const [layers] = columns;
  assert.ok(layers.every(({ features, errorNorm }) => features.length === 0 && errorNorm === null));
  assert.equal(layers[3].lens[0].text, ' Austin');
});

test('a position outside the prompt is refused with its length', async () => {
  const all = await parts();
  const refused = (positions: readonly [number, number], message: RegExp) =>
    assert.rejects(inspectActivations({ ...request, positions }, all), (error: UserError) => {
      assert.ok(error instanceof UserError);
      assert.match(error.message, message);
      return true;
    });
  await refused([8, 9], /9 tokens, 0 to 8/);
  await refused([4, 3], /4 to 3/);
});

test('the last layer of every column is what the model says at that token, and columns do not depend on each other', async () => {
  const all = await parts();
  const { tokens, columns } = await inspectActivations({ ...request, positions: null }, all);
  const ids = tokens.map(({ id }) => id);
  const { logits } = await all.model.forward(ids, { logits: 'all' });
  const { dVocab } = all.model.dimensions;
  for (const [pos, layers] of columns.entries()) {
    const probabilities = softmax(logits.subarray(pos * dVocab, (pos + 1) * dVocab));
    const best = probabilities.indexOf(Math.max(...probabilities));
    const [top] = layers.at(-1)!.lens;
    assert.equal(top.id, best);
    assert.ok(Math.abs(top.probability - probabilities[best]) < 1e-5, `${top.probability} at ${pos}`);
  }
  const alone = await inspectActivations({ ...request, positions: [5, 5] }, all);
  assert.deepEqual(alone.columns[0], columns[5]);
});

test('norms are lengths of the very vectors that the forward pass leaves', async () => {
  const all = await parts();
  const { tokens, columns } = await inspectActivations({ ...request, positions: null }, all);
  const run = await all.model.forward(
    tokens.map(({ id }) => id),
    { logits: 'none' },
  );
  const { dModel } = all.model.dimensions;
  const length = (values: Float32Array, pos: number) =>
    Math.hypot(...values.subarray(pos * dModel, (pos + 1) * dModel));
  for (const [pos, layers] of columns.entries()) {
    assert.ok(Math.abs(layers[0].residNorm - length(run.tokenVectors, pos)) < 1e-4);
    for (const { layer, mlpNorm } of layers) {
      assert.ok(Math.abs(mlpNorm - length(run.layers[layer].mlpAdded, pos)) < 1e-4);
    }
  }
});
