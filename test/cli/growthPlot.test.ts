import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { GrowthPoint } from '../../src/cli/benchGrowth.ts';
import { growthPlot } from '../../src/cli/growthPlot.ts';

test('the picture of growth has every measured size in its place: more is farther right and higher up', () => {
  const points: GrowthPoint[] = (['tokens', 'features', 'layers'] as const).flatMap((axis) =>
    [8, 32, 64].map((value) => ({ axis, value, seconds: value / 50, limit: value / 900, bytes: (100 + value) * 1e6 })),
  );
  const svg = growthPlot(points);
  const lines = [...svg.matchAll(/<polyline points="([^"]*)"/g)].map(([, text]) =>
    text.split(' ').map((place) => place.split(',').map(Number)),
  );
  // Measured and limit for time, measured for memory, on three axes.
  assert.equal(lines.length, 9);
  for (const line of lines) {
    assert.equal(line.length, 3);
    for (let index = 1; index < line.length; index++) {
      assert.ok(line[index][0] > line[index - 1][0] && line[index][1] < line[index - 1][1], String(line));
    }
    assert.ok(line.flat().every((number) => number > 0 && number < 1100));
  }
  assert.match(svg, /seconds, by attributed features/);
  assert.doesNotMatch(svg, /NaN|Infinity/);
});
