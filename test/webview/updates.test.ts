import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createDeriver } from '../../webview/derive.ts';
import { controlsWidth, fittedCamera, gutter } from '../../webview/drawing/scene.ts';
import { nameForGroup } from '../../webview/groupName.ts';
import * as messages from '../../webview/messageUpdates.ts';
import type { Update } from '../../webview/store.ts';
import { createStore, initialState } from '../../webview/store.ts';
import * as updates from '../../webview/updates.ts';
import { dallasTrace, sampleCard } from '../support/sampleTrace.ts';

const trace = dallasTrace();
const { nodes } = trace.graph;
const texas = nodes.flatMap(({ label }, node) => (label === 'Texas' ? [node] : []));
const ids = texas.map((node) => nodes[node].id);

/** The state after a graph was shown and the given updates applied. */
function after(...applied: readonly Update[]) {
  const store = createStore(initialState(null));
  store.apply(messages.receive({ type: 'showGraph', trace }));
  for (const update of applied) store.apply(update);
  return store.state();
}

test('selecting a node remembers its id for the file', () => {
  const state = after(updates.select(texas[0]));
  assert.equal(state.view.clicked, ids[0]);
  assert.equal(after(updates.select(texas[0]), updates.select(null)).view.clicked, null);
});

test('pinning twice unpins, and an unpinned node leaves its group', () => {
  const pinned = after(updates.togglePin([texas[0]]));
  assert.deepEqual(pinned.view.pinned, [ids[0]]);
  assert.deepEqual(after(updates.togglePin([texas[0]]), updates.togglePin([texas[0]])).view.pinned, []);
  const grouped = after(updates.group(texas.slice(0, 2), 'Texas'), updates.togglePin([texas[0]]));
  assert.deepEqual(grouped.view.supernodes, [{ label: 'Texas', members: [ids[1]] }]);
});

test('the first pin opens the subgraph', () => {
  assert.equal(after().panels.isSubgraphOpen, false);
  assert.equal(after(updates.togglePin([texas[0]])).panels.isSubgraphOpen, true);
});

test('a node is in one group at most', () => {
  const state = after(updates.group(texas.slice(0, 3), 'one'), updates.group(texas.slice(2, 4), 'two'));
  assert.deepEqual(
    state.view.supernodes.map(({ members }) => members),
    [ids.slice(0, 2), ids.slice(2, 4)],
  );
});

test('an ungrouped supernode leaves its members pinned', () => {
  const state = after(updates.group(texas, 'Texas'), updates.ungroup(0));
  assert.deepEqual(state.view.supernodes, []);
  assert.deepEqual(new Set(state.view.pinned), new Set(ids));
});

test('an empty label brings the old one back', () => {
  const edited = after(updates.editLabel(texas[0], '  Lone Star  '));
  assert.equal(edited.view.labels[ids[0]], 'Lone Star');
  assert.deepEqual(after(updates.editLabel(texas[0], 'x'), updates.editLabel(texas[0], ' ')).view.labels, {});
});

test('Escape goes back one step at a time', () => {
  const state = after(
    updates.select(texas[0]),
    updates.mark(texas),
    updates.setSearch('texas'),
    updates.hover(texas[1]),
    updates.freezeHover(true),
  );
  const first = updates.stepBack(state);
  assert.equal(first.isHoverFrozen, false);
  const second = updates.stepBack(first);
  assert.deepEqual([second.marked.length, second.selected], [0, texas[0]]);
  const third = updates.stepBack(second);
  assert.deepEqual([third.selected, third.search], [null, 'texas']);
  assert.equal(updates.stepBack(third).search, '');
});

test('frozen hovering stays where it is', () => {
  const state = after(updates.hover(texas[0]), updates.freezeHover(true), updates.hover(texas[1]));
  assert.equal(state.hovered, texas[0]);
});

test('a trace that is sent again keeps the selection, another trace does not', () => {
  const selected = after(updates.select(texas[0]));
  const again = messages.receive({ type: 'showGraph', trace: { ...trace, graph: { ...trace.graph } } })(selected);
  assert.equal(again.selected, texas[0]);
  const other = messages.receive({ type: 'showGraph', trace: { ...trace, id: 'other' } })(selected);
  assert.equal(other.selected, null);
});

test('ids of another graph are skipped', () => {
  const view = { pinned: ['nobody', ids[0]], supernodes: [{ label: 'x', members: ['nowhere'] }] };
  const state = messages.receive({ type: 'showGraph', trace: dallasTrace(view) })(initialState(null));
  const derived = createDeriver()(state);
  assert.equal(derived?.pinned.size, 1);
  assert.equal(derived?.subgraph.boxes.length, 2);
});

test('cards and labels bring the features’ frequencies', () => {
  const card = sampleCard(3, 113);
  const state = messages.receive({ type: 'featureCard', layer: 3, feature: 113, card })(after());
  assert.equal(state.frequencies.get('3/113'), card.activationFrequency);
  const labels = [{ layer: 1, feature: 127, label: 'articles', frequency: 0.2 }];
  const labelled = messages.receive({ type: 'labels', labels })(state);
  assert.equal(labelled.frequencies.get('1/127'), 0.2);
  assert.equal(labelled.setLabels.get('1/127')?.label, 'articles');
});

test('a group is named after what most of its nodes are called', () => {
  const other = nodes.findIndex(({ label }) => label === 'US states');
  assert.equal(nameForGroup(after(updates.mark([...texas, other]))), 'Texas');
  const unlabelled = nodes.flatMap(({ kind, label }, node) => (kind === 'feature' && label === '' ? [node] : []));
  assert.equal(nameForGroup(after(updates.mark(unlabelled))), 'Group 1');
});

test('the summary’s groups become a subgraph that keeps their names', () => {
  const state = after();
  const derived = createDeriver()(state)!;
  const started = updates.pinGroups(derived)(state);
  assert.ok(started.view.supernodes.some(({ label }) => label === 'Texas'));
  const target = nodes.findIndex(({ isTarget }) => isTarget);
  assert.ok(started.view.pinned.includes(nodes[target].id));
});

test('an update that changes nothing is not told to anyone', () => {
  const store = createStore(after());
  let calls = 0;
  store.subscribe(() => calls++);
  store.apply(updates.hover(null));
  store.apply(updates.setSearch(''));
  assert.equal(calls, 0);
});

test('a picture at rest ends left of the zoom buttons, whether it fits or scrolls', () => {
  for (const width of [120, 300, 1400]) {
    const area = { width, height: 500 };
    const derived = createDeriver()(after(updates.setArea(area)));
    assert.ok(derived);
    const camera = fittedCamera(derived.grid, area);
    const right = gutter + (derived.grid.width - camera.x) * camera.scaleX;
    assert.ok(right <= width - controlsWidth + 0.5, `${right} of ${width}`);
  }
});
