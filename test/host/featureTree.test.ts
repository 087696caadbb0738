import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import type { CircuitGraph } from '../../src/graph/circuitGraph.ts';
import { mergeGraphs } from '../../src/graph/mergeGraphs.ts';
import { readGraph } from '../../src/graph/readGraph.ts';
import {
  groupFeatures,
  influenceById,
  influenceOfGroup,
  isSameTree,
  nodeLabel,
  visibleToken,
} from '../../src/host/featureTree.ts';

function golden(name: string): CircuitGraph {
  const file = path.resolve(import.meta.dirname, `../fixtures/goldens/${name}/graph.json`);
  return readGraph(readFileSync(file, 'utf8')).graph;
}
const graph = golden('gemma2-plt-jumprelu');
const features = graph.nodes.filter((node) => node.kind === 'feature');

test('every grouping lists each feature once, most influential first in its group', () => {
  const influence = influenceById(graph);
  for (const grouping of ['layer', 'token', 'supernode'] as const) {
    const groups = groupFeatures(graph, grouping);
    const listed = groups.flatMap((group) => group.nodes.map((node) => node.id));
    assert.deepEqual(listed.toSorted(), features.map((node) => node.id).toSorted(), grouping);
    for (const { nodes } of groups) {
      const shares = nodes.map((node) => influence.get(node.id) ?? 0);
      assert.deepEqual(
        shares,
        shares.toSorted((a, b) => b - a),
      );
    }
  }
});

test('layers and tokens come in their order', () => {
  const layers = groupFeatures(graph, 'layer').map((group) => group.nodes[0].layer);
  assert.deepEqual(
    layers,
    layers.toSorted((a, b) => a - b),
  );
  const tokens = groupFeatures(graph, 'token').map((group) => group.nodes[0].pos);
  assert.deepEqual(
    tokens,
    tokens.toSorted((a, b) => a - b),
  );
});

test('supernodes come first, then what is pinned alone, then the rest', () => {
  const [a, b, c] = features;
  const view = { ...graph.view, pinned: [a.id, b.id, c.id], supernodes: [{ label: 'Texas', members: [a.id, b.id] }] };
  const groups = groupFeatures({ ...graph, view }, 'supernode');
  assert.deepEqual(
    groups.map((group) => [group.label, group.nodes.length]),
    [['Texas', 2], ['Pinned', 1], ...(features.length > 3 ? [['Not grouped', features.length - 3]] : [])],
  );
});

test('what passes through a group is at most the sum over its nodes and at least the most of them', () => {
  const influence = influenceById(graph);
  const shares = features.map((node) => influence.get(node.id) ?? 0);
  const together = influenceOfGroup(graph, features);
  assert.ok(shares.every((share) => share > 0 && share <= 1));
  assert.ok(
    together <=
      Math.min(
        1,
        shares.reduce((sum, share) => sum + share, 0),
      ) +
        1e-6,
  );
  assert.ok(together >= Math.max(...shares) - 1e-6);
  assert.ok(Math.abs(influenceOfGroup(graph, [features[0]]) - shares[0]) < 1e-6);
});

test("a node is called by the user's label, else the set's, else its number", () => {
  const [node] = features;
  assert.equal(nodeLabel(graph, { ...node, label: '' }), `L${node.layer} #${node.feature}`);
  assert.equal(nodeLabel(graph, { ...node, label: 'from the set' }), 'from the set');
  const named = { ...graph, view: { ...graph.view, labels: { [node.id]: 'mine' } } };
  assert.equal(nodeLabel(named, { ...node, label: 'from the set' }), 'mine');
  assert.equal(visibleToken(' a\n'), '·a↵');
});

test('a graph merged with itself is itself: every node once, every weight kept', () => {
  const merged = mergeGraphs(graph, graph, ['a', 'b']).graph;
  assert.equal(merged.nodes.length, graph.nodes.length);
  assert.deepEqual([...merged.edges.weight].toSorted(), [...graph.edges.weight].toSorted());
  assert.deepEqual(merged.view.supernodes, []);
  assert.deepEqual(merged.metadata.promptTokens, graph.metadata.promptTokens);
});

test('merging two graphs keeps all nodes, says whose they are, and edges stay between the same nodes', () => {
  const [first] = features;
  const left = graph;
  const kept = graph.nodes.map((node) =>
    node === first ? { ...node, feature: 9999, id: `${node.id}x` as typeof node.id } : node,
  );
  const right = { ...graph, nodes: kept };
  const merged = mergeGraphs(left, right, ['Dallas', 'Oakland']).graph;
  assert.equal(merged.nodes.length, graph.nodes.length + 1);
  const groups = new Map(merged.view.supernodes.map((group) => [group.label, group.members]));
  assert.deepEqual(groups.get('Only Dallas'), [first.id]);
  assert.deepEqual(groups.get('Only Oakland'), [`right ${first.id}x`]);
  assert.equal(new Set(merged.nodes.map((node) => node.id)).size, merged.nodes.length);
  const index = graph.nodes.indexOf(first);
  const touching = (source: Uint32Array, target: Uint32Array, node: number): number =>
    source.reduce((count, from, edge) => count + Number(from === node || target[edge] === node), 0);
  const expected = touching(graph.edges.source, graph.edges.target, index);
  assert.equal(touching(merged.edges.source, merged.edges.target, merged.nodes.length - 1), expected);
  assert.equal(touching(merged.edges.source, merged.edges.target, index), expected);
});

test('a view that differs in what the tree does not show gives the same tree', () => {
  const { view } = graph;
  const [{ id }] = features;
  assert.ok(
    isSameTree(view, { ...view, clicked: id, pruningThreshold: 0.5, linkType: 'input', places: { [id]: [1, 2] } }),
  );
  assert.ok(!isSameTree(view, { ...view, pinned: [...view.pinned, id] }));
  assert.ok(!isSameTree(view, { ...view, labels: { ...view.labels, [id]: 'Texas' } }));
  assert.ok(!isSameTree(view, { ...view, supernodes: [...view.supernodes, { label: 'Texas', members: [id] }] }));
});
