// The built-in model's files and its measured figures. The figures come from training/report.json, which
// `python media/built-in-model/training/report.py` writes; here they are held against what they were built for.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';

const folder = fileURLToPath(new URL('../../media/built-in-model/', import.meta.url));
const sets = ['per-layer', 'cross-layer'];

type Figure = { section: string; name: string; value: number; target?: string; met?: boolean };
type Report = {
  figures: Figure[];
  files: Record<string, string>;
  samples: { prompt: string; answer: string; 'is right': boolean }[];
};

const readJson = <T>(...parts: string[]) => JSON.parse(readFileSync(path.join(folder, ...parts), 'utf8')) as T;
const report = readJson<Report>('training', 'report.json');

const lineName = (figure: Figure) => `${figure.section}: ${figure.name}`;

function figure(section: string, name: string): number {
  const line = report.figures.find((each) => each.section === section && each.name === name);
  assert.ok(line, `the report has no figure “${section}: ${name}”`);
  return line.value;
}

test('every measured figure meets its target', () => {
  const missed = report.figures.filter((line) => line.met === false).map(lineName);
  assert.ok(report.figures.filter((line) => line.target).length > 100, 'the report holds its figures');
  assert.deepEqual(missed, []);
});

test('a figure is marked as met exactly when it is', () => {
  for (const line of report.figures) {
    if (!line.target) continue;
    const [sign, limit] = line.target.split(' ');
    const isMet = sign === '>=' ? line.value >= Number(limit) : line.value <= Number(limit);
    assert.equal(line.met, isMet, lineName(line));
  }
});

test('the report was measured on the files that are here', () => {
  for (const [file, hash] of Object.entries(report.files)) {
    const actual = createHash('sha256')
      .update(readFileSync(path.join(folder, file)))
      .digest('hex');
    assert.equal(actual, hash, `${file} has changed since the report was made: run training/report.py`);
  }
});

test('the two-step circuit is there: state features, swapped by intervention, and a control that moves nothing', () => {
  for (const set of sets) {
    assert.equal(figure(`two steps, ${set}`, 'control: pairs of 20 moved by features of no state, strength ×1'), 0);
    assert.ok(
      figure(`two steps, ${set}`, "share of the first hop that passes through the features at the city's token") > 0.5,
    );
  }
});

test('everything that ships stays within 20 MB', () => {
  let bytes = 0;
  for (const part of ['model', ...sets]) {
    for (const file of readdirSync(path.join(folder, part), { recursive: true, withFileTypes: true })) {
      if (file.isFile()) bytes += statSync(path.join(file.parentPath, file.name)).size;
    }
  }
  assert.ok(bytes <= 20e6, `${(bytes / 1e6).toFixed(1)} MB`);
});

type TensorHeader = Record<string, { dtype: string; shape: number[] }>;

function tensorsOf(file: string): TensorHeader {
  const data = readFileSync(file);
  const header = JSON.parse(data.subarray(8, 8 + Number(data.readBigUInt64LE(0))).toString('utf8'));
  delete header.__metadata__;
  return header;
}

type ModelConfig = { num_hidden_layers: number; hidden_size: number; vocab_size: number; bos_token_id: number };

test('the model is a Hugging Face folder of half-precision Llama weights', () => {
  const config = readJson<ModelConfig>('model', 'config.json');
  const tensors = tensorsOf(path.join(folder, 'model', 'model.safetensors'));
  assert.equal(config.bos_token_id, 0);
  assert.deepEqual(tensors['model.embed_tokens.weight'].shape, [config.vocab_size, config.hidden_size]);
  assert.ok(Object.values(tensors).every((tensor) => tensor.dtype === 'F16'));
  const tokenizer = readJson<{ model: { vocab: Record<string, number> } }>('model', 'tokenizer.json');
  assert.equal(tokenizer.model.vocab['<bos>'], 0);
  assert.equal(Object.keys(tokenizer.model.vocab).length, config.vocab_size);
});

test('the per-layer set has every layer in the published layout', () => {
  const config = readJson<ModelConfig>('model', 'config.json');
  for (let layer = 0; layer < config.num_hidden_layers; layer++) {
    const tensors = tensorsOf(path.join(folder, 'per-layer', `layer_${layer}.safetensors`));
    const [features, dModel] = tensors.W_enc.shape;
    assert.equal(dModel, config.hidden_size);
    assert.deepEqual(tensors.W_dec.shape, [features, dModel]);
    assert.deepEqual(tensors.b_enc.shape, [features]);
    assert.deepEqual(tensors.b_dec.shape, [dModel]);
    assert.deepEqual(tensors['activation_function.threshold'].shape, [features]);
  }
});

test('the cross-layer set writes from every layer to all from there on', () => {
  const config = readJson<ModelConfig>('model', 'config.json');
  const nLayers = config.num_hidden_layers;
  for (let layer = 0; layer < nLayers; layer++) {
    const encoder = tensorsOf(path.join(folder, 'cross-layer', `W_enc_${layer}.safetensors`));
    const decoder = tensorsOf(path.join(folder, 'cross-layer', `W_dec_${layer}.safetensors`));
    const [features, dModel] = encoder[`W_enc_${layer}`].shape;
    assert.deepEqual(decoder[`W_dec_${layer}`].shape, [features, nLayers - layer, dModel]);
    assert.deepEqual(encoder[`threshold_${layer}`].shape, [features]);
    assert.deepEqual(encoder[`b_dec_${layer}`].shape, [dModel]);
  }
});

type FeatureIndex = Record<string, { filename: string; offsets: number[] }>;
type FeatureRecord = {
  index: number;
  examples_quantiles: { quantile_name: string; examples: { tokens: string[]; tokens_acts_list: number[] }[] }[];
  quantile_values: number[];
  histogram: number[];
  top_logits: string[];
  bottom_logits: string[];
  act_max: number;
  activation_frequency: number;
};

for (const set of sets) {
  test(`every live feature of the ${set} set has examples, quantiles, a histogram and logits`, () => {
    const features = path.join(folder, set, 'features');
    const index: FeatureIndex = JSON.parse(gunzipSync(readFileSync(path.join(features, 'index.json.gz'))).toString());
    let records = 0;
    for (const { filename, offsets } of Object.values(index)) {
      const data = readFileSync(path.join(features, filename));
      assert.equal(offsets.at(-1), data.length);
      for (let feature = 0; feature + 1 < offsets.length; feature++) {
        if (offsets[feature] === offsets[feature + 1]) continue;
        const length = data.readUInt32LE(offsets[feature]);
        assert.equal(offsets[feature] + 4 + length, offsets[feature + 1]);
        const record: FeatureRecord = JSON.parse(
          gunzipSync(data.subarray(offsets[feature] + 4, offsets[feature + 1])).toString(),
        );
        records += 1;
        assert.equal(record.index, feature);
        assert.equal(record.quantile_values.length, 100);
        assert.ok(record.histogram.length > 0 && record.top_logits.length > 0 && record.bottom_logits.length > 0);
        assert.ok(record.act_max > 0 && record.activation_frequency > 0);
        const examples = record.examples_quantiles.flatMap((quantile) => quantile.examples);
        assert.ok(examples.length > 0);
        for (const { tokens, tokens_acts_list } of examples) assert.equal(tokens.length, tokens_acts_list.length);
      }
    }
    assert.ok(records > 1000);
  });

  test(`every label of the ${set} set names a feature that has examples and says what it was made from`, () => {
    const { version, labels } = readJson<{
      version: number;
      labels: { layer: number; feature: number; label: string; source: string }[];
    }>(set, 'labels.json');
    const index: FeatureIndex = JSON.parse(
      gunzipSync(readFileSync(path.join(folder, set, 'features', 'index.json.gz'))).toString(),
    );
    assert.equal(version, 1);
    assert.ok(labels.length > 500);
    for (const { layer, feature, label, source } of labels) {
      const { offsets } = index[layer];
      assert.ok(offsets[feature + 1] > offsets[feature], `${layer}/${feature}`);
      assert.ok(label && source.startsWith('made from'));
    }
  });
}

test('the prompts that the sample files show get the answer that the files say', () => {
  const isRight = new Map(report.samples.map((sample) => [sample.prompt, sample['is right']]));
  for (const prompt of ['The capital of the state containing Dallas is', 'The currency of Japan is the']) {
    assert.equal(isRight.get(prompt), true, prompt);
  }
});
