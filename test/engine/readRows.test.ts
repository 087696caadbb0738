import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type FloatTensor, type FloatType, floatsBy } from '../../src/engine/transcoders/floatTensor.ts';
import { readRows } from '../../src/engine/transcoders/readRows.ts';

/** A tensor of bytes without meaning in memory, and how often it was read. */
function tensorOf(type: FloatType, size: number) {
  const bytesPer = { F64: 8, F32: 4, F16: 2, BF16: 2 }[type];
  // No number of these bytes is infinite or none.
  const stored = Uint8Array.from({ length: size * bytesPer }, (_, place) => (place * 73) % 59);
  const calls: number[] = [];
  const bytes = (from: number, target: Uint8Array) => {
    assert.ok(from >= 0 && from + target.length <= stored.length, `bytes ${from} to ${from + target.length}`);
    calls.push(target.length);
    target.set(stored.subarray(from, from + target.length));
  };
  const tensor: FloatTensor = {
    ...{ name: 'decoder', file: '', type, shape: [size], isReversed: false, size, place: null, bytes },
    floats: floatsBy(type, bytes),
  };
  return { tensor, calls };
}

test('rows are the same whether they are read together or one by one', () => {
  fc.assert(
    fc.property(
      fc.constantFrom<FloatType>('F32', 'F16', 'BF16', 'F64'),
      fc.integer({ min: 1, max: 40 }),
      fc.array(fc.oneof(fc.integer({ min: 0, max: 60 }), fc.integer({ min: 0, max: 12_000 })), { maxLength: 30 }),
      fc.boolean(),
      (type, length, places, isSorted) => {
        const starts = isSorted ? places.toSorted((a, b) => a - b) : places;
        const { tensor } = tensorOf(type, 12_000 + length);
        const rows = new Float32Array(starts.length * length);
        readRows(tensor, starts, length, rows);
        starts.forEach((start, row) => {
          assert.deepEqual(rows.slice(row * length, (row + 1) * length), tensor.floats(start, length));
        });
      },
    ),
    { numRuns: 300 },
  );
});

test('near rows are read by one call, far ones and what would be much at once by several', () => {
  const length = 100;
  const read = (starts: readonly number[]) => {
    const { tensor, calls } = tensorOf('F32', 200_000);
    readRows(tensor, starts, length, new Float32Array(starts.length * length));
    return calls.length;
  };
  assert.equal(read([0, 200, 200, 900]), 1);
  assert.equal(read([0, 100_000, 100_500]), 2);
  const many = Array.from({ length: 1000 }, (_, index) => index * 150);
  const calls = read(many);
  assert.ok(calls > 1 && calls < 10, `${calls} calls for 600,000 bytes`);
});
