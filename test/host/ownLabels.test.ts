import assert from 'node:assert/strict';
import { test } from 'node:test';
import { emptyView } from '../../src/graph/circuitGraph.ts';
import { type LabelMemory, OwnLabels } from '../../src/host/ownLabels.ts';
import { dallasTrace } from '../support/sampleTrace.ts';

function memory(): LabelMemory {
  const values = new Map<string, unknown>();
  return {
    get: <Value>(key: string) => values.get(key) as Value | undefined,
    update: async (key, value) => {
      values.set(key, JSON.parse(JSON.stringify(value)));
    },
  };
}

const { graph } = dallasTrace();
const [first, again] = graph.nodes.filter(({ label, layer }) => label === 'Texas' && layer === 1);

test('a feature that was named in one graph has its name in the graphs that are traced later', async () => {
  const labels = new OwnLabels(memory());
  const named = { ...graph, view: { ...emptyView, labels: { [first.id]: 'Lone Star' } } };
  await labels.remember(named, emptyView);
  const later = labels.withKept(graph);
  assert.equal(later.view.labels[first.id], 'Lone Star');
  assert.equal(again.feature, first.feature);
  assert.equal(later.view.labels[again.id], 'Lone Star', 'at every token');
  assert.equal(Object.keys(later.view.labels).length, 2);
  const other = { ...graph, metadata: { ...graph.metadata, scan: 'another/set' } };
  assert.deepEqual(labels.withKept(other).view.labels, {}, 'features of another set are others');
});

test('a name that was taken back is forgotten, and a graph’s own names win', async () => {
  const labels = new OwnLabels(memory());
  const view = { ...emptyView, labels: { [first.id]: 'Lone Star' } };
  await labels.remember({ ...graph, view }, emptyView);
  const own = { ...graph, view: { ...emptyView, labels: { [first.id]: 'mine' } } };
  assert.equal(labels.withKept(own).view.labels[first.id], 'mine');
  await labels.remember({ ...graph, view: emptyView }, view);
  assert.deepEqual(labels.withKept(graph).view.labels, {});
});

test('what is kept by another version does no harm', () => {
  for (const kept of [null, 'x', [1, ['a'], ['3/1', 2], ['__proto__', 'x']], { '3/1': 'x' }]) {
    const labels = new OwnLabels({ get: <Value>() => kept as Value, update: async () => {} });
    assert.deepEqual(labels.withKept(graph).view.labels, {});
  }
});
