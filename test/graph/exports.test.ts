import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { edgesCsv, nodesCsv } from '../../src/graph/csv.ts';
import { neuronpediaProblems, toCircuitTracer, toNeuronpedia } from '../../src/graph/exportGraph.ts';
import { code, markdownSummary } from '../../src/graph/markdown.ts';
import { readGraph } from '../../src/graph/readGraph.ts';
import { parseShareLink, shareLink } from '../../src/graph/shareLink.ts';
import { readSubgraphRecord, toSubgraphRecord, withSavedView } from '../../src/graph/subgraphRecord.ts';
import { UserError } from '../../src/protocol/errors.ts';
import { anyGraph } from '../support/anyGraph.ts';
import { dallasGraph, feature, smallGraph, token } from '../support/smallGraph.ts';

const view = {
  pinned: ['1_10_1', '1_11_1', '2_20_2'],
  supernodes: [{ label: 'Texas, "the state"', members: ['1_10_1', '1_11_1'] }],
  labels: { '2_20_2': 'say a capital', E_6_1: 'the city' },
  clicked: '2_20_2',
  pruningThreshold: 0.7,
};

function parseCsv(text: string): string[][] {
  const cells = text.matchAll(/("(?:[^"]|"")*"|[^,\r\n]*)(,|\r\n)/g);
  const rows: string[][] = [[]];
  for (const [, cell, end] of cells) {
    rows[rows.length - 1].push(cell.startsWith('"') ? cell.slice(1, -1).replaceAll('""', '"') : cell);
    if (end !== ',') rows.push([]);
  }
  return rows.slice(0, -1);
}

test("an export for circuit-tracer has the set's reference and nothing of Neuronpedia", () => {
  const attention = readFileSync(join(import.meta.dirname, '..', 'fixtures', 'graphs', 'attention.json'), 'utf8');
  const file = JSON.parse(toCircuitTracer(readGraph(attention).graph, 'example/qwen-set'));
  assert.equal(file.metadata.scan, 'example/qwen-set');
  assert.equal(file.metadata.feature_details, undefined);
  assert.deepEqual(file.metadata.transcoder_list, []);
  assert.equal(file.metadata.schema_version, 1);
});

test('an export for Neuronpedia names its model and source set, and still opens as the same graph', () => {
  const graph = dallasGraph(view);
  const text = toNeuronpedia(graph, 'gemma-2-2b', 'gemmascope-transcoder-16k');
  const file = JSON.parse(text);
  assert.equal(file.metadata.scan, 'gemma-2-2b');
  assert.equal(file.metadata.feature_details.neuronpedia_source_set, 'gemmascope-transcoder-16k');
  assert.equal(file.metadata.info.transcoder_set, 'example/set');
  const again = readGraph(text).graph;
  assert.deepEqual([again.edges, again.view], [graph.edges, graph.view]);
  // The user's name of a feature stands at the feature, where Neuronpedia looks for it.
  const named = graph.nodes.map((node) => (node.id === '2_20_2' ? { ...node, label: 'say a capital' } : node));
  assert.deepEqual(again.nodes, named);
});

test('other viewers get the members of supernodes as pinned nodes, which they draw only then', () => {
  const graph = dallasGraph({ pinned: ['2_20_2'], supernodes: [{ label: 'Texas', members: ['1_10_1', '2_20_2'] }] });
  const pinned = ['2_20_2', '1_10_1'];
  assert.deepEqual(JSON.parse(toCircuitTracer(graph)).qParams.pinnedIds, pinned);
  assert.deepEqual(JSON.parse(toNeuronpedia(graph, 'm', null)).qParams.pinnedIds, pinned);
  assert.equal(parseShareLink(shareLink(graph, 'https://example.org', 'm')).view.pinnedIds, pinned.join(','));
  assert.deepEqual(toSubgraphRecord(graph, 'm', 'Texas').pinnedIds, pinned);
});

test('what Neuronpedia would not draw is told before the export', () => {
  assert.deepEqual(neuronpediaProblems(dallasGraph()), []);
  const flat = smallGraph(new Array(70).fill('a'), [feature(0, 1, 1), token(1, 1, 'a')], []);
  assert.equal(neuronpediaProblems(flat).length, 2);
});

test('the table of nodes has a row for each, quoted where it has to be', () => {
  const rows = parseCsv(nodesCsv(dallasGraph(view)));
  assert.equal(rows.length, 9);
  const texas = Object.fromEntries(rows[0].map((name, column) => [name, rows[1][column]]));
  assert.deepEqual(
    [texas.id, texas.kind, texas.layer, texas.feature, texas.token, texas.label, texas.supernode, texas.pinned],
    ['1_10_1', 'feature', '1', '10', ' Dallas', 'Texas', 'Texas, "the state"', 'yes'],
  );
  assert.equal(rows[3][rows[0].indexOf('label')], 'say a capital');
});

test('no cell of a table is a formula, and no text breaks its row', () => {
  fc.assert(
    fc.property(
      anyGraph,
      fc.constantFrom('=1+1', '+1', '-2', '@SUM(A1)', '\tx', '"', 'a,b', 'a\r\nb'),
      (graph, text) => {
        const nodes = graph.nodes.map((node) => ({ ...node, label: text }));
        const rows = parseCsv(nodesCsv({ ...graph, nodes, view: { ...graph.view, labels: {} } }));
        assert.equal(rows.length, nodes.length + 1);
        const column = rows[0].indexOf('label');
        for (const row of rows.slice(1)) {
          assert.equal(row.length, rows[0].length);
          assert.doesNotMatch(row[column], /^[=+\-@\t]/);
          assert.ok(row[column].endsWith(text));
        }
      },
    ),
    { numRuns: 50 },
  );
});

test('the table of edges has their weights', () => {
  assert.deepEqual(parseCsv(edgesCsv(dallasGraph())).slice(0, 2), [
    ['source', 'target', 'weight'],
    ['E_6_1', '1_10_1', '4'],
  ]);
});

test('a summary says the answer, the scores, what supernodes carry, and the strongest paths', () => {
  const text = markdownSummary(dallasGraph(view));
  assert.match(text, /^### `capital Dallas is` → ` Austin`/);
  assert.match(text, /\| ` Austin` \| 90\.0 % \|/);
  assert.match(text, /Replacement score 0\.500, completeness score 0\.750/);
  assert.match(text, /\| `Texas, "the state"` \| 2 \| ` Dallas` \| 37\.5 % \|/);
  assert.match(text, /\| `say a capital` \| 1 \| ` is` \| 75\.0 % \|/);
  assert.match(text, /^Direct effects between them:\n\n- `Texas, "the state"` → `say a capital`: \+0\.00$/m);
  assert.match(text, /^1\. 37\.5 %: `capital` → `say a capital` \(layer 2, at ` is`\) → ` Austin`$/m);
});

test('texts of a graph cannot become markup in a summary', () => {
  const marks = fc.string({ unit: fc.constantFrom('`', '|', '\n', '@', '#', '<', '>', '[', ' ', 'a'), maxLength: 12 });
  fc.assert(
    fc.property(marks, (text) => {
      const span = code(text);
      const fence = /^`+/.exec(span)?.[0] ?? '';
      const inner = span.slice(fence.length, -fence.length);
      assert.ok(span.endsWith(fence) && fence.length > 0);
      assert.doesNotMatch(inner, /[|\n]/);
      assert.ok(!inner.split(/[^`]+/).includes(fence));
      assert.ok(!inner.startsWith('`') && !inner.endsWith('`'));
      const isStripped = inner.startsWith(' ') && inner.endsWith(' ') && inner.trim() !== '';
      if (text !== '')
        assert.equal(isStripped ? inner.slice(1, -1) : inner, text.replaceAll('\n', '⏎').replaceAll('|', '¦'));
    }),
  );
});

test('a share link gives back the view, in the way of Neuronpedia and of the local viewer', () => {
  for (const [viewer, modelId] of [
    ['https://example.org/', 'gemma-2-2b'],
    ['http://localhost:8032/index.html?x=1', null],
  ] as const) {
    const graph = dallasGraph(view);
    const link = parseShareLink(shareLink(graph, viewer, modelId));
    assert.deepEqual([link.modelId, link.slug], [modelId, 'small']);
    const restored = withSavedView(dallasGraph(), link.view);
    assert.deepEqual(restored.warnings, []);
    // A link has no place for the label of a token.
    assert.deepEqual(restored.view, { ...graph.view, labels: { '2_20_2': 'say a capital' } });
  }
});

test('links of other viewers are read: saved subgraphs, hidden nodes, error ids of circuit-tracer', () => {
  const link = parseShareLink(
    'https://example.org/gemma-2-2b/graph?slug=x&subgraph=abc&hiddenIds=1_2_3&pinnedIds=0_3_2,gone&logitDiff=A__vs__B#clickedId=0_3_2',
  );
  assert.deepEqual(link.others, { subgraph: 'abc', hiddenIds: '1_2_3', logitDiff: 'A__vs__B' });
  const { view: restored, warnings } = withSavedView(dallasGraph(), link.view);
  assert.deepEqual([restored.pinned, restored.clicked], [['3_error_mlp_2'], '3_error_mlp_2']);
  assert.equal(warnings.length, 1);
});

test('text that is no share link is refused with a reason', () => {
  for (const text of ['', 'hello', 'https://example.org/', 'javascript:alert(1)?slug=x', 'file:///x?slug=y']) {
    assert.throws(
      () => parseShareLink(text),
      (error) => error instanceof UserError && error.code === 'link.notAGraph',
    );
  }
  assert.equal(parseShareLink('https://example.org/%zz/graph?slug=../../x').slug, '-..-x');
});

test('a view too large for a link is refused with its size', () => {
  const label = 'x'.repeat(20_000);
  assert.throws(
    () => shareLink(dallasGraph({ supernodes: [{ label, members: [] }] }), 'https://example.org', 'm'),
    (error) => error instanceof UserError && error.code === 'link.tooLong',
  );
});

test("Neuronpedia's record of a subgraph goes there and back", () => {
  const graph = dallasGraph(view);
  const record = toSubgraphRecord(graph, 'gemma-2-2b', 'Texas');
  assert.deepEqual(record.supernodes, [['Texas, "the state"', '1_10_1', '1_11_1']]);
  // Layer 2, feature 20: (22 · 23) / 2 + 20.
  assert.deepEqual(record.clerps, [['2_273_2', 'say a capital']]);
  const { view: restored } = withSavedView(dallasGraph(), readSubgraphRecord(JSON.stringify(record)));
  assert.deepEqual(
    [restored.pinned, restored.supernodes, restored.labels, restored.pruningThreshold],
    [view.pinned, view.supernodes, { '2_20_2': 'say a capital' }, 0.7],
  );
  for (const text of ['{"slug": "x"}', '[]', '{']) assert.throws(() => readSubgraphRecord(text), UserError);
});
