import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { noFilters } from '../../webview/filters.ts';
import { indexGraph } from '../../webview/graphIndex.ts';
import { columnLayout } from '../../webview/layout/columns.ts';
import { gridLayout } from '../../webview/layout/grid.ts';
import { placeLabels } from '../../webview/layout/labels.ts';
import { spatialIndex } from '../../webview/layout/spatialIndex.ts';
import { visibleGraph } from '../../webview/visible.ts';
import { dallasTrace, largeTrace } from '../support/sampleTrace.ts';

function gridOf(trace = dallasTrace(), size = { width: 800, height: 500 }) {
  const index = indexGraph(trace.graph);
  const visible = visibleGraph(index, 1, noFilters, new Map(), new Set());
  return { index, visible, grid: gridLayout(index, visible, size) };
}

test('every node lies in the column of its token and the row of its layer', () => {
  const { index, visible, grid } = gridOf();
  for (const node of visible.nodes) {
    const { kind, layer, pos } = index.graph.nodes[node];
    assert.ok(grid.x[node] > grid.columns[pos] && grid.x[node] < grid.columns[pos + 1]);
    const row = kind === 'token' ? 0 : kind === 'logit' ? 7 : layer + 1;
    assert.equal(grid.y[node], Math.fround((7 - row + 0.5) * grid.rowHeight));
  }
});

test('no two nodes lie on the same spot', () => {
  const { visible, grid } = gridOf(largeTrace(3000, 9000, 20, 10));
  const spots = new Set(Array.from(visible.nodes, (node) => `${grid.x[node].toFixed(1)},${grid.y[node].toFixed(1)}`));
  assert.equal(spots.size, visible.nodes.length);
});

test('columns fill the width that is there and grow past it when nodes need more', () => {
  assert.ok(Math.abs(gridOf().grid.width - 800) < 0.5);
  assert.ok(gridOf(largeTrace(3000, 9000, 20, 10), { width: 300, height: 400 }).grid.width > 1000);
});

test('the nearest point is the one a look at all points finds', () => {
  const coordinate = fc.float({ min: 0, max: 500, noNaN: true });
  const points = fc.array(fc.tuple(coordinate, coordinate), { minLength: 1, maxLength: 80 });
  fc.assert(
    fc.property(points, coordinate, coordinate, fc.double({ min: 0.2, max: 4, noNaN: true }), (all, px, py, scale) => {
      const x = Float32Array.from(all, ([value]) => value);
      const y = Float32Array.from(all, ([, value]) => value);
      const found = spatialIndex(Uint32Array.from(x.keys()), x, y).nearest(px, py, 60, scale, 1);
      const distances = all.map((_, point) => Math.hypot((x[point] - px) * scale, y[point] - py));
      const nearest = Math.min(...distances);
      if (found === null) assert.ok(nearest >= 60 - 1e-6);
      else assert.ok(Math.abs(distances[found] - nearest) < 1e-6);
    }),
  );
});

test('labels cover neither each other nor any glyph', () => {
  const place = fc.record({
    x: fc.integer({ min: 0, max: 600 }),
    y: fc.integer({ min: 0, max: 300 }),
    width: fc.integer({ min: 10, max: 120 }),
  });
  fc.assert(
    fc.property(fc.array(place, { maxLength: 60 }), (places) => {
      const requests = places.map((each, node) => ({ ...each, node, text: `label ${node}`, radius: 5 }));
      const placed = placeLabels(requests, requests, 14, { left: 0, top: 0, right: 600, bottom: 300 });
      const boxes = placed.map(({ node, x, y }) => ({
        left: x,
        right: x + places[node].width,
        top: y - 7,
        bottom: y + 7,
      }));
      boxes.forEach((box, order) => {
        assert.ok(box.left >= 0 && box.right <= 600 && box.top >= 0 && box.bottom <= 300);
        for (const other of boxes.slice(order + 1)) assert.ok(!overlap(box, other));
        for (const { x, y } of requests)
          assert.ok(!overlap(box, { left: x - 5, right: x + 5, top: y - 5, bottom: y + 5 }));
      });
    }),
  );
});

test('the most important label is placed first', () => {
  const at = { x: 100, y: 50, radius: 4, width: 60 };
  const bounds = { left: 0, top: 0, right: 170, bottom: 60 };
  const placed = placeLabels(
    [
      { ...at, node: 1, text: 'first' },
      { ...at, node: 2, text: 'second', x: 104 },
    ],
    [],
    14,
    bounds,
  );
  assert.equal(placed[0].node, 1);
});

test('the plain layout puts every box after the boxes that lead to it', () => {
  const boxes = ['a', 'b', 'c', 'd'].map((id) => ({ id, width: 100, height: 40 }));
  const edges = [
    { source: 'a', target: 'c' },
    { source: 'c', target: 'd' },
    { source: 'b', target: 'd' },
  ];
  const { places } = columnLayout({ boxes, edges, direction: 'RIGHT' });
  for (const { source, target } of edges) assert.ok(places.get(source)!.x < places.get(target)!.x);
});

test('the plain layout ends on a cycle', () => {
  const boxes = ['a', 'b'].map((id) => ({ id, width: 100, height: 40 }));
  const edges = [
    { source: 'a', target: 'b' },
    { source: 'b', target: 'a' },
  ];
  assert.equal(columnLayout({ boxes, edges, direction: 'RIGHT' }).places.size, 2);
});

type Box = { left: number; right: number; top: number; bottom: number };
function overlap(a: Box, b: Box): boolean {
  return a.left < b.right - 1e-6 && a.right > b.left + 1e-6 && a.top < b.bottom - 1e-6 && a.bottom > b.top + 1e-6;
}
