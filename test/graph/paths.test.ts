import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type CircuitGraph, emptyView, type GraphMetadata } from '../../src/graph/circuitGraph.ts';
import type { GraphNode, NodeId } from '../../src/graph/node.ts';
import { type Path, strongestPaths } from '../../src/graph/paths.ts';

test('the strongest paths are those that walking every path finds, strongest first', () => {
  fc.assert(
    fc.property(fc.array(fc.double({ min: -1, max: 1, noNaN: true }), { minLength: 36, maxLength: 36 }), (weights) => {
      const graph = graphOf(6, (source, target) => (source < target ? weights[target * 6 + source] : 0));
      const found = strongestPaths(graph, 5, 5);
      const all = allPaths(graph, 5).sort((a, b) => b.share - a.share);
      assert.equal(found.length, Math.min(5, all.length));
      found.forEach((path, index) => {
        assert.ok(Math.abs(path.share - all[index].share) < 1e-9);
        assert.ok(all.some((other) => `${other.nodes}` === `${path.nodes}` && other.sign === path.sign));
      });
    }),
  );
});

test('shares of all paths to an output add up to 1', () => {
  const graph = graphOf(5, (source, target) => (source < target ? source - target + 0.5 : 0));
  const sum = strongestPaths(graph, 4, 1000).reduce((total, { share }) => total + share, 0);
  assert.ok(Math.abs(sum - 1) < 1e-9);
});

test('an output without edges has no paths, and a cycle in a damaged file ends', () => {
  assert.deepEqual(
    strongestPaths(
      graphOf(3, () => 0),
      2,
      5,
    ),
    [],
  );
  const cyclic = graphOf(3, (source, target) => (source !== target ? 1 : 0));
  assert.ok(strongestPaths(cyclic, 2, 5).length <= 5);
});

function allPaths(graph: CircuitGraph, node: number): Path[] {
  const { source, target, weight } = graph.edges;
  const into = [...target.keys()].filter((edge) => target[edge] === node && weight[edge] !== 0);
  const sum = into.reduce((total, edge) => total + Math.abs(weight[edge]), 0);
  return into.flatMap((edge): Path[] => {
    const share = Math.abs(weight[edge]) / sum;
    const sign = weight[edge] > 0 ? 1 : -1;
    const before = allPaths(graph, source[edge]);
    if (before.length === 0) return [{ nodes: [source[edge], node], share, sign }];
    return before.map((path) => ({
      nodes: [...path.nodes, node],
      share: path.share * share,
      sign: (path.sign * sign) as 1 | -1,
    }));
  });
}

function graphOf(count: number, weightOf: (source: number, target: number) => number): CircuitGraph {
  const edges: [number, number, number][] = [];
  for (let target = 0; target < count; target++) {
    for (let source = 0; source < count; source++) {
      const weight = Math.fround(weightOf(source, target));
      if (weight !== 0) edges.push([source, target, weight]);
    }
  }
  const nodes = Array.from(
    { length: count },
    (_, index) => ({ id: `n${index}` as NodeId, kind: 'feature' }) as GraphNode,
  );
  return {
    metadata: {} as GraphMetadata,
    nodes,
    edges: {
      source: Uint32Array.from(edges, ([source]) => source),
      target: Uint32Array.from(edges, ([, target]) => target),
      weight: Float32Array.from(edges, ([, , weight]) => weight),
    },
    view: emptyView,
    foreign: {},
  };
}
