import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { graphFromBytes, graphFromBytesSteps, graphToBytes } from '../../src/graph/graphBytes.ts';
import { inSlices, type Steps, workFor } from '../../src/graph/steps.ts';
import { anyGraph } from '../support/anyGraph.ts';

test('a graph comes out of its bytes as it went in, but for what is foreign', () => {
  fc.assert(
    fc.property(anyGraph, fc.string({ unit: 'binary' }), (graph, label) => {
      const nodes = graph.nodes.map((node, index) => (index === 0 ? { ...node, label: `${label}\ud800` } : node));
      assert.deepEqual(graphFromBytes(graphToBytes({ ...graph, nodes })), { ...graph, nodes, foreign: {} });
    }),
  );
});

test('bytes that were copied piece by piece are read the same', () => {
  const [graph] = fc.sample(anyGraph, { seed: 3, numRuns: 1 });
  const bytes = graphToBytes(graph);
  const copy = new Uint8Array(bytes.length);
  for (let offset = 0; offset < bytes.length; offset += 7) copy.set(bytes.slice(offset, offset + 7), offset);
  assert.deepEqual(graphFromBytes(copy), graphFromBytes(bytes));
});

test('the nodes of a large graph are made in steps', () => {
  const [graph] = fc.sample(anyGraph, { seed: 5, numRuns: 1 });
  const [node] = graph.nodes;
  const nodes = Array.from({ length: 20_000 }, () => node);
  const steps = graphFromBytesSteps(graphToBytes({ ...graph, nodes }));
  let pauses = 0;
  while (!steps.next().done) pauses++;
  assert.equal(pauses, 3);
});

test('what runs in slices gives way after each, and stops when it is not wanted', async () => {
  let turns = 0;
  const count = function* (): Steps<number> {
    for (let i = 0; i < 5; i++) {
      const begin = performance.now();
      while (performance.now() - begin < 26);
      yield;
    }
    return 5;
  };
  const timer = setInterval(() => turns++, 1);
  assert.equal(await inSlices(count(), () => true), 5);
  clearInterval(timer);
  assert.ok(turns >= 2, `other work had ${turns} turns`);
  assert.equal(await inSlices(count(), () => false), null);
  assert.equal(workFor(count()).done, false);
});
