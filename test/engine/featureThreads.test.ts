import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { AttributionWorkers } from '../../src/engine/attribution/attributionWorkers.ts';
import { FeatureThreads } from '../../src/engine/attribution/featureThreads.ts';
import { findActiveFeatures, rangesToEncode } from '../../src/engine/attribution/sources.ts';
import { decoderRows, encoderRows } from '../../src/engine/transcoders/featureRows.ts';
import { loadTranscoders } from '../../src/engine/transcoders/load.ts';
import { receivedSet, sentSet } from '../../src/engine/transcoders/sentSet.ts';
import { UserError } from '../../src/protocol/errors.ts';
import { closeTo } from '../support/closeTo.ts';
import { goldenJson, goldensFolder } from '../support/goldens.ts';
import { openPair } from '../support/openPrompt.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

const noWait = async () => {};

/** Every layout and activation: ReLU, thresholds, TopK, skip, cross-layer, bfloat16, arrays of NumPy, four special tokens. */
const cases = [
  'llama-plt-relu',
  'llama-plt-topk',
  'llama-plt-skip',
  'llama-plt-bf16',
  'llama-clt-jumprelu',
  'gemma2-plt-npz',
  'gemma2-clt',
  'gemma3-it-plt',
  'gemma3-plt-gs2-skip',
];

for (const name of cases) {
  test(`on ${name} threads find the features, and the graph, that one thread finds`, async () => {
    using here = await openPair(name, undefined, 1);
    using beside = await openPair(name, undefined, 2);
    const expected = await here.attributor.attribute(here.request);
    const found = await beside.attributor.attribute(beside.request);
    assert.deepEqual(found.active, expected.active);
    assert.deepEqual(found.reconstruction, expected.reconstruction);
    assert.deepEqual(found.errors, expected.errors);
    assert.deepEqual(found.graph.incoming.start, expected.graph.incoming.start);
    assert.deepEqual(found.graph.incoming.source, expected.graph.incoming.source);
    found.graph.incoming.weight.forEach((weight, edge) => {
      closeTo(weight, expected.graph.incoming.weight[edge], 1e-5, `edge ${edge}`);
    });
  });
}

test('threads leave out the positions that are no sources', async () => {
  using pair = await openPair('llama-plt-relu', undefined, 2);
  using alone = await openPair('llama-plt-relu', undefined, 1);
  const { ids, firstPos } = pair.request;
  const sourceMask = Uint8Array.from(ids, (_, pos) => (pos > firstPos && pos % 2 === 0 ? 1 : 0));
  const found = await pair.attributor.attribute({ ...pair.request, sourceMask });
  const expected = await alone.attributor.attribute({ ...alone.request, sourceMask });
  assert.ok(found.active.count > 0 && [...found.active.pos].every((pos) => sourceMask[pos] === 1));
  assert.deepEqual(found.active, expected.active);
});

test('a set that was sent to a thread is read as it is here', () => {
  for (const name of cases) {
    const folder = path.join(goldensFolder, name);
    using set = loadTranscoders(path.join(folder, String(goldenJson(name, 'case.json').transcoders)), null);
    const sent = sentSet(set);
    assert.ok(sent, name);
    using received = receivedSet(structuredClone(sent));
    const features = [0, 1, 1, 3, set.nFeatures - 1];
    set.layers.forEach((layer, index) => {
      const other = received.layers[index];
      assert.deepEqual(other.encoderBias, layer.encoderBias);
      assert.deepEqual(other.threshold, layer.threshold);
      assert.deepEqual(
        encoderRows(other.encoder, features, set.dModel),
        encoderRows(layer.encoder, features, set.dModel),
      );
      layer.slots.forEach((slot, place) => {
        assert.deepEqual(
          decoderRows(other.slots[place], features, set.dModel),
          decoderRows(slot, features, set.dModel),
        );
      });
    });
    const { tensor } = received.layers[0].encoder;
    assert.throws(() => tensor.bytes(tensor.size * 4, new Uint8Array(4)), /bytes .* which has/);
  }
});

/** A pair whose set lies in a folder that the test may break, and threads for it. */
async function breakablePair(name: string) {
  const folder = await temporaryFolder();
  const fields = goldenJson(name, 'case.json');
  const transcoders = path.join(folder.path, 'set');
  fs.cpSync(path.join(goldensFolder, name, String(fields.transcoders)), transcoders, { recursive: true });
  const pair = await openPair(name, undefined, 1);
  const set = loadTranscoders(transcoders, pair.model.dimensions);
  const workers = new AttributionWorkers(2, pair.model.dimensions, sentSet(set));
  const run = await pair.model.forward(pair.request.ids, { logits: 'none' });
  const ranges = rangesToEncode(null, pair.request.firstPos, run.nPos);
  return {
    run,
    ranges,
    transcoders,
    workers,
    threads: new FeatureThreads(workers, pair.model, set),
    here: () => findActiveFeatures(pair.model, set, pair.attributor.encoder, run, pair.request.firstPos, noWait),
    [Symbol.asyncDispose]: async () => {
      workers[Symbol.dispose]();
      set[Symbol.dispose]();
      pair[Symbol.dispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}

test('a file that was cut while it is open is told of, whichever thread finds it', async () => {
  await using pair = await breakablePair('llama-plt-relu');
  const files = fs.readdirSync(pair.transcoders).filter((name) => name.endsWith('.safetensors'));
  for (const file of files) fs.truncateSync(path.join(pair.transcoders, file), 400);
  await assert.rejects(pair.threads.encode(pair.run, pair.ranges, noWait), (error) => {
    assert.ok(error instanceof UserError, String(error));
    assert.match(error.message, /is cut short: \d+ bytes are expected, \d+ are there/);
    return true;
  });
  await pair.threads.stop();
});

test('threads that are told to stop give up what is left, and encode again afterwards', async () => {
  await using pair = await breakablePair('llama-clt-jumprelu');
  const expected = await pair.here();
  for (let layer = 0; layer < pair.run.layers.length; layer++) {
    const given = new Error(`given up at ${layer}`);
    const stopAt = async (at: number) => {
      if (at === layer) throw given;
    };
    await assert.rejects(pair.threads.encode(pair.run, pair.ranges, stopAt), given);
    await pair.threads.stop();
    assert.deepEqual(await pair.threads.encode(pair.run, pair.ranges, noWait), expected);
  }
});

test('questions that wait for a thread are given up with those that have one', async () => {
  await using pair = await breakablePair('llama-plt-relu');
  const input = new Float32Array(pair.run.layers[0].residMid.length);
  const asked = Array.from({ length: 12 }, () =>
    pair.workers.ask({ type: 'encode', layer: 0, input, ranges: pair.ranges }),
  );
  const settled = Promise.allSettled(asked);
  await pair.workers.stop();
  assert.deepEqual(
    (await settled).map(({ status }) => status),
    asked.map(() => 'rejected'),
  );
  assert.deepEqual(await pair.threads.encode(pair.run, pair.ranges, noWait), await pair.here());
});

test('an attribution that is cancelled among its features leaves its threads as they were', async () => {
  using pair = await openPair('llama-clt-jumprelu', undefined, 2);
  using alone = await openPair('llama-clt-jumprelu', undefined, 1);
  const nSteps = 2 * pair.model.dimensions.nLayers;
  for (const at of [0, 1, nSteps - 1]) {
    const cancel = new AbortController();
    const onProgress = ({ phase, done }: { phase: string; done: number }) => {
      if (phase === 'features' && done === at) cancel.abort();
    };
    await assert.rejects(pair.attributor.attribute(pair.request, { signal: cancel.signal, onProgress }), {
      name: 'AbortError',
    });
  }
  const found = await pair.attributor.attribute(pair.request);
  assert.deepEqual(found.active, (await alone.attributor.attribute(alone.request)).active);
});
