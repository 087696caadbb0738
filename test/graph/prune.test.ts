import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { cumulativeShares, incomingEdges, influence } from '../../src/graph/influence.ts';
import type { NodeKind } from '../../src/graph/node.ts';
import { cutAtShare, prune, type WeightedGraph } from '../../src/graph/prune.ts';
import { scores } from '../../src/graph/scores.ts';
import { denseEdgeMask, goldenGraph } from '../support/goldenGraph.ts';
import { floats, goldenCases, goldenJson, goldenTensors } from '../support/goldens.ts';

for (const name of goldenCases('graph.json')) {
  const tensors = goldenTensors(name);
  const graph = goldenGraph(tensors);

  test(`influence on the golden adjacency of ${name} agrees with the reference`, () => {
    const values = influence(graph.incoming, graph.outputWeight);
    closeTo(values, floats(tensors, 'node_influence'), 1e-5);
    closeTo(cumulativeShares(values), floats(tensors, 'cumulative_scores'), 1e-5);
  });

  test(`pruning the golden adjacency of ${name} keeps the same nodes and edges, at both pairs of thresholds`, () => {
    const main = prune(graph, { nodeThreshold: 0.8, edgeThreshold: 0.98 });
    assert.deepEqual(main.nodes, tensors.get('node_mask')!.data);
    assert.deepEqual(denseEdgeMask(graph, main.edges), tensors.get('edge_mask')!.data);
    const other = prune(graph, { nodeThreshold: 0.5, edgeThreshold: 0.9 });
    assert.deepEqual(other.nodes, tensors.get('node_mask_alt')!.data);
    assert.deepEqual(denseEdgeMask(graph, other.edges), tensors.get('edge_mask_alt')!.data);
  });

  test(`scores of the golden adjacency of ${name} agree with the reference`, () => {
    const golden = goldenJson(name, 'golden.json');
    const { replacement, completeness } = scores(graph);
    assert.ok(Math.abs(replacement - Number(golden.replacement_score)) < 1e-5);
    assert.ok(Math.abs(completeness - Number(golden.completeness_score)) < 1e-5);
  });
}

test('a feature whose inputs are not known counts by the inputs of the one that stands in for it', () => {
  // logit ← known (0.5), unknown (0.5); known ← error 1, token 3.
  const [known, unknown, error, token, logit] = [0, 1, 2, 3, 4];
  const edges = {
    source: Uint32Array.of(known, unknown, error, token),
    target: Uint32Array.of(logit, logit, known, known),
    weight: Float32Array.of(1, -1, 1, 3),
  };
  const kinds: NodeKind[] = ['feature', 'feature', 'error', 'token', 'logit'];
  const graph = { incoming: incomingEdges(5, edges), kinds, outputWeight: Float64Array.of(0, 0, 0, 0, 1) };
  const estimate = Float64Array.of(0.5, 0.5, 0.25, 0.75, 0);
  const handedOn = Float64Array.of(1, 0, 0.25, 0.75, 1);
  const { replacement, completeness } = scores(graph, estimate, handedOn);
  assert.equal(replacement, 0.75);
  assert.equal(completeness, (1 * 0.75 + 0.25 + 0.75 + 1) / 3);
});

test('keeping a smaller share adds no node', () => {
  check(randomGraph(), (graph) => {
    const wide = prune(graph, { nodeThreshold: 0.8, edgeThreshold: 1 }).nodes;
    const narrow = prune(graph, { nodeThreshold: 0.5, edgeThreshold: 1 }).nodes;
    return narrow.every((kept, node) => !kept || wide[node] === 1);
  });
});

test('a kept feature has an input and an output among what is kept', () => {
  check(randomGraph(), (graph) => {
    const { nodes, edges } = prune(graph, { nodeThreshold: 0.7, edgeThreshold: 0.9 });
    const { start, source } = graph.incoming;
    const hasOutput = new Uint8Array(nodes.length);
    const hasInput = new Uint8Array(nodes.length);
    for (let target = 0; target < nodes.length; target++) {
      for (let edge = start[target]; edge < start[target + 1]; edge++) {
        if (!edges[edge]) continue;
        assert.ok(nodes[target] && nodes[source[edge]], 'an edge leads to a node that is not kept');
        hasInput[target] = 1;
        hasOutput[source[edge]] = 1;
      }
    }
    return nodes.every((kept, node) => !kept || graph.kinds[node] !== 'feature' || (hasInput[node] && hasOutput[node]));
  });
});

test('logits and tokens always stay', () => {
  check(randomGraph(), (graph) => {
    const { nodes } = prune(graph, { nodeThreshold: 0.01, edgeThreshold: 0.01 });
    return graph.kinds.every((kind, node) => (kind !== 'logit' && kind !== 'token') || nodes[node] === 1);
  });
});

test('influence is the same whether paths are walked once or powers of the matrix are summed', () => {
  check(randomGraph(), (graph) => {
    closeTo(influence(graph.incoming, graph.outputWeight), influenceByPowers(graph), 1e-12);
    return true;
  });
});

test('the influence that reaches tokens and errors is what the logits give', () => {
  // Every feature of the random graph has an input, so nothing is lost on the way.
  check(randomGraph(), (graph) => {
    const values = influence(graph.incoming, graph.outputWeight);
    const atEnds = values.reduce((sum, value, node) => (graph.kinds[node] === 'feature' ? sum : sum + value), 0);
    const given = graph.outputWeight.reduce((sum, value) => sum + value, 0);
    return Math.abs(atEnds - given) < 1e-9;
  });
});

test('a damaged graph with a cycle still gets finite influence', () => {
  const incoming = incomingEdges(3, {
    source: Uint32Array.of(0, 1, 1),
    target: Uint32Array.of(1, 0, 2),
    weight: Float32Array.of(1, 1, 1),
  });
  const values = influence(incoming, Float64Array.of(0, 0, 1));
  assert.ok(values.every((value) => Number.isFinite(value) && value <= 2));
});

test('the cut is where the running share first reaches the wanted one', () => {
  check(
    fc.tuple(
      fc.array(fc.double({ min: 0, max: 10, noNaN: true }), { minLength: 1, maxLength: 60 }),
      fc.double({ min: 0.01, max: 1, noNaN: true }),
    ),
    ([list, share]) => {
      const sorted = list.filter((value) => value > 0).sort((a, b) => b - a);
      const total = sorted.reduce((sum, value) => sum + value, 0);
      const cut = cutAtShare(Float64Array.from(list), share);
      if (sorted.length === 0) return cut === 0;
      const held = sorted.filter((value) => value >= cut).reduce((sum, value) => sum + value, 0);
      const without = sorted.filter((value) => value > cut).reduce((sum, value) => sum + value, 0);
      return held >= share * total * (1 - 1e-12) && without <= share * total * (1 + 1e-12);
    },
  );
});

function check<T>(values: fc.Arbitrary<T>, holds: (value: T) => boolean): void {
  fc.assert(fc.property(values, holds), { numRuns: 200 });
}

function closeTo(got: Float64Array, expected: Float32Array | Float64Array, tolerance: number): void {
  assert.equal(got.length, expected.length);
  for (const [index, value] of got.entries()) {
    assert.ok(Math.abs(value - expected[index]) <= tolerance, `at ${index}: expected ${expected[index]}, got ${value}`);
  }
}

/** Three layers of features over tokens and errors, with two logits: every feature and logit has an input. */
function randomGraph(): fc.Arbitrary<WeightedGraph> {
  const layers = [4, 4, 4];
  const ends: NodeKind[] = ['error', 'error', 'token', 'token'];
  const kinds: NodeKind[] = [...layers.flatMap((count) => Array(count).fill('feature')), ...ends, 'logit', 'logit'];
  const nNodes = kinds.length;
  const depth = kinds.map((kind, node) => (kind === 'feature' ? Math.floor(node / 4) : kind === 'logit' ? 3 : -1));
  return fc
    .array(fc.double({ min: -1, max: 1, noNaN: true }), { minLength: nNodes * nNodes, maxLength: nNodes * nNodes })
    .map((weights) => {
      const edges: { source: number; target: number; weight: number }[] = [];
      for (let target = 0; target < nNodes; target++) {
        for (let source = 0; source < nNodes; source++) {
          if (depth[target] < 0 || depth[source] >= depth[target] || kinds[source] === 'logit') continue;
          const weight = weights[target * nNodes + source];
          if (Math.abs(weight) > 0.5 || source === 14) edges.push({ source, target, weight: weight || 0.5 });
        }
      }
      const incoming = incomingEdges(nNodes, {
        source: Uint32Array.from(edges, (edge) => edge.source),
        target: Uint32Array.from(edges, (edge) => edge.target),
        weight: Float32Array.from(edges, (edge) => Math.sign(edge.weight) * Math.max(Math.abs(edge.weight), 1e-3)),
      });
      const outputWeight = Float64Array.from(kinds, (kind, node) =>
        kind === 'logit' ? (node === nNodes - 1 ? 0.3 : 0.6) : 0,
      );
      return { incoming, kinds, outputWeight };
    });
}

/** w·M + w·M² + … with a dense matrix, as it is written down. */
function influenceByPowers(graph: WeightedGraph): Float64Array {
  const { nNodes, start, source, weight } = graph.incoming;
  const matrix = new Float64Array(nNodes * nNodes);
  for (let target = 0; target < nNodes; target++) {
    let sum = 0;
    for (let edge = start[target]; edge < start[target + 1]; edge++) sum += Math.abs(weight[edge]);
    for (let edge = start[target]; edge < start[target + 1]; edge++) {
      matrix[target * nNodes + source[edge]] = Math.abs(weight[edge]) / Math.max(sum, 1e-10);
    }
  }
  const total = new Float64Array(nNodes);
  let power = graph.outputWeight;
  while (power.some((value) => value !== 0)) {
    const next = new Float64Array(nNodes);
    for (let target = 0; target < nNodes; target++) {
      for (let node = 0; node < nNodes; node++) next[node] += power[target] * matrix[target * nNodes + node];
    }
    for (let node = 0; node < nNodes; node++) total[node] += next[node];
    power = next;
  }
  return total;
}
