import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nodesOfEdit } from '../../src/graph/editsOfNodes.ts';
import { type GraphEdit, plainRun } from '../../src/graph/interventions.ts';
import { requestedEdits } from '../../src/protocol/interventionRequest.ts';
import type { FromPanel } from '../../src/protocol/panel.ts';
import { receive } from '../../webview/messageUpdates.ts';
import { changedNodes, changeEdit, editedNodes, noRun, noSteering, withEdit } from '../../webview/steeringState.ts';
import { tellInterventions } from '../../webview/steeringSync.ts';
import { createStore, initialState } from '../../webview/store.ts';
import { addEdit, setSteering } from '../../webview/updates.ts';
import { dallasTrace } from '../support/sampleTrace.ts';

const trace = dallasTrace();
const { graph } = trace;
const { nodes } = graph;
const texas = nodes.flatMap(({ label }, node) => (label === 'Texas' ? [node] : []));
const token = nodes.findIndex(({ kind }) => kind === 'token');
const error = nodes.findIndex(({ kind }) => kind === 'error');

const asked = (edit: GraphEdit) => requestedEdits([edit], plainRun);
const withTexas = withEdit(noSteering, 'Texas', [...texas, token], graph);
const [edit] = withTexas.interventions.edits;
assert.ok(edit.type === 'features');

test('an edit is one intervention for every feature of its group, and edits that are off are none', () => {
  assert.equal(asked(edit).interventions.length, texas.length);
  assert.ok(asked(edit).interventions.every(({ kind, value }) => kind === 'scale' && value === 0));
  const doubled = changeEdit(withTexas, 0, (now) => ({ ...now, factor: -2 }) as GraphEdit).interventions.edits;
  assert.ok(requestedEdits(doubled, plainRun).interventions.every(({ value }) => value === -2));
  assert.deepEqual(asked({ ...edit, isOn: false }).interventions, []);
  assert.deepEqual(changeEdit(withTexas, 0, null).interventions.edits, []);
  assert.equal(withEdit(withTexas, 'again', [...texas, token], graph).interventions.edits.length, 1);
  assert.equal(withEdit(noSteering, 'a token', [token], graph).interventions.edits.length, 0);
});

test('set and add are in units of what each feature was worth where it was found; off is off', () => {
  const [first] = edit.sites;
  const [set] = asked({ ...edit, kind: 'set', factor: 2 }).interventions;
  assert.deepEqual(set, {
    layer: first.layer,
    feature: first.feature,
    pos: first.pos,
    kind: 'set',
    value: 2 * first.unit,
  });
  assert.equal(asked({ ...edit, kind: 'add', factor: -1 }).interventions[0].value, -first.unit);
  assert.equal(asked({ ...edit, kind: 'ablate', factor: 3 }).interventions[0].value, 0);
});

test('over a range a feature is edited once, however many places it was found at', () => {
  const sites = [3, 5, 7].map((pos, i) => ({ layer: 1, feature: 4, pos, unit: [1, 4, 2][i] }));
  const ranged: GraphEdit = { ...edit, kind: 'set', factor: 1, sites, places: { start: 2, stop: null } };
  assert.deepEqual(asked(ranged).interventions, [
    { layer: 1, feature: 4, pos: { start: 2, stop: null }, kind: 'set', value: 4 },
  ]);
});

test('error nodes and patches are asked for as such, and what is held as layers', () => {
  const { layer, pos } = nodes[error];
  const [ofError] = withEdit(noSteering, 'an error', [error], graph).interventions.edits;
  assert.deepEqual(asked(ofError).errors, [{ layer, pos, factor: 0 }]);
  const patch: GraphEdit = {
    ...{ type: 'patch', name: 'p', isOn: true, tokens: [1, 2], pos: 1, fromPos: 0 },
    ...{ layer: null, feature: null, nodes: 'all' },
  };
  assert.deepEqual(asked(patch).patches, [
    { prompt: { type: 'tokens', ids: [1, 2] }, pos: 1, fromPos: 0, layer: null, feature: null, nodes: 'all' },
  ]);
  const options = { ...plainRun, freeze: { from: 1, to: 3 }, sampling: { temperature: 1, topP: 1, seed: 2 } } as const;
  const { constrainedLayers, freezeAttention, sampling } = requestedEdits([], options);
  assert.deepEqual([constrainedLayers, freezeAttention, sampling], [[1, 2, 3], false, null]);
  assert.equal(requestedEdits([], { ...plainRun, freeze: 'attention' }).freezeAttention, true);
});

test('the picture marks what edits change and what a run changed, the largest change as 1', () => {
  assert.deepEqual([...editedNodes(withTexas, graph)], texas);
  assert.deepEqual(
    [
      ...editedNodes(
        changeEdit(withTexas, 0, (now) => ({ ...now, isOn: false })),
        graph,
      ),
    ],
    [],
  );
  const { layer, pos, feature } = nodes[texas[0]];
  const changed = [
    { layer, pos, feature: feature ?? 0, before: 2, after: 0 },
    { layer: 0, pos: 0, feature: 999_999, before: 0, after: 4 },
  ];
  const result = { before: [], after: [], generatedBefore: [], generatedAfter: [], changed, milliseconds: 1 };
  const steering = { ...withTexas, run: { ...noRun, result } };
  assert.deepEqual([...changedNodes(steering, graph)], [[texas[0], -0.5]]);
  const everywhere: GraphEdit = { ...edit, places: { start: 0, stop: null } };
  assert.ok(nodesOfEdit(everywhere, graph).length >= texas.length);
});

test('a change is told once, before the run that was asked for; what comes from elsewhere is not told back', () => {
  const posted: FromPanel[] = [];
  const host = { post: (message: FromPanel) => posted.push(message) };
  const store = createStore(initialState(null));
  tellInterventions(store, host);
  store.apply(receive({ type: 'showGraph', trace }));
  assert.deepEqual(posted, []);
  store.apply((state) => setSteering((now) => ({ ...now, isWanted: true }))(addEdit('Texas', texas)(state)));
  assert.deepEqual(
    posted.map(({ type }) => type),
    ['interventionsChanged', 'runInterventions'],
  );
  const elsewhere = { ...store.state().steering.interventions, edits: [] };
  store.apply(receive({ type: 'interventions', interventions: elsewhere }));
  assert.equal(store.state().steering.interventions.edits.length, 0);
  assert.equal(posted.length, 2);
  store.apply(receive({ type: 'nothing' }));
  assert.equal(store.state().index, null);
});
