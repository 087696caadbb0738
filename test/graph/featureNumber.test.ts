import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { decimalFeature, pairFeature, unpairFeature } from '../../src/graph/featureNumber.ts';

test('a feature number gives back its layer and index, up to 2³⁶', () => {
  fc.assert(
    fc.property(fc.nat(128), fc.nat(362_000), (layer, feature) => {
      assert.deepEqual(unpairFeature(pairFeature(layer, feature)), { layer, feature });
    }),
    { numRuns: 2000 },
  );
});

test('every number up to 2³⁶ belongs to one feature', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2 ** 36 }), (number) => {
      const site = unpairFeature(number);
      assert.ok(site && site.layer >= 0 && site.feature >= 0);
      assert.equal(pairFeature(site.layer, site.feature), number);
    }),
    { numRuns: 2000 },
  );
  // The corners, where the rounded square root is one off.
  for (let sum = 370_000; sum < 370_050; sum++) {
    const corner = (sum * (sum + 1)) / 2;
    assert.deepEqual(unpairFeature(corner), { layer: sum, feature: 0 });
    assert.deepEqual(unpairFeature(corner - 1), { layer: 0, feature: sum - 1 });
  }
});

test('the pairing is the one of the published files', () => {
  // Layer 0, feature 20 and layer 2, feature 49 in the peer's own export.
  assert.equal(pairFeature(0, 20), 230);
  assert.equal(pairFeature(2, 49), 1375);
});

test('numbers that are no feature numbers belong to no feature', () => {
  for (const number of [-1, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53])
    assert.equal(unpairFeature(number), null);
});

test('decimal numbers of old graphs hold the layer in front of five digits', () => {
  assert.equal(decimalFeature(1_200_345, 12), 345);
  assert.equal(decimalFeature(345, 0), 345);
  assert.equal(decimalFeature(1_200_345, 11), null);
});
