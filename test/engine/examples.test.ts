import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { hasExamples, readExampleIndex, readFeatureExamples } from '../../src/engine/transcoders/examples.ts';
import { readLabels } from '../../src/engine/transcoders/labels.ts';
import { wholeCharacters } from '../../src/engine/transcoders/tokenEscapes.ts';
import { pairFeature } from '../../src/graph/featureNumber.ts';
import { UserError } from '../../src/protocol/errors.ts';

const builtIn = path.join(import.meta.dirname, '..', '..', 'media', 'built-in-model', 'per-layer');

function feature(index: number): object {
  return {
    index,
    examples_quantiles: [
      {
        quantile_name: 'Top activations',
        examples: [
          { tokens: ['a', ' b', '\\xe2\\x82', '\\xac'], tokens_acts_list: [0, index + 0.5], train_token_ind: 1 },
        ],
      },
    ],
    top_logits: [' x'],
    bottom_logits: [' y'],
    act_min: 0,
    act_max: index,
    quantile_values: [0.1, 0.2],
    histogram: [3, 2, 1],
    activation_frequency: 0.25,
  };
}

function record(value: unknown): Buffer {
  const packed = gzipSync(JSON.stringify(value));
  const length = Buffer.alloc(4);
  length.writeUInt32LE(packed.length);
  return Buffer.concat([length, packed]);
}

/** A set's folder with examples of three features of layer 2, the second of which has none; gone after the test. */
function setFolder(t: TestContext, change: (index: Record<string, unknown>) => unknown = (index) => index): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'examples-'));
  t.after(() => rmSync(folder, { recursive: true }));
  mkdirSync(path.join(folder, 'features'));
  const records = [record(feature(0)), Buffer.alloc(0), record(feature(2))];
  const offsets = [0];
  for (const bytes of records) offsets.push(offsets[offsets.length - 1] + bytes.length);
  writeFileSync(path.join(folder, 'features', 'layer_2.bin'), Buffer.concat(records));
  const index = change({ 2: { filename: 'layer_2.bin', offsets } });
  writeFileSync(path.join(folder, 'features', 'index.json.gz'), gzipSync(JSON.stringify(index)));
  return folder;
}

function checkDamaged(read: () => unknown, words: RegExp): void {
  assert.throws(
    read,
    (error) => error instanceof UserError && error.code === 'examples.damaged' && words.test(error.message),
  );
}

test('the examples of a feature are read from its range of the file of its layer', (t) => {
  const folder = setFolder(t);
  assert.equal(hasExamples(folder), true);
  assert.deepEqual(readFeatureExamples(folder, 2, 2), {
    quantiles: [
      { name: 'Top activations', examples: [{ tokens: ['a', ' b', '€', ''], activations: [0, 2.5, 0, 0], peak: 1 }] },
    ],
    topLogits: [' x'],
    bottomLogits: [' y'],
    activationFrequency: 0.25,
    histogram: [3, 2, 1],
    quantileValues: [0.1, 0.2],
    activationMin: 0,
    activationMax: 2,
  });
});

test('features, layers and sets without examples have none', (t) => {
  const folder = setFolder(t);
  assert.equal(readFeatureExamples(folder, 2, 1), null);
  assert.equal(readFeatureExamples(folder, 2, 3), null);
  assert.equal(readFeatureExamples(folder, 0, 0), null);
  assert.equal(hasExamples(path.join(folder, 'features')), false);
  assert.equal(readFeatureExamples(path.join(folder, 'features'), 2, 0), null);
});

test('single files are found by the number of the feature', (t) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'examples-'));
  t.after(() => rmSync(folder, { recursive: true }));
  mkdirSync(path.join(folder, 'features'));
  assert.equal(hasExamples(folder), false);
  writeFileSync(path.join(folder, 'features', `${pairFeature(3, 7)}.json`), JSON.stringify(feature(7)));
  assert.equal(hasExamples(folder), true);
  assert.equal(readFeatureExamples(folder, 3, 7)?.activationMax, 7);
});

test('damaged and hostile example files are refused with a reason', (t) => {
  const entry = (offsets: unknown, filename: unknown = 'layer_2.bin') =>
    setFolder(t, () => ({ 2: { filename, offsets } }));
  checkDamaged(() => readExampleIndex(entry([0, 10], '../../secret')), /no plain file/);
  checkDamaged(() => readExampleIndex(entry([0, 10], '/etc/passwd')), /no plain file/);
  checkDamaged(() => readExampleIndex(entry([10, 0])), /do not ascend/);
  checkDamaged(() => readExampleIndex(entry([0, -1])), /do not ascend/);
  checkDamaged(() => readExampleIndex(entry([0, 0.5])), /do not ascend/);
  checkDamaged(() => readExampleIndex(entry('all'))!, /no offsets/);
  checkDamaged(() => readExampleIndex(setFolder(t, () => ({ __proto__x: {} }))), /an entry/);
  checkDamaged(() => readFeatureExamples(entry([0, 1e9]), 2, 0), /1000000000 bytes/);
  checkDamaged(() => readFeatureExamples(entry([1e6, 1e6 + 100]), 2, 0), /ends inside/);
  checkDamaged(() => readFeatureExamples(entry([1, 200]), 2, 0), /ends inside|gzip/);
  checkDamaged(() => readFeatureExamples(entry([0, 100], 'gone.bin'), 2, 0), /gone.bin is missing/);
  const noZip = setFolder(t);
  writeFileSync(path.join(noZip, 'features', 'index.json.gz'), 'plain');
  checkDamaged(() => readExampleIndex(noZip), /not gzip/);
});

test('whatever bytes an example file has, reading it gives examples, none, or a reason', (t) => {
  const folder = setFolder(t);
  const file = path.join(folder, 'features', 'layer_2.bin');
  const whole = readFileSync(file);
  const index = readExampleIndex(folder);
  const place = fc.nat(whole.length - 1);
  const spoilt = fc.oneof(
    fc.uint8Array({ maxLength: 200 }),
    place.map((end) => whole.subarray(0, end)),
    fc.tuple(place, fc.nat(255)).map(([at, byte]) => {
      const bytes = Uint8Array.from(whole);
      bytes[at] = byte;
      return bytes;
    }),
    fc.jsonValue().map((value) => record(value)),
  );
  fc.assert(
    fc.property(spoilt, fc.constantFrom(0, 2), (bytes, feature) => {
      writeFileSync(file, bytes);
      try {
        readFeatureExamples(folder, 2, feature, index);
      } catch (error) {
        if (!(error instanceof UserError)) throw error;
      }
    }),
    { numRuns: 300 },
  );
  mkdirSync(path.join(folder, 'features', 'sub'));
  const inFolder = new Map([[2, { filename: 'sub', offsets: Float64Array.of(0, 100) }]]);
  checkDamaged(() => readFeatureExamples(folder, 2, 0, inFolder), /sub is missing/);
});

test('a small file that unpacks to a huge one is refused before it fills the memory', (t) => {
  const folder = setFolder(t);
  const bomb = gzipSync(Buffer.alloc(64 * 2 ** 20, 32));
  const length = Buffer.alloc(4);
  length.writeUInt32LE(bomb.length);
  writeFileSync(path.join(folder, 'features', 'layer_2.bin'), Buffer.concat([length, bomb]));
  const index = new Map([[2, { filename: 'layer_2.bin', offsets: Float64Array.of(0, bomb.length + 4) }]]);
  checkDamaged(() => readFeatureExamples(folder, 2, 0, index), /more than 32 MB/);
});

test('fields of the wrong shape are left out of a card', (t) => {
  const folder = setFolder(t);
  const odd = {
    examples_quantiles: [3, { examples: [null, { tokens: [1, 'b'], tokens_acts_list: 'x', train_token_ind: 9 }] }],
    top_logits: [1, 'z'],
    histogram: {},
    act_min: '0',
  };
  writeFileSync(path.join(folder, 'features', `${pairFeature(0, 0)}.json`), JSON.stringify(odd));
  assert.deepEqual(readFeatureExamples(folder, 0, 0), {
    quantiles: [{ name: '', examples: [{ tokens: ['', 'b'], activations: [0, 0], peak: null }] }],
    topLogits: ['z'],
    bottomLogits: [],
    activationFrequency: null,
    histogram: [],
    quantileValues: [],
    activationMin: null,
    activationMax: null,
  });
});

test('escaped bytes become characters where neighbours make one together, and stay escaped otherwise', () => {
  assert.deepEqual(wholeCharacters(['caf\\xc3', '\\xa9', '!']), ['café', '', '!']);
  assert.deepEqual(wholeCharacters(['\\xf0\\x9f', '\\x98', '\\x80\\xff']), ['😀', '', '\\xff']);
  assert.deepEqual(wholeCharacters(['\\xc3', 'x', '\\xa9']), ['\\xc3', 'x', '\\xa9']);
  assert.deepEqual(wholeCharacters(['plain', '\\n']), ['plain', '\\n']);
});

test('the built-in model has examples and a label with its source for features of every layer', () => {
  const index = readExampleIndex(builtIn);
  const labels = readLabels(builtIn);
  for (const layer of index?.keys() ?? assert.fail('no index')) {
    const examples = readFeatureExamples(builtIn, layer, 0, index);
    assert.ok(examples && examples.topLogits.length > 0);
    assert.ok(labels.some((label) => label.layer === layer && label.source !== ''));
  }
});

test('labels without a feature are left out, and long ones are cut', (t) => {
  const folder = setFolder(t);
  assert.deepEqual(readLabels(folder), []);
  const labels = [
    { layer: 1, feature: 2, label: ' says hello ', source: 'examples' },
    { layer: -1, feature: 2, label: 'x' },
    { layer: 1, feature: 'two', label: 'x' },
    { layer: 1, feature: 3, label: '' },
    null,
    { layer: 1, feature: 4, label: 'l'.repeat(10_000) },
  ];
  writeFileSync(path.join(folder, 'labels.json'), JSON.stringify({ version: 1, labels }));
  const [first, second] = readLabels(folder);
  assert.deepEqual(first, { layer: 1, feature: 2, label: 'says hello', source: 'examples' });
  assert.deepEqual([second.feature, second.label.length, second.source], [4, 500, '']);
  writeFileSync(path.join(folder, 'labels.json'), '{"labels": 3}');
  assert.deepEqual(readLabels(folder), []);
});
