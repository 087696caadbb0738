import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { emptyView } from '../../src/graph/circuitGraph.ts';
import {
  type CompareState,
  hoveredPair,
  hoverPair,
  inPane,
  receive,
  rememberedOf,
  selectedPair,
  selectPair,
  startComparison,
} from '../../webview/comparison/compareStore.ts';
import { createComparisonDeriver } from '../../webview/comparison/comparisonDerive.ts';
import { differences, sorted } from '../../webview/comparison/differences.ts';
import { strongestNeighbours } from '../../webview/comparison/neighbours.ts';
import { pairTraces, paneNames } from '../../webview/comparison/pairing.ts';
import { select, setArea, setCamera, setThreshold, togglePin } from '../../webview/updates.ts';
import { anyGraph } from '../support/anyGraph.ts';
import { comparedTraces } from '../support/comparedTraces.ts';
import { asTrace } from '../support/sampleTrace.ts';

const traces = comparedTraces();
const pairing = pairTraces(traces);

function shown(): CompareState {
  let state = receive({ type: 'showComparison', traces })(startComparison(null));
  for (const pane of paneNames) state = inPane(pane, setArea({ width: 600, height: 400 }))(state);
  return state;
}

test('every node of two traces is one pair, and a pair is in at least one of them', () => {
  fc.assert(
    fc.property(anyGraph, anyGraph, (left, right) => {
      const names = { left: 'a', right: 'b' };
      const { nodeOf, pairOf, presence } = pairTraces({ left: asTrace(left), right: asTrace(right), names });
      for (const [side, graph] of [
        ['left', left],
        ['right', right],
      ] as const) {
        for (const node of graph.nodes.keys()) assert.equal(nodeOf[side][pairOf[side][node]], node);
      }
      for (const [pair, where] of presence.entries()) {
        assert.equal(nodeOf.left[pair] >= 0, where !== 'right');
        assert.equal(nodeOf.right[pair] >= 0, where !== 'left');
      }
    }),
    { numRuns: 60 },
  );
});

test('what is chosen, hovered, pruned and zoomed in one picture follows in the others', () => {
  const leftOnly = pairing.presence.findIndex((where) => where === 'left');
  const shared = pairing.presence.findIndex((where) => where === 'changed');
  let state = inPane('right', select(pairing.nodeOf.right[shared]))(shown());
  assert.equal(selectedPair(state), shared);
  assert.equal(state.panes.left.selected, pairing.nodeOf.left[shared]);
  assert.equal(state.lastSide, 'right');
  state = selectPair(leftOnly)(state);
  assert.equal(state.panes.left.selected, pairing.nodeOf.left[leftOnly]);
  assert.equal(state.panes.right.selected, null);
  state = hoverPair(shared)(state);
  assert.equal(hoveredPair(state), shared);
  state = inPane('left', setThreshold(0.5))(state);
  assert.deepEqual(
    paneNames.map((pane) => state.panes[pane].view.pruningThreshold),
    [0.5, 0.5, 0.5],
  );
  const camera = { x: 3, y: 0, scaleX: 2, scaleY: 2 };
  state = inPane('left', setCamera(camera))(state);
  assert.deepEqual(state.panes.right.camera, camera);
  assert.equal(state.panes.one.camera, null);
});

test('pins and groups belong to the traces’ own graphs', () => {
  const state = inPane('left', togglePin([0]))(shown());
  assert.deepEqual(state.panes.left.view.pinned, []);
});

test('aligned tokens stand in the same columns', () => {
  const derived = createComparisonDeriver()(shown())!;
  const [left, right] = [derived.panes.left!.grid, derived.panes.right!.grid];
  assert.deepEqual(left.columns, right.columns);
  assert.equal(left.height, right.height);
  assert.equal(derived.panes.one, null);
  // “ San” has no counterpart on the left.
  assert.deepEqual([...derived.pairing.gaps.left], [9]);
  assert.deepEqual([...derived.pairing.gaps.right], []);
});

test('the table holds what differs, each in its own order', () => {
  const rows = differences(pairing);
  const name = (pair: number) => pairing.index.one.graph.nodes[pair].label;
  const byInfluence = sorted(rows, 'all', { by: 'influence', isDescending: true }, name);
  const sizes = byInfluence.map(({ influenceChange }) => Math.abs(influenceChange));
  assert.deepEqual(
    sizes,
    [...sizes].sort((a, b) => b - a),
  );
  const onlyRight = sorted(rows, 'right', { by: 'activation', isDescending: true }, name);
  assert.ok(
    onlyRight.length > 0 &&
      onlyRight.every(({ activation, presence }) => presence === 'right' && activation.left === null),
  );
  const changed = sorted(rows, 'changed', { by: 'activation', isDescending: false }, name);
  assert.deepEqual(new Set(changed.map(({ pair }) => name(pair))), new Set(['say a capital']));
  for (const { activation, activationChange } of changed)
    assert.ok(Math.abs((activationChange ?? 0) - 0.6 * (activation.left ?? 0)) < 1e-6);
  const names = sorted(rows, 'all', { by: 'name', isDescending: false }, name).map(({ pair }) => name(pair));
  assert.deepEqual(
    names,
    [...names].sort((a, b) => a.localeCompare(b)),
  );
});

test('neighbours of a pair carry the share of each side', () => {
  const pair = pairing.presence.findIndex(
    (where, at) => where === 'changed' && pairing.index.one.graph.nodes[at].layer === 4,
  );
  const inputs = strongestNeighbours(pairing, pair, 'inputs');
  assert.ok(inputs.length > 3);
  for (const { pair: other, left, right } of inputs) {
    assert.equal(left === null, pairing.nodeOf.left[other] < 0);
    assert.equal(right === null, pairing.nodeOf.right[other] < 0);
  }
});

test('a comparison that is shown again keeps what is looked at, and what was kept may be anything', () => {
  const chosen = selectPair(pairing.presence.indexOf('changed'))(inPane('left', setThreshold(0.7))(shown()));
  const again = receive({ type: 'showComparison', traces })(chosen);
  assert.equal(again.panes.left.view.pruningThreshold, 0.7);
  assert.deepEqual(rememberedOf(again), { left: 'trace 1', right: 'trace 2', mode: 'side', tableHeight: 210 });
  for (const kept of [null, 3, 'x', { mode: 'three', tableHeight: 'high' }, { tableHeight: 1e9 }])
    assert.deepEqual(startComparison(kept), startComparison(null));
  assert.deepEqual(again.panes.left.view.supernodes, emptyView.supernodes);
});
