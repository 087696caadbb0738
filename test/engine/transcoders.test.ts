import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { loadModel } from '../../src/engine/model/loadModel.ts';
import { featureLogits } from '../../src/engine/transcoders/describe.ts';
import { Encoder, joinActive } from '../../src/engine/transcoders/encode.ts';
import { decoderRows, encoderRows } from '../../src/engine/transcoders/featureRows.ts';
import { describeTranscoders, loadTranscoders } from '../../src/engine/transcoders/load.ts';
import type { TranscoderSet } from '../../src/engine/transcoders/transcoder.ts';
import { floats, goldenCases, goldenJson, goldensFolder, goldenTensors, integers } from '../support/goldens.ts';

for (const name of goldenCases('golden.safetensors')) {
  const tensors = goldenTensors(name);
  if (!tensors.has('feature_input')) continue;

  test(`encoders of ${name} turn the reference's input into its active features and reconstruction`, async () => {
    await checkEncoding(name, transcoderFolder(name), tensors);
  });
}

for (const name of goldenCases().filter((each) => goldenJson(each, 'case.json').same_golden_as)) {
  const same = path.basename(String(goldenJson(name, 'case.json').same_golden_as));
  test(`the files of ${name} give the results of ${same}, whose format is another`, async () => {
    await checkEncoding(name, transcoderFolder(name), goldenTensors(same));
  });
}

test('a set says what it is, found by its files and tensor names', () => {
  const described = (name: string) => {
    const { kind, layout, activation, nLayers, featuresPerLayer, hasSkip, inputHook } = describeTranscoders(
      transcoderFolder(name),
    );
    return { kind, layout, activation, nLayers, featuresPerLayer, hasSkip, inputHook };
  };
  const common = { nLayers: 3, featuresPerLayer: 64, hasSkip: false };
  assert.deepEqual(described('llama-plt-topk'), {
    ...common,
    kind: 'per-layer',
    layout: 'circuit-tracer',
    activation: 'topk',
    inputHook: 'mlp.hook_in',
  });
  assert.deepEqual(described('gpt-oss-clt'), {
    ...common,
    featuresPerLayer: 48,
    kind: 'cross-layer',
    layout: 'circuit-tracer',
    activation: 'jumprelu',
    inputHook: 'hook_resid_mid',
  });
  assert.deepEqual(described('gemma2-plt-npz'), {
    ...common,
    nLayers: 4,
    kind: 'per-layer',
    layout: 'Gemma Scope',
    activation: 'jumprelu',
    inputHook: 'ln2.hook_normalized',
  });
  assert.deepEqual(described('gemma3-plt-gs2-skip'), {
    ...common,
    kind: 'per-layer',
    layout: 'Gemma Scope 2',
    activation: 'jumprelu',
    hasSkip: true,
    inputHook: 'mlp.hook_in',
  });
});

test('encoder rows are the same whichever way the matrix is stored', () => {
  using byRows = loadTranscoders(transcoderFolder('gemma2-plt-jumprelu'), null);
  using transposed = loadTranscoders(transcoderFolder('gemma2-plt-npz'), null);
  assert.deepEqual(
    encoderRows(transposed.layers[2].encoder, [0, 5, 63], 32),
    encoderRows(byRows.layers[2].encoder, [0, 5, 63], 32),
  );
});

test('a set for another model is refused with the numbers of both', () => {
  const dimensions = {
    family: 'llama',
    nLayers: 5,
    dModel: 16,
    nHeads: 2,
    nKeyValueHeads: 2,
    dHead: 8,
    dVocab: 10,
    maxPositions: 8,
  };
  assert.throws(() => loadTranscoders(transcoderFolder('llama-plt-relu'), dimensions), {
    name: 'UserError',
    code: 'transcoders.wrongModel',
    message: /3 layers and width 32; this one has 5 layers and width 16/,
  });
});

test("a feature's top and bottom tokens are those its decoder row raises and lowers most", async () => {
  for (const name of ['llama-plt-relu', 'llama-clt-relu']) {
    using model = await loadModel(path.join(goldensFolder, name, 'model'));
    using set = loadTranscoders(transcoderFolder(name), model.dimensions);
    const { top, bottom } = await featureLogits(model, set, 1, 9, 5);
    const { dModel, dVocab } = model.dimensions;
    const gain = model.weights.model('finalNorm');
    const unembedding = model.weights.model('unembedding');
    const effects = Array.from({ length: dVocab }, (_, id) => {
      let sum = 0;
      for (const slot of set.layers[1].slots) {
        decoderRows(slot, [9], dModel).forEach((value, i) => {
          sum += value * gain[i] * unembedding[id * dModel + i];
        });
      }
      return sum;
    });
    const order = [...effects.keys()].sort((a, b) => effects[b] - effects[a]);
    assert.deepEqual(
      top.map(({ id }) => id),
      order.slice(0, 5),
    );
    assert.deepEqual(
      bottom.map(({ id }) => id),
      order.slice(-5).reverse(),
    );
    assert.ok(Math.abs(top[0].effect - effects[order[0]]) < 1e-4);
  }
});

async function checkEncoding(name: string, folder: string, tensors: ReturnType<typeof goldenTensors>): Promise<void> {
  using set = loadTranscoders(folder, null);
  using encoder = new Encoder(set);
  const [nLayers, nPos, dModel] = tensors.get('feature_input')!.shape;
  const input = (layer: number) =>
    floats(tensors, 'feature_input').subarray(layer * nPos * dModel, (layer + 1) * nPos * dModel);
  const zeroed = Number(goldenJson(name, 'case.json').zero_positions);
  const parts = [];
  for (let layer = 0; layer < nLayers; layer++) parts.push(await encoder.activeAt(layer, input(layer), nPos, zeroed));
  const active = joinActive(parts);

  const rows = Array.from(active.layer, (layer, index) => [layer, active.pos[index], active.feature[index]]);
  assert.deepEqual(rows.flat(), [...integers(tensors, 'active_features')]);
  closeTo(active.activation, floats(tensors, 'activation_values'), 1e-4);

  const reconstruction = new Float32Array(nLayers * nPos * dModel);
  for (let layer = 0; layer < nLayers; layer++) {
    for (let pos = 0; pos < nPos; pos++) reconstruction.set(set.decoderBias[layer], (layer * nPos + pos) * dModel);
    const own = reconstruction.subarray(layer * nPos * dModel, (layer + 1) * nPos * dModel);
    await encoder.addSkip(layer, input(layer), nPos, own);
  }
  for (let index = 0; index < active.count; index++) addDecoded(set, active, index, nPos, reconstruction);
  closeTo(reconstruction, floats(tensors, 'reconstruction'), 1e-4);
}

function addDecoded(
  set: TranscoderSet,
  active: ReturnType<typeof joinActive>,
  index: number,
  nPos: number,
  reconstruction: Float32Array,
): void {
  for (const slot of set.layers[active.layer[index]].slots) {
    const row = decoderRows(slot, [active.feature[index]], set.dModel);
    const start = (slot.writeLayer * nPos + active.pos[index]) * set.dModel;
    for (let i = 0; i < set.dModel; i++) reconstruction[start + i] += active.activation[index] * row[i];
  }
}

function transcoderFolder(name: string): string {
  return path.join(goldensFolder, name, String(goldenJson(name, 'case.json').transcoders));
}

function closeTo(got: Float32Array, expected: Float32Array, tolerance: number): void {
  assert.equal(got.length, expected.length);
  for (const [index, value] of got.entries()) {
    assert.ok(Math.abs(value - expected[index]) <= tolerance, `at ${index}: expected ${expected[index]}, got ${value}`);
  }
}
