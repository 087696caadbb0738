import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { edgesOf, flowThrough, indexGraph } from '../../webview/graphIndex.ts';
import { dallasTrace, largeTrace } from '../support/sampleTrace.ts';

test('all of the answer starts at tokens and errors', () => {
  const index = indexGraph(dallasTrace().graph);
  const starts = index.graph.nodes.flatMap(({ kind }, node) => (kind === 'token' || kind === 'error' ? [node] : []));
  // Features without an input in this made-up graph are starts too.
  const orphans = index.graph.nodes.flatMap(({ kind }, node) =>
    kind === 'feature' && edgesOf(index, 'inputs', node).length === 0 ? [node] : [],
  );
  assert.ok(Math.abs(flowThrough(index, [...starts, ...orphans]) - 1) < 1e-5);
});

test('a chain within a group is counted once', () => {
  const index = indexGraph(dallasTrace().graph);
  const texas = index.graph.nodes.flatMap(({ label }, node) => (label === 'Texas' ? [node] : []));
  const sum = texas.reduce((total, node) => total + index.influence[node], 0);
  const through = flowThrough(index, texas);
  assert.ok(through < sum, `${through} through the group, ${sum} summed over its members`);
  assert.ok(through >= Math.max(...texas.map((node) => index.influence[node])) - 1e-6);
});

test('a larger group never carries less of the answer', () => {
  const index = indexGraph(largeTrace(400, 2500, 12, 6).graph);
  const anyNodes = fc.uniqueArray(fc.nat(index.graph.nodes.length - 1), { minLength: 1, maxLength: 40 });
  fc.assert(
    fc.property(anyNodes, fc.nat(index.graph.nodes.length - 1), (members, more) => {
      assert.ok(flowThrough(index, [...members, more]) >= flowThrough(index, members) - 1e-6);
    }),
    { numRuns: 60 },
  );
});

test('the shares of what enters a node sum to one', () => {
  const index = indexGraph(largeTrace(300, 2000, 10, 5).graph);
  for (let node = 0; node < index.graph.nodes.length; node++) {
    const edges = edgesOf(index, 'inputs', node);
    const sum = edges.reduce((total, edge) => total + Math.abs(index.share[edge]), 0);
    assert.ok(edges.length === 0 ? sum === 0 : Math.abs(sum - 1) < 1e-5);
  }
});

test('neighbours come strongest first', () => {
  const index = indexGraph(largeTrace(300, 2000, 10, 5).graph);
  for (let node = 0; node < index.graph.nodes.length; node++) {
    for (const side of ['inputs', 'outputs'] as const) {
      const weights = Array.from(edgesOf(index, side, node), (edge) => Math.abs(index.graph.edges.weight[edge]));
      assert.deepEqual(
        weights,
        [...weights].sort((a, b) => b - a),
      );
    }
  }
});
