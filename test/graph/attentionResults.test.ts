import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { attentionFields, attentionResults } from '../../src/graph/attentionResults.ts';
import { readGraph } from '../../src/graph/readGraph.ts';

type File = {
  nodes: { node_id: string; qk_tracing_results?: unknown }[];
  qk_only_nodes?: unknown;
};

function read(change: (results: Record<string, unknown>, file: File) => void = () => {}) {
  const file = JSON.parse(
    readFileSync(path.join(import.meta.dirname, '../fixtures/graphs/attention.json'), 'utf8'),
  ) as File;
  const node = file.nodes.find(({ node_id }) => node_id === '0_lor_17_2')!;
  change(node.qk_tracing_results as Record<string, unknown>, file);
  const { graph } = readGraph(JSON.stringify(file));
  const indexOf = new Map(graph.nodes.map(({ id }, index) => [id as string, index]));
  return { graph, indexOf, of: (id: string) => attentionResults(graph, indexOf, indexOf.get(id) ?? -1) };
}

test('attention results name the nodes of the graph, and pruned ones by what the file says of them', () => {
  const { of, indexOf } = read((results, file) => {
    (results.pair_wise_contributors as unknown[]).push(['1_cro_5_2', 'E_4_1', -0.75]);
    file.qk_only_nodes = [{ node_id: '0_cro_77_1', clerp: 'a pruned one', ctx_idx: 1 }];
  });
  const results = of('0_lor_17_2');
  assert.ok(results);
  // Strongest first, whatever the sign.
  assert.deepEqual(
    results.pairs.map(({ query, key, weight }) => [query.node, key.node, key.name, key.pos, weight]),
    [
      [indexOf.get('1_cro_5_2'), indexOf.get('E_4_1'), 'E_4_1', 1, -0.75],
      [indexOf.get('1_cro_5_2'), null, 'a pruned one', 1, 0.25],
    ],
  );
  assert.deepEqual(
    results.queries.map(({ end, weight }) => [end.node, weight]),
    [[indexOf.get('1_cro_5_2'), 0.5]],
  );
  assert.deepEqual(
    results.keys.map(({ end, weight }) => [end.node, weight]),
    [[indexOf.get('E_4_1'), 0.75]],
  );
  assert.equal(of('1_cro_5_2'), null);
});

test('malformed attention results are left out', () => {
  const { of } = read((results, file) => {
    results.pair_wise_contributors = [['a', 'b'], 3, null, ['a', 2, 1], ['a', 'b', 'c'], ['a', 'b', 1]];
    results.top_q_marginal_contributors = { a: 1 };
    results.top_k_marginal_contributors = [
      ['__proto__', 2],
      [[], 2],
    ];
    file.qk_only_nodes = [null, { node_id: 7 }, 'x', { node_id: 'a', clerp: 5, ctx_idx: -1 }];
  });
  const results = of('0_lor_17_2');
  assert.deepEqual(
    results?.pairs.map(({ query, key }) => [query.name, query.pos, key.name]),
    [['a', null, 'b']],
  );
  assert.deepEqual(results?.queries, []);
  assert.deepEqual(
    results?.keys.map(({ end }) => end),
    [{ node: null, name: '__proto__', pos: null }],
  );
  for (const broken of [null, 3, 'x', [], {}]) {
    const { of: ofBroken } = read((_, file) => {
      file.nodes.find(({ node_id }) => node_id === '0_lor_17_2')!.qk_tracing_results = broken;
    });
    assert.equal(ofBroken('0_lor_17_2'), null);
  }
});

test('a page gets of what is foreign only what attention results need', () => {
  const { graph, indexOf, of } = read((_, file) => {
    file.qk_only_nodes = [{ node_id: '0_cro_77_1', clerp: 'a pruned one', ctx_idx: 1 }];
  });
  const sent = { nodes: graph.nodes, foreign: attentionFields(graph.foreign) };
  assert.deepEqual(attentionResults(sent, indexOf, indexOf.get('0_lor_17_2') ?? -1), of('0_lor_17_2'));
  assert.deepEqual(Object.keys(sent.foreign.nodes as object), ['0_lor_17_2']);
  assert.deepEqual(attentionFields({ file: { qk_only_nodes: [] }, nodes: { a: { size: 1 } } }), {});
});
