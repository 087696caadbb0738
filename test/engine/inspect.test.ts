import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { Attributor } from '../../src/engine/attribution/attribute.ts';
import { inspectActivations } from '../../src/engine/attribution/inspect.ts';
import { loadModel } from '../../src/engine/model/loadModel.ts';
import { loadTokenizer } from '../../src/engine/model/tokenizer.ts';
import { loadTranscoders } from '../../src/engine/transcoders/load.ts';
import type { InspectRequest } from '../../src/protocol/engine.ts';
import { UserError } from '../../src/protocol/errors.ts';

const pair = path.join(import.meta.dirname, '../fixtures/sample-pair');
const prompt = { type: 'text', text: 'The capital of the state containing Dallas is' } as const;
const request: InspectRequest = {
  pair: { model: path.join(pair, 'model'), transcoders: path.join(pair, 'transcoders') },
  prompt,
  pos: 8,
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
  const { layers, token } = await inspectActivations(request, all);
  assert.equal(token.text, ' is');
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
  for (let pos = 0; pos < 9; pos++) {
    const { layers } = await inspectActivations({ ...request, pos }, all);
    for (const layer of layers) active += layer.activeFeatures;
    if (pos === 0) assert.ok(layers.every(({ errorNorm }) => errorNorm === 0 || errorNorm === null));
  }
  assert.equal(active, 550);
});

test('a model without transcoders is inspected without features and errors', async () => {
  const all = await parts();
  const { layers } = await inspectActivations(request, { ...all, attributor: null });
  assert.ok(layers.every(({ features, errorNorm }) => features.length === 0 && errorNorm === null));
  assert.equal(layers[3].lens[0].text, ' Austin');
});

test('a position outside the prompt is refused with its length', async () => {
  const all = await parts();
  await assert.rejects(inspectActivations({ ...request, pos: 9 }, all), (error: UserError) => {
    assert.ok(error instanceof UserError);
    assert.match(error.message, /9 tokens, 0 to 8/);
    return true;
  });
});
