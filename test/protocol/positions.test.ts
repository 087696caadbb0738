import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parsePositions, positionMask, positionsText } from '../../src/protocol/positions.ts';

test('positions are written as numbers and ranges, and an open range goes on to the last', () => {
  assert.equal(parsePositions(' '), null);
  assert.deepEqual(parsePositions('5, 8-12'), [
    { from: 5, to: 5 },
    { from: 8, to: 12 },
  ]);
  assert.deepEqual([...positionMask(parsePositions('1, 4-'), 6)!], [0, 1, 0, 0, 1, 1]);
  assert.equal(positionMask(null, 6), null);
});

test('text that names no positions, and positions outside the prompt, are refused with what is allowed', () => {
  for (const text of ['a', '-3', '5-2', '1,,2', '1.5', '9999999999', '1-2-3']) {
    assert.throws(
      () => parsePositions(text),
      (error: Error) => error.name === 'UserError',
    );
  }
  assert.throws(() => positionMask([{ from: 2, to: 6 }], 6), /Position 2-6 is outside the prompt of 6 tokens, 0 to 5/);
  assert.throws(() => positionMask([{ from: 6, to: Number.MAX_SAFE_INTEGER }], 6), /outside the prompt/);
  assert.throws(() => positionMask([{ from: -1, to: 2 }], 6), /outside the prompt/);
});

test('positions written and read again cover the same tokens', () => {
  const span = fc.tuple(fc.nat(40), fc.nat(40)).map(([a, b]) => ({ from: Math.min(a, b), to: Math.max(a, b) }));
  fc.assert(
    fc.property(fc.array(span, { minLength: 1, maxLength: 6 }), (spans) => {
      const mask = positionMask(parsePositions(positionsText(spans)), 41)!;
      mask.forEach((covered, pos) => {
        assert.equal(
          covered === 1,
          spans.some(({ from, to }) => pos >= from && pos <= to),
        );
      });
    }),
  );
});
