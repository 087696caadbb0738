import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Ajv } from 'ajv';
import fc from 'fast-check';
import { readGraph } from '../../src/graph/readGraph.ts';
import { writeGraph } from '../../src/graph/writeGraph.ts';
import { UserError } from '../../src/protocol/errors.ts';
import { anyGraph } from '../support/anyGraph.ts';
import { goldenCases, goldensFolder } from '../support/goldens.ts';

const schemaFile = join(import.meta.dirname, '..', 'fixtures', 'graphs', 'neuronpedia-rules.schema.json');
const followsRules = new Ajv({ allErrors: true, allowUnionTypes: true }).compile(
  JSON.parse(readFileSync(schemaFile, 'utf8')),
);

function golden(name: string): string {
  return readFileSync(join(goldensFolder, name, 'graph.json'), 'utf8');
}

test('a graph that is written and read is the same graph', () => {
  fc.assert(
    fc.property(anyGraph, (graph) => {
      const { graph: again, warnings } = readGraph(writeGraph(graph));
      assert.deepEqual(
        warnings.filter((warning) => !warning.includes('influence')),
        [],
      );
      assert.deepEqual(again, graph);
    }),
    { numRuns: 300 },
  );
});

test('every graph that we write follows the rules of Neuronpedia and of its viewer', () => {
  fc.assert(
    fc.property(anyGraph, (graph) => {
      const file: { nodes: { feature_type: string; clerp: string }[] } = JSON.parse(writeGraph(graph));
      assert.ok(followsRules(structuredClone(file)), JSON.stringify(followsRules.errors));
      for (const node of file.nodes) {
        if (node.feature_type === 'logit') assert.match(node.clerp, /\(p=\d+(\.\d+)?\)$/);
      }
    }),
  );
});

test("the peer's graph of every golden opens without a warning and is not changed by saving", () => {
  for (const name of goldenCases('graph.json')) {
    const { graph, warnings } = readGraph(golden(name));
    assert.deepEqual(warnings, [], name);
    const saved = writeGraph(graph);
    assert.deepEqual(readGraph(saved).graph, graph, name);
    assert.equal(writeGraph(readGraph(saved).graph), saved, name);
    assert.ok(followsRules(JSON.parse(saved)), JSON.stringify(followsRules.errors));
  }
});

test('saving a graph of the peer keeps every node and link with all its fields, but for the ids of errors', () => {
  for (const name of goldenCases('graph.json')) {
    const before = JSON.parse(golden(name));
    const after = JSON.parse(writeGraph(readGraph(golden(name)).graph));
    const idOf = new Map<string, string>();
    assert.equal(after.nodes.length, before.nodes.length);
    for (const [index, node] of before.nodes.entries()) {
      const { node_id, run_idx, reverse_ctx_idx, token_prob, is_target_logit, clerp, ...fields } = node;
      const saved = after.nodes[index];
      idOf.set(node_id, saved.node_id);
      for (const [field, value] of Object.entries(fields))
        assert.deepEqual(saved[field], value, `${name} ${node_id} ${field}`);
      if (node.feature_type === 'logit') assert.equal(saved.clerp.replace(/\d+\)$/, ''), clerp.replace(/\d+\)$/, ''));
      if (node.feature_type === 'logit') assert.equal(saved.token_prob, token_prob);
      if (node.feature_type === 'logit') assert.equal(saved.is_target_logit, is_target_logit);
      if (node.feature_type !== 'mlp reconstruction error') assert.equal(saved.node_id, node_id);
      else assert.equal(saved.node_id, `${node.layer}_error_mlp_${node.ctx_idx}`);
    }
    assert.equal(after.links.length, before.links.length);
    for (const [index, link] of before.links.entries()) {
      const saved = after.links[index];
      assert.deepEqual([saved.source, saved.target], [idOf.get(link.source), idOf.get(link.target)]);
      assert.equal(Math.fround(saved.weight), Math.fround(link.weight));
    }
  }
});

test('each node and each link has a line of its own', () => {
  const { graph } = readGraph(golden('llama-plt-relu'));
  const lines = writeGraph(graph).split('\n');
  assert.equal(lines.filter((line) => line.startsWith('{"node_id":')).length, graph.nodes.length);
  assert.equal(lines.filter((line) => line.startsWith('{"source":')).length, graph.edges.source.length);
});

test('changing one weight changes one line', () => {
  const { graph } = readGraph(golden('llama-plt-relu'));
  const weight = graph.edges.weight.slice();
  weight[3] = 0.5;
  const before = writeGraph(graph).split('\n');
  const after = writeGraph({ ...graph, edges: { ...graph.edges, weight } }).split('\n');
  assert.equal(after.filter((line, index) => line !== before[index]).length, 1);
});

test('weights are written as short as they can be', () => {
  const { graph } = readGraph(golden('llama-plt-relu'));
  const weight = graph.edges.weight.map((_, edge) => (edge % 2 === 0 ? 0.1 : -1e-7));
  const file: { links: unknown[] } = JSON.parse(writeGraph({ ...graph, edges: { ...graph.edges, weight } }));
  const weights = file.links.map((link) => JSON.stringify(link).replace(/^.*"weight":(.*)\}$/, '$1'));
  assert.deepEqual([...new Set(weights)], ['0.1', '-1e-7']);
});

test('a file in any order is saved in the one order', () => {
  const { graph } = readGraph(golden('llama-plt-relu'));
  const file: { nodes: { feature_type: string }[]; links: unknown[] } = JSON.parse(golden('llama-plt-relu'));
  const isLogit = (node: { feature_type: string }) => node.feature_type === 'logit';
  const others = file.nodes.filter((node) => !isLogit(node)).reverse();
  const shuffled = { ...file, nodes: [...file.nodes.filter(isLogit), ...others], links: file.links.reverse() };
  assert.equal(writeGraph(readGraph(JSON.stringify(shuffled)).graph), writeGraph(graph));
});

test('a graph with a number that is not finite is not written', () => {
  const { graph } = readGraph(golden('llama-plt-relu'));
  const weight = graph.edges.weight.slice();
  weight[0] = Number.NaN;
  assert.throws(
    () => writeGraph({ ...graph, edges: { ...graph.edges, weight } }),
    (error) => error instanceof UserError && error.code === 'graph.notFinite',
  );
});

test('a file says which model and which transcoders it was made with', () => {
  const { graph } = readGraph(golden('llama-plt-relu'));
  const metadata = { ...graph.metadata, modelName: 'example/model', generator: { name: 'maker', version: '1.2' } };
  const { info }: { info: unknown } = JSON.parse(writeGraph({ ...graph, metadata })).metadata;
  assert.deepEqual(info, {
    model_id: 'example/model',
    transcoder_set: 'example/llama-plt-relu',
    generator: { name: 'maker', version: '1.2' },
  });
});

test('a name that would leave the folder is no name of a graph', () => {
  const { graph } = readGraph(golden('llama-plt-relu'));
  const file = JSON.parse(writeGraph({ ...graph, metadata: { ...graph.metadata, slug: '../../etc/x y' } }));
  assert.match(file.metadata.slug, /^[A-Za-z0-9_-][A-Za-z0-9_.-]*$/);
});
