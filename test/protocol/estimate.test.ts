import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { estimateTrace } from '../../src/protocol/estimate.ts';

const gigabyte = 1e9;
const laptop = { memory: 16 * gigabyte, cores: 8 };

/** gemma-2-2b with 16,384 features a layer. */
const gemma2b = {
  model: { nLayers: 26, dModel: 2304, dVocab: 256_000, parameters: 2.6e9, weightBytes: 5.2e9 },
  set: { kind: 'per-layer', nLayers: 26, featuresPerLayer: 16_384, weightBytes: 4e9 },
  nTokens: 32,
  maxFeatureNodes: 1000,
} as const;

test('a two-billion-parameter model with sixteen thousand features a layer fits a laptop', () => {
  const { bytes, verdict, advice, parts } = estimateTrace(gemma2b, laptop);
  assert.ok(bytes > 0.5 * gigabyte && bytes < 4 * gigabyte, String(bytes));
  assert.equal(verdict, 'fits');
  assert.equal(advice, '');
  assert.equal(
    parts.reduce((sum, part) => sum + part.bytes, 0),
    bytes,
  );
});

test('the built-in size takes seconds on two cores', () => {
  const model = { nLayers: 6, dModel: 128, dVocab: 1000, parameters: 1.5e6, weightBytes: 6e6 };
  const set = { kind: 'per-layer', nLayers: 6, featuresPerLayer: 2048, weightBytes: 13e6 } as const;
  const { seconds, bytes } = estimateTrace(
    { model, set, nTokens: 12, maxFeatureNodes: 'adaptive' },
    { memory: 8 * gigabyte, cores: 2 },
  );
  assert.ok(seconds < 5, String(seconds));
  assert.ok(bytes < 0.6 * gigabyte, String(bytes));
});

/**
 * Measured on two cores with `prompt-circuits bench --one --repeat 1` on the models of test/bench (seconds and peak bytes
 * of the first trace in a process); 4,000 tokens and the larger model with `time -v prompt-circuits trace`.
 */
const small = {
  model: { nLayers: 30, dModel: 576, dVocab: 49_152, parameters: 1.345e8, weightBytes: 5.38e8 },
  set: { kind: 'per-layer', nLayers: 30, featuresPerLayer: 4096, weightBytes: 5.66e8 },
} as const;
const measured = [
  { ...small, nTokens: 16, maxFeatureNodes: 1000, seconds: 2.2, bytes: 0.44e9 },
  { ...small, nTokens: 16, maxFeatureNodes: 'adaptive', seconds: 2.6, bytes: 0.5e9 },
  { ...small, nTokens: 48, maxFeatureNodes: 'adaptive', seconds: 6, bytes: 0.81e9 },
  { ...small, nTokens: 128, maxFeatureNodes: 256, seconds: 7.4, bytes: 0.95e9 },
  { ...small, nTokens: 256, maxFeatureNodes: 256, seconds: 15.5, bytes: 1.53e9 },
  { ...small, nTokens: 256, maxFeatureNodes: 'adaptive', seconds: 92, bytes: 2.61e9 },
  { ...small, nTokens: 448, maxFeatureNodes: 256, seconds: 30.9, bytes: 2.09e9 },
  { ...small, nTokens: 640, maxFeatureNodes: 64, seconds: 22.3, bytes: 2.23e9 },
  { ...small, nTokens: 960, maxFeatureNodes: 64, seconds: 35.7, bytes: 3.58e9 },
  { ...small, nTokens: 4000, maxFeatureNodes: 64, seconds: 348, bytes: 6.58e9 },
  { ...gemma2b, nTokens: 32, maxFeatureNodes: 'adaptive', seconds: 49, bytes: 1.58e9 },
] as const;

for (const { seconds, bytes, ...size } of measured) {
  const name = `${size.nTokens} tokens, ${size.maxFeatureNodes} features, ${size.model.nLayers} layers of ${size.model.dModel}`;
  test(`time and memory told for ${name} are right within a factor of two`, () => {
    const told = estimateTrace(size, { memory: 24 * gigabyte, available: 20 * gigabyte, cores: 2 });
    assert.ok(told.seconds > seconds / 2 && told.seconds < seconds * 2, `${told.seconds} s, measured ${seconds} s`);
    assert.ok(told.bytes > bytes / 2 && told.bytes < bytes * 2, `${told.bytes} bytes, measured ${bytes}`);
  });
}

test('a trace with no position to explain from still takes what the model takes', () => {
  const { seconds, bytes } = estimateTrace({ ...gemma2b, nSourcePositions: 0 }, laptop);
  assert.ok(seconds > 1 && seconds < estimateTrace(gemma2b, laptop).seconds, String(seconds));
  assert.ok(bytes > 0.3 * gigabyte, String(bytes));
});

test('over budget it says what to change, with numbers that then fit', () => {
  const long = { ...gemma2b, nTokens: 1500, maxFeatureNodes: 'adaptive' } as const;
  const small = { memory: 8 * gigabyte, cores: 8 };
  const { verdict, advice } = estimateTrace(long, small);
  assert.equal(verdict, 'over');
  const nTokens = Number(/shorten the prompt to (\d+) tokens/i.exec(advice)?.[1]);
  assert.ok(nTokens > 4 && nTokens < 1500, advice);
  assert.equal(estimateTrace({ ...long, nTokens }, small).verdict, 'fits');
});

test('a machine on which nothing helps is told to take a smaller model', () => {
  const { verdict, advice } = estimateTrace(gemma2b, { memory: 0.3 * gigabyte, cores: 2 });
  assert.equal(verdict, 'over');
  assert.match(advice, /^Choose a smaller model/);
});

test('more tokens, more features or fewer cores never make a trace cheaper', () => {
  const size = fc.record({
    // Prompts that are swept in one piece: beyond, what features write is not kept, which takes less memory.
    nTokens: fc.integer({ min: 1, max: 140 }),
    maxFeatureNodes: fc.integer({ min: 1, max: 4096 }),
    cores: fc.integer({ min: 1, max: 64 }),
  });
  fc.assert(
    fc.property(size, size, (a, b) => {
      const [less, more] = [Math.min, Math.max].map((pick) => ({
        nTokens: pick(a.nTokens, b.nTokens),
        maxFeatureNodes: pick(a.maxFeatureNodes, b.maxFeatureNodes),
      }));
      const cheap = estimateTrace({ ...gemma2b, ...less }, { ...laptop, cores: Math.max(a.cores, b.cores) });
      const dear = estimateTrace({ ...gemma2b, ...more }, { ...laptop, cores: Math.min(a.cores, b.cores) });
      assert.ok(cheap.bytes <= dear.bytes && cheap.seconds <= dear.seconds);
    }),
  );
});

test('cross-layer features take more memory, since each writes to many layers, until it is read in pieces', () => {
  const cross = { ...gemma2b, set: { ...gemma2b.set, kind: 'cross-layer' as const } };
  const [more, less] = [estimateTrace(cross, laptop).bytes, estimateTrace(gemma2b, laptop).bytes];
  assert.ok(more > less + 0.5 * gigabyte && more < less + 1.5 * gigabyte, `${more} ${less}`);
});

test('four thousand tokens on a small model take less than 8 GB, and fewer source positions less time', () => {
  const long = {
    model: { nLayers: 30, dModel: 576, dVocab: 49_152, parameters: 1.35e8, weightBytes: 5.4e8 },
    set: { kind: 'per-layer', nLayers: 30, featuresPerLayer: 4096, weightBytes: 5.7e8 },
    nTokens: 4000,
    maxFeatureNodes: 'adaptive',
  } as const;
  const machine = { memory: 16 * gigabyte, cores: 2 };
  const { bytes, verdict, seconds } = estimateTrace(long, machine);
  assert.ok(bytes > 4 * gigabyte && bytes < 8 * gigabyte, String(bytes));
  assert.equal(verdict, 'slow');
  assert.ok(estimateTrace({ ...long, nSourcePositions: 100 }, machine).seconds < seconds);
});

test('where half of the free memory does not hold what features write, less is told, because less is taken', () => {
  const size = { ...gemma2b, nTokens: 120 };
  const [free, full] = [12, 2].map((gigabytes) => estimateTrace(size, { ...laptop, available: gigabytes * gigabyte }));
  const written = ({ parts }: typeof free) => parts.find(({ name }) => name === 'what features write')?.bytes ?? 0;
  assert.ok(written(free) > 1.5 * gigabyte, String(written(free)));
  assert.ok(written(full) < 1.2 * gigabyte, String(written(full)));
});
