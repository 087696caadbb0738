import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { patternBlock, wholePattern } from '../../src/engine/model/attentionBlocks.ts';
import type { ForwardResult, LanguageModel, LayerCapture } from '../../src/engine/model/languageModel.ts';
import { loadModel } from '../../src/engine/model/loadModel.ts';
import { checkClose, concatenated, floats, integers, SafetensorsFile } from '../support/tensors.ts';

const goldens = path.join(import.meta.dirname, '../fixtures/goldens');
const names = (JSON.parse(fs.readFileSync(path.join(goldens, 'index.json'), 'utf8')) as { cases: { name: string }[] })
  .cases;

type Case = {
  readonly model: string;
  readonly token_ids: number[];
  readonly feature_input_hook: string;
  readonly feature_output_hook: string;
  readonly same_golden_as?: string;
};

for (const { name } of names) {
  test(`the forward pass of ${name} agrees with the reference layer by layer`, async () => {
    const folder = path.join(goldens, name);
    const golden = JSON.parse(fs.readFileSync(path.join(folder, 'case.json'), 'utf8')) as Case;
    using model = await loadModel(path.join(folder, golden.model));
    const run = await model.forward(golden.token_ids, { logits: 'all' });
    using file = new SafetensorsFile(path.join(folder, golden.same_golden_as ?? '.', 'golden.safetensors'));
    for (const key of ['token_vectors', 'feature_input', 'feature_output', 'logits']) {
      if (!file.tensors.has(key)) continue; // the one-position case has logits only
      checkClose(key, tensorAt(model, run, golden, key), floats(file, key), 1e-4);
    }
  });
}

function tensorAt(model: LanguageModel, run: ForwardResult, golden: Case, key: string): Float32Array {
  if (key === 'token_vectors') {
    // The reference multiplies Gemma 2's rows by √dModel after the place where it records them, Gemma 3's before.
    const factor = model.dimensions.family === 'Gemma 2' ? Math.sqrt(model.dimensions.dModel) : 1;
    return run.tokenVectors.map((value) => value / factor);
  }
  if (key === 'logits') return run.logits;
  if (key === 'feature_input') {
    return concatenated(run.layers.map((_, layer) => tapped(model, run, layer, golden.feature_input_hook)));
  }
  return concatenated(
    run.layers.map((layer) => (golden.feature_output_hook === 'mlp.hook_out' ? layer.mlpOut : layer.mlpAdded)),
  );
}

/** What a transcoder reads: the residual stream as it is, normalised, or normalised and multiplied by the gain. */
function tapped(model: LanguageModel, run: ForwardResult, layer: number, hook: string): Float32Array {
  const { residMid, mlpNormScale } = run.layers[layer]!;
  if (hook === 'hook_resid_mid') return residMid;
  const { dModel } = model.dimensions;
  const gain = hook === 'mlp.hook_in' ? model.weights.layer(layer, 'mlpNorm')! : null;
  return residMid.map((value, i) => value * mlpNormScale[Math.floor(i / dModel)]! * (gain?.[i % dModel] ?? 1));
}

test('running a prompt in two parts with a cache gives the logits of one run', async () => {
  for (const name of ['llama-plt-relu', 'gemma3-plt-jumprelu', 'gpt-oss-clt']) {
    using model = await loadModel(path.join(goldens, name, 'model'));
    const ids = [5, 80, 200, 7, 33, 90, 12, 64];
    const whole = await model.forward(ids, { logits: 'all' });
    const cache = model.createCache();
    const parts: Float32Array[] = [];
    for (const part of [ids.slice(0, 5), ids.slice(5, 6), ids.slice(6)]) {
      parts.push((await model.forward(part, { logits: 'all', cache })).logits);
    }
    assert.equal(cache.length, ids.length);
    checkClose(name, concatenated(parts), whole.logits, 1e-5);
  }
});

const families = path.join(import.meta.dirname, '../fixtures/families');
for (const name of ['mistral', 'qwen2', 'llama-shards', 'gemma3-multimodal', 'gpt-oss-mxfp4']) {
  test(`the forward pass of ${name} agrees with PyTorch layer by layer`, async () => {
    using model = await loadModel(path.join(families, name));
    using reference = new SafetensorsFile(path.join(families, name, 'reference.safetensors'));
    const run = await model.forward(integers(reference, 'token_ids'), { logits: 'all' });
    checkClose('resid_mid', concatenated(run.layers.map((l) => l.residMid)), floats(reference, 'resid_mid'), 1e-4);
    checkClose('mlp_out', concatenated(run.layers.map((l) => l.mlpAdded)), floats(reference, 'mlp_out'), 1e-4);
    checkClose('logits', run.logits, floats(reference, 'logits'), 1e-4);
  });
}

/** Compares all that a layer leaves but its pattern's block function. */
function checkCapture(
  place: string,
  { attnFactors: _, ...got }: LayerCapture,
  { attnFactors: __, ...wanted }: LayerCapture,
): void {
  for (const [key, values] of Object.entries(wanted)) {
    const own = got[key as keyof typeof wanted];
    assert.equal(own === null, values === null, `${place} ${key}`);
    if (own && values) checkClose(`${place} ${key}`, own, values, 2e-5);
  }
}

for (const name of ['llama-plt-relu', 'gemma2-plt-jumprelu', 'gemma3-plt-jumprelu', 'gpt-oss-clt']) {
  test(`on ${name} a prompt that begins like the one before leaves what a run of its own leaves`, async () => {
    const folder = path.join(goldens, name, 'model');
    using warm = await loadModel(folder);
    const newPattern = (length: number) => new Float32Array(new SharedArrayBuffer(length * 4));
    let before: number[] = [];
    for (const [shared, nNew] of [
      [0, 6],
      [4, 5],
      [9, 1],
      [6, 4],
      [1, 3],
      [4, 1],
      [0, 2],
    ] as const) {
      const ids = [...before.slice(0, shared), ...Array.from({ length: nNew }, (_, i) => 7 * shared + 11 * i + 3)];
      using fresh = await loadModel(folder);
      const [got, expected] = [
        await warm.forward(ids, { logits: 'last', newPattern }),
        await fresh.forward(ids, { logits: 'last' }),
      ];
      // Patterns lie where they were wanted, those of the beginning that is shared too; and other runs can be held to them.
      assert.ok(got.layers.every(({ attnPattern }) => attnPattern.buffer instanceof SharedArrayBuffer));
      const held = await fresh.forward(ids, {
        logits: 'last',
        frozenPatterns: (layer) => got.layers[layer].attnPattern,
      });
      checkClose('logits with patterns held', held.logits, expected.logits, 2e-5);
      const place = `${shared} positions shared, ${nNew} new:`;
      assert.equal(got.nPos, expected.nPos);
      for (const key of ['logits', 'tokenVectors', 'residFinal', 'finalNormScale'] as const) {
        checkClose(`${place} ${key}`, got[key], expected[key], 2e-5);
      }
      for (const [layer, capture] of expected.layers.entries()) {
        checkCapture(`${place} layer ${layer}:`, got.layers[layer], capture);
      }
      assert.equal(await warm.forward(ids, { logits: 'last' }), got, 'the same prompt again is not run again');
      before = ids;
    }
  });
}

for (const name of ['llama-plt-relu', 'qwen3-plt-relu', 'gemma2-plt-jumprelu', 'gemma3-plt-jumprelu', 'gpt-oss-clt']) {
  test(`on ${name} a prompt too long to keep its patterns leaves the same, and makes patterns again in parts`, async () => {
    const folder = path.join(goldens, name, 'model');
    const ids = [5, 80, 200, 7, 33, 90, 12, 64, 3, 41, 160];
    using model = await loadModel(folder);
    const whole = await model.forward(ids, { logits: 'last' });
    const { nHeads } = model.dimensions;
    // Room for the scores of 1, 4 and all 11 positions at a time, but not for all layers' patterns.
    for (const atOnce of [1, 4, 11]) {
      using tight = await loadModel(folder, {
        patternBytes: Math.min(3 * atOnce * nHeads * 11 * 4, whole.layers.length * nHeads * 11 * 11 * 4 - 1),
      });
      const progress: number[] = [];
      const run = await tight.forward(ids, {
        logits: 'last',
        onProgress: (done, total) => progress.push(done / total),
      });
      assert.equal(progress.at(-1), 1);
      assert.deepEqual(
        progress,
        progress.toSorted((a, b) => a - b),
      );
      checkClose('logits', run.logits, whole.logits, 2e-5);
      for (const [layer, { attnPattern: expected, ...capture }] of whole.layers.entries()) {
        const { attnPattern, ...got } = run.layers[layer];
        assert.equal(attnPattern.length, 0);
        checkCapture(`layer ${layer}:`, { ...got, attnPattern: expected }, { ...capture, attnPattern: expected });
        checkClose(`whole pattern of layer ${layer}`, wholePattern(run.layers[layer], 11), expected, 2e-6);
        const [queries, keys] = [
          { from: 3, to: 9 },
          { from: 2, to: 7 },
        ];
        const block = patternBlock(got.attnFactors!, queries, keys);
        for (let head = 0; head < nHeads; head++) {
          for (let query = 3; query < 9; query++) {
            const from = (head * 11 + query) * 11;
            const at = (head * 6 + query - 3) * 5;
            checkClose(
              `block of layer ${layer}`,
              block.subarray(at, at + 5),
              expected.subarray(from + 2, from + 7),
              2e-6,
            );
          }
        }
      }
    }
  });
}
