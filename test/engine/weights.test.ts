import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { weightsOf } from '../../src/engine/loaded.ts';
import { loadModel } from '../../src/engine/model/loadModel.ts';
import { Transformer } from '../../src/engine/model/transformer.ts';
import { weightStamp } from '../../src/engine/model/weightStamp.ts';
import { widenBrainFloats, widenHalfFloats } from '../../src/engine/runtime/widen.ts';
import { weightsDifference, weightsText } from '../../src/graph/weights.ts';
import { closeTo } from '../support/closeTo.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

const sample = path.join(import.meta.dirname, '../fixtures/sample-pair');
const pair = { model: path.join(sample, 'model'), transcoders: path.join(sample, 'transcoders') };

test('the same weights have one stamp wherever they lie; other weights of the same size have another', async () => {
  await using place = await temporaryFolder();
  const then = weightsOf(pair);
  const copy = path.join(place.path, 'copy');
  fs.cpSync(pair.model, copy, { recursive: true });
  assert.equal(weightsDifference(then, weightsOf({ ...pair, model: copy })), null);
  const file = path.join(copy, 'model.safetensors');
  const bytes = fs.readFileSync(file);
  // Training moves every number: any sample shows it.
  const values = bytes.subarray(Math.floor(bytes.length / 2));
  for (let i = 0; i < values.length; i += 2) values[i] ^= 1;
  fs.writeFileSync(file, bytes);
  const now = weightsOf({ ...pair, model: copy });
  assert.notEqual(now.model.fingerprint, then.model.fingerprint);
  assert.match(weightsDifference(then, now)!, /^the model is [0-9a-f]{7}, not [0-9a-f]{7}$/);
  assert.match(weightsText(now), /^model [0-9a-f]{7}, transcoders [0-9a-f]{7}$/);
  assert.match(weightsDifference(then, { ...then, transcoders: null })!, /^the transcoder set is none, not /);
});

test('a run that reads its weights ahead gives what one with weights in memory gives, after a cancelled one too', async () => {
  using held = await loadModel(pair.model);
  using read = await loadModel(pair.model, { heldBytes: 0 });
  const ids = [2, 5, 7, 11];
  const expected = await held.forward(ids, { logits: 'last' });
  for (let stopAt = 1; stopAt < held.dimensions.nLayers; stopAt++) {
    const abort = new AbortController();
    const onProgress = (done: number) => {
      if (done === stopAt) abort.abort();
    };
    await assert.rejects(read.forward([3, 4, 5], { logits: 'last', signal: abort.signal, onProgress }), /abort/i);
    // Another length each time: nothing is remembered of the run before.
    const some = ids.slice(0, 1 + (stopAt % ids.length));
    const whole = await held.forward(some, { logits: 'last' });
    const { logits } = await read.forward(some, { logits: 'last' });
    assert.equal(logits.length, whole.logits.length);
    logits.forEach((value, id) => {
      closeTo(value, whole.logits[id], 1e-4, `logit ${id}`);
    });
  }
  const { logits } = await read.forward(ids, { logits: 'last' });
  logits.forEach((value, id) => {
    closeTo(value, expected.logits[id], 1e-4, `logit ${id}`);
  });
});

test('the unembedding comes in parts that are right while the next is read, after breaking off too', async () => {
  using model = await loadModel(pair.model, { heldBytes: 0 });
  assert.ok(model instanceof Transformer);
  const { weights } = model;
  const whole = weights.model('unembedding');
  const width = model.dimensions.dModel;
  for (const rowsAtOnce of [50, model.dimensions.dVocab]) {
    for await (const { from } of weights.unembedding(rowsAtOnce)) if (from >= 3 * rowsAtOnce) break;
    let rows = 0;
    for await (const { tensor, type, from, to } of weights.unembedding(rowsAtOnce)) {
      assert.equal(from, rows);
      assert.ok(to - from <= rowsAtOnce);
      // As long as a product takes: what is read next must not be seen.
      await new Promise((resolve) => setTimeout(resolve, 1));
      const values = new Float32Array((to - from) * width);
      if (type === 'float32') values.set(tensor.data as Float32Array);
      else (type === 'bfloat16' ? widenBrainFloats : widenHalfFloats)(tensor.data as Uint16Array, values);
      assert.deepEqual(values, whole.slice(from * width, to * width));
      rows = to;
    }
    assert.equal(rows, model.dimensions.dVocab);
  }
});

test('weights in a hub cache are called by their commit', async () => {
  await using place = await temporaryFolder();
  const commit = '0123456789abcdef0123456789abcdef01234567';
  const folder = path.join(place.path, 'models--owner--name', 'snapshots', commit, 'sub');
  fs.mkdirSync(folder, { recursive: true });
  const file = path.join(folder, 'model.safetensors');
  fs.writeFileSync(file, 'weights');
  assert.equal(weightStamp(folder, [file]).revision, commit);
  assert.equal(weightStamp(place.path, [file]).revision, null);
  assert.equal(weightsText({ model: weightStamp(folder, [file]), transcoders: null }), 'model 0123456');
});
