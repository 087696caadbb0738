import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { activeFilters, noFilters, toggleKind, togglePosition } from '../../webview/filters.ts';
import { indexGraph } from '../../webview/graphIndex.ts';
import { edgesOfNode, featureKey, startThreshold, visibleGraph } from '../../webview/visible.ts';
import { dallasTrace, largeTrace } from '../support/sampleTrace.ts';

const index = indexGraph(dallasTrace().graph);
const { nodes } = index.graph;
const none: ReadonlySet<number> = new Set();
const show = (threshold: number, filters = noFilters, keep = none) =>
  visibleGraph(index, threshold, filters, new Map(), keep);

test('showing a larger share of the influence takes no node away', () => {
  const large = indexGraph(largeTrace(500, 3500, 12, 6).graph);
  const share = fc.double({ min: 0.05, max: 1, noNaN: true });
  fc.assert(
    fc.property(share, share, (a, b) => {
      const less = visibleGraph(large, Math.min(a, b), noFilters, new Map(), none);
      const more = visibleGraph(large, Math.max(a, b), noFilters, new Map(), none);
      assert.ok(less.nodes.every((node) => more.isVisible[node] === 1));
    }),
    { numRuns: 40 },
  );
});

test('tokens and outputs stay however little is shown', () => {
  const visible = show(0.05);
  nodes.forEach(({ kind }, node) => {
    if (kind === 'token' || kind === 'logit') assert.equal(visible.isVisible[node], 1);
  });
});

test('pinned nodes stay on screen whatever is filtered out', () => {
  const pinned = nodes.findIndex(({ label }) => label === 'say Austin');
  const filters = { ...toggleKind(noFilters, 'feature'), layers: [0, 0] as const };
  assert.equal(show(0.05, filters).isVisible[pinned], 0);
  assert.equal(show(0.05, filters, new Set([pinned])).isVisible[pinned], 1);
});

test('a hidden kind, layer, position or frequent feature is left out', () => {
  const kinds = (filters: typeof noFilters) => [...show(1, filters).nodes].map((node) => nodes[node]);
  assert.ok(kinds(toggleKind(noFilters, 'error')).every(({ kind }) => kind !== 'error'));
  assert.ok(kinds(noFilters).some(({ kind }) => kind === 'error'));
  const inLayers = kinds({ ...noFilters, layers: [2, 3] }).filter(({ kind }) => kind === 'feature');
  assert.ok(inLayers.length > 0 && inLayers.every(({ layer }) => layer === 2 || layer === 3));
  const inColumn = kinds(togglePosition(noFilters, 9)).filter(({ kind }) => kind !== 'logit');
  assert.ok(inColumn.length > 0 && inColumn.every(({ pos }) => pos === 9));
  const frequent = nodes.findIndex(({ label }) => label === 'US states');
  const frequencies = new Map([[featureKey(nodes[frequent].layer, nodes[frequent].feature ?? -1), 0.4]]);
  const shown = visibleGraph(index, 1, { ...noFilters, maxFrequency: 0.1 }, frequencies, none);
  assert.equal(shown.isVisible[frequent], 0);
  assert.ok(shown.featureCount > 10);
});

test('a very large graph opens with its most influential nodes, and the slider still shows all', () => {
  const large = indexGraph(largeTrace(3000, 12000, 30, 12).graph);
  const start = startThreshold(large, 500);
  const inner = (threshold: number) => {
    const { featureCount, errorCount } = visibleGraph(large, threshold, noFilters, new Map(), none);
    return featureCount + errorCount;
  };
  assert.ok(start < 1 && inner(start) <= 501 && inner(start) > 200, `${inner(start)} nodes at ${start}`);
  assert.ok(inner(1) > inner(start));
  assert.equal(startThreshold(large, 5000), 1);
});

test('at rest the strongest edges are drawn, and all are counted', () => {
  const visible = show(1, { ...noFilters, edgeLimit: 20 });
  assert.equal(visible.edges.length, 20);
  assert.ok(visible.edgeCount > 100);
  const weakest = Math.min(...Array.from(visible.edges, (edge) => index.flow[edge]));
  const drawn = new Set(visible.edges);
  for (let edge = 0; edge < index.flow.length; edge++) {
    const { source, target } = index.graph.edges;
    const isOnScreen = visible.isVisible[source[edge]] === 1 && visible.isVisible[target[edge]] === 1;
    if (isOnScreen && !drawn.has(edge)) assert.ok(index.flow[edge] <= weakest);
  }
});

test('a node shows its inputs, its outputs, both, or only those to pinned nodes', () => {
  const visible = show(1);
  const node = nodes.findIndex(({ label, layer }) => label === 'Texas' && layer === 3);
  const { source, target } = index.graph.edges;
  const inputs = edgesOfNode(index, visible, node, 'input', none);
  const outputs = edgesOfNode(index, visible, node, 'output', none);
  assert.ok(inputs.length > 0 && inputs.every((edge) => target[edge] === node));
  assert.ok(outputs.length > 0 && outputs.every((edge) => source[edge] === node));
  assert.equal(edgesOfNode(index, visible, node, 'either', none).length, inputs.length + outputs.length);
  const pinned = new Set([node, source[inputs[0]]]);
  const between = edgesOfNode(index, visible, node, 'both', pinned);
  assert.ok(between.includes(inputs[0]) && between.length < inputs.length + outputs.length);
  assert.equal(edgesOfNode(index, visible, node, 'both', none).length, inputs.length + outputs.length);
});

test('the sign filter leaves edges of the other sign out', () => {
  const visible = show(1, { ...noFilters, sign: 'negative' });
  assert.ok(visible.edges.length > 0);
  assert.ok(visible.edges.every((edge) => index.graph.edges.weight[edge] < 0));
});

test('every filter that is on counts once', () => {
  assert.equal(activeFilters(noFilters), 0);
  const filters = togglePosition(
    toggleKind({ ...noFilters, sign: 'positive', layers: [0, 1], maxFrequency: 0.1 }, 'error'),
    3,
  );
  assert.equal(activeFilters(filters), 5);
  assert.deepEqual(togglePosition(togglePosition(noFilters, 3), 3).positions, null);
});
