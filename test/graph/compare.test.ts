import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { alignTokens } from '../../src/graph/alignTokens.ts';
import { compareGraphs } from '../../src/graph/compare.ts';
import { anyGraph } from '../support/anyGraph.ts';
import { dallasGraph, feature, logit, smallGraph, token } from '../support/smallGraph.ts';

function checkAligned(left: string, right: string, expected: string): void {
  const [a, b] = [left.split(' '), right.split(' ')];
  const pairs = alignTokens(a, b).map(
    (pair) => `${pair.left === null ? '·' : a[pair.left]}${pair.right === null ? '·' : b[pair.right]}`,
  );
  assert.equal(pairs.join(' '), expected);
}

test('equal tokens are aligned, replaced ones side by side, and added ones alone', () => {
  checkAligned('a b c', 'a b c', 'aa bb cc');
  checkAligned('a b c', 'a x c', 'aa bx cc');
  checkAligned('a b c', 'a b n c', 'aa bb ·n cc');
  checkAligned('a b c', 'b c', 'a· bb cc');
  checkAligned('x a y b z', 'a q r b', 'x· aa ·q yr bb z·');
});

test('a word of several tokens stands under the last token of the one that it replaces', () => {
  checkAligned('in D is', 'in o k is', 'inin ·o Dk isis');
});

test('every token of both lists has one place, in order', () => {
  const tokens = fc.array(fc.constantFrom('a', 'b', 'c', 'd'), { maxLength: 12 });
  fc.assert(
    fc.property(tokens, tokens, (left, right) => {
      const pairs = alignTokens(left, right);
      assert.deepEqual(
        pairs.flatMap((pair) => pair.left ?? []),
        [...left.keys()],
      );
      assert.deepEqual(
        pairs.flatMap((pair) => pair.right ?? []),
        [...right.keys()],
      );
    }),
  );
});

test('prompts of many thousand tokens are aligned by what they begin and end with', () => {
  const left = Array.from({ length: 6000 }, (_, index) => `l${index}`);
  const right = ['l0', ...Array.from({ length: 6000 }, (_, index) => `r${index}`), 'l5999'];
  assert.equal(alignTokens(left, right).filter((pair) => pair.left !== null && pair.right !== null).length, 6000);
});

test('a graph compared with itself is all shared and unchanged', () => {
  fc.assert(
    fc.property(anyGraph, (graph) => {
      const { nodes, edges } = compareGraphs(graph, graph);
      assert.deepEqual([nodes.onlyLeft, nodes.onlyRight, edges.onlyLeft, edges.onlyRight], [[], [], [], []]);
      assert.ok(nodes.both.every((node) => !node.activationChange && !node.influenceChange));
    }),
  );
});

test('two traces share what is the same feature at aligned tokens, with the change of its activation', () => {
  const left = dallasGraph();
  const right = smallGraph(
    ['capital', ' Oak', 'land', ' is'],
    [
      feature(1, 10, 2, { activation: 0.5, influence: 0.9 }),
      feature(1, 12, 2),
      feature(2, 20, 3, { activation: 3, influence: 0.1 }),
      token(5, 0, 'capital'),
      token(7, 2, 'land'),
      logit(9, 3, ' Austin', 0.1, true),
      logit(4, 3, ' Sacramento', 0.7),
    ],
    [
      ['1_10_2', '2_20_3', 0.25],
      ['2_20_3', '5_9_3', 1],
      ['2_20_3', '5_4_3', 2],
    ],
  );
  const { nodes, edges, positions } = compareGraphs(left, right);
  assert.deepEqual(positions, [
    { left: 0, right: 0 },
    { left: null, right: 1 },
    { left: 1, right: 2 },
    { left: 2, right: 3 },
  ]);
  const ids = nodes.both.map((pair) => [left.nodes[pair.left].id, right.nodes[pair.right].id]);
  assert.deepEqual(ids, [
    ['1_10_1', '1_10_2'],
    ['2_20_2', '2_20_3'],
    ['E_5_0', 'E_5_0'],
    ['5_9_2', '5_9_3'],
  ]);
  assert.equal(nodes.both[0].activationChange, -0.5);
  assert.ok(Math.abs((nodes.both[1].influenceChange ?? 0) + 0.3) < 1e-9);
  assert.deepEqual(
    nodes.onlyLeft.map((node) => left.nodes[node].id),
    ['1_11_1', '3_error_mlp_2', 'E_6_1', '5_8_2'],
  );
  assert.deepEqual(
    nodes.onlyRight.map((node) => right.nodes[node].id),
    ['1_12_2', 'E_7_2', '5_4_3'],
  );
  assert.deepEqual(edges.both, [
    { left: 2, right: 0, change: -0.75 },
    { left: 5, right: 1, change: -2 },
  ]);
  assert.deepEqual(edges.onlyRight, [2]);
  assert.equal(edges.onlyLeft.length, 6);
});
