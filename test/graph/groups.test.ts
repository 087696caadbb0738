import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Edges } from '../../src/graph/circuitGraph.ts';
import { carriedShare, groupEdges, groupsOf } from '../../src/graph/groups.ts';
import { anyGraph } from '../support/anyGraph.ts';
import { dallasGraph } from '../support/smallGraph.ts';

const [texas, other, austinFeature, errorNode, capital, dallas, austin, boston] = [0, 1, 2, 3, 4, 5, 6, 7];

function checkCarried(members: readonly number[], target: number, share: number): void {
  assert.ok(Math.abs(carriedShare(dallasGraph(), members, target) - share) < 1e-9, `not ${share}`);
}

test('a group carries the share of the paths into the output that pass through it', () => {
  checkCarried([austinFeature], austin, 0.75);
  checkCarried([errorNode], austin, 0.25);
  checkCarried([texas], austin, 0.75 / 4);
  checkCarried([texas, other], austin, 0.75 / 2);
  checkCarried([dallas], austin, 0.75 / 2);
  checkCarried([austinFeature], boston, 1);
  checkCarried([], austin, 0);
});

test('a path that meets several members counts once', () => {
  checkCarried([texas, dallas, austinFeature], austin, 0.75);
  checkCarried([capital, dallas, errorNode], austin, 1);
});

test('a target carries all of itself', () => {
  checkCarried([austin], austin, 1);
});

test('no group carries more than all, and adding a member never makes it carry less', () => {
  fc.assert(
    fc.property(anyGraph, fc.array(fc.nat(30), { maxLength: 5 }), fc.nat(30), fc.nat(30), (graph, list, more, to) => {
      const count = graph.nodes.length;
      fc.pre(count > 0);
      const members = list.map((node) => node % count);
      const forward = { ...graph, edges: forwardEdges(graph.edges) };
      const share = carriedShare(forward, members, to % count);
      assert.ok(share >= 0 && share <= 1);
      assert.ok(carriedShare(forward, [...members, more % count], to % count) >= share - 1e-9);
    }),
  );
});

test('supernodes come first, then what else is pinned; nodes that are gone are left out', () => {
  const graph = dallasGraph({
    pinned: ['1_10_1', '2_20_2', 'gone', '3_error_mlp_2', 'E_6_1'],
    supernodes: [
      { label: 'Texas', members: ['1_10_1', '1_11_1', 'gone'] },
      { label: 'empty', members: ['gone'] },
    ],
    labels: { '2_20_2': 'say a capital' },
  });
  assert.deepEqual(groupsOf(graph), [
    { label: 'Texas', members: [texas, other] },
    { label: 'say a capital', members: [austinFeature] },
    { label: 'error L3', members: [errorNode] },
    { label: ' Dallas', members: [dallas] },
  ]);
});

test('edges between groups are the sums of those between their members', () => {
  const groups = [
    { label: 'input', members: [capital, dallas] },
    { label: 'Texas', members: [texas, other] },
    { label: 'say', members: [austinFeature] },
  ];
  assert.deepEqual(groupEdges(dallasGraph(), groups), [
    { source: 0, target: 1, weight: 6 },
    { source: 0, target: 2, weight: 2 },
    { source: 1, target: 2, weight: 0 },
  ]);
  // What stays within a group is no edge between groups.
  assert.deepEqual(groupEdges(dallasGraph(), [{ label: 'both', members: [texas, austinFeature] }]), []);
});

/** Real graphs have no cycle: every edge is turned to lead from the earlier to the later node. */
function forwardEdges({ source, target, weight }: Edges): Edges {
  return {
    source: source.map((from, edge) => Math.min(from, target[edge])),
    target: target.map((to, edge) => Math.max(to, source[edge])),
    weight: weight.map((value, edge) => (source[edge] === target[edge] ? 0 : value)),
  };
}
