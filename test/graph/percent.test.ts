import assert from 'node:assert/strict';
import { test } from 'node:test';
import { percent } from '../../src/graph/percent.ts';

test('shares are shown without pretending: never 0 % for something, never 100 % for less', () => {
  const shown = [0, 0.0001, 0.0312, 0.5, 0.8543, 0.9963, 0.9994, 0.99999, 1].map((share) => percent(share));
  assert.deepEqual(shown, ['0 %', '<0.1 %', '3.1 %', '50 %', '85 %', '99.6 %', '99.9 %', '>99.9 %', '100 %']);
  assert.equal(percent(0.8543, 1), '85.4 %');
  assert.equal(percent(-0.12), '-12 %');
  assert.equal(percent(Number.NaN), '–');
});
