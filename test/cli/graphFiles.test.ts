import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { runCommandLine } from '../../src/cli/main.ts';
import { readGraph } from '../../src/graph/readGraph.ts';
import { writeGraph } from '../../src/graph/writeGraph.ts';
import { dallasGraph } from '../support/smallGraph.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

async function call(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const [out, err]: string[][] = [[], []];
  const terminal = {
    out: (text: string) => void out.push(text),
    err: (text: string) => void err.push(text),
    isInteractive: false,
  };
  const code = await runCommandLine(args, terminal);
  return { code, out: out.join(''), err: err.join('') };
}

test("a graph is exported into circuit-tracer's folder, and its list names each graph once", async () => {
  await using folder = await temporaryFolder();
  const file = path.join(folder.path, 'a.circuit.json');
  writeFileSync(file, writeGraph(dallasGraph()));
  const graphs = path.join(folder.path, 'graphs');
  for (let time = 0; time < 2; time++) {
    const { code } = await call('export', file, '--to', 'circuit-tracer', '--scan', 'owner/set', '--out', `${graphs}/`);
    assert.equal(code, 0);
  }
  const list = JSON.parse(readFileSync(path.join(graphs, 'graph-metadata.json'), 'utf8'));
  assert.deepEqual(
    list.graphs.map(({ slug, scan }: { slug: string; scan: string }) => [slug, scan]),
    [['small', 'owner/set']],
  );
  assert.equal(readGraph(readFileSync(path.join(graphs, 'small.json'), 'utf8')).graph.nodes.length, 8);
});

test('every format is written to the terminal or to a file', async () => {
  await using folder = await temporaryFolder();
  const file = path.join(folder.path, 'a.circuit.json');
  writeFileSync(file, writeGraph(dallasGraph({ pinned: ['2_20_2'] })));
  assert.match((await call('export', file, '--to', 'nodes-csv')).out, /^id,kind,layer/);
  assert.match((await call('export', file, '--to', 'edges-csv')).out, /^source,target,weight\r\nE_6_1,1_10_1,4\r\n/);
  assert.match((await call('export', file, '--to', 'markdown')).out, /^### `capital Dallas is`/);
  const link = await call('export', file, '--to', 'link', '--viewer', 'https://example.org', '--model-id', 'm');
  assert.equal(link.out, 'https://example.org/m/graph?slug=small&pinnedIds=2_20_2\n');
  const out = path.join(folder.path, 'new', 'n.json');
  assert.equal((await call('export', file, '--to', 'neuronpedia', '--model-id', 'm', '--out', out)).code, 0);
  assert.equal(JSON.parse(readFileSync(out, 'utf8')).metadata.scan, 'm');
});

test('an export that is called wrongly or of no graph says so and writes nothing', async () => {
  await using folder = await temporaryFolder();
  const file = path.join(folder.path, 'a.circuit.json');
  const out = path.join(folder.path, 'out');
  writeFileSync(file, '{"nodes": 3}');
  assert.equal((await call('export', file)).code, 2);
  assert.equal((await call('export', file, '--to', 'picture')).code, 2);
  assert.equal((await call('export', file, '--to', 'neuronpedia')).code, 2);
  const refused = await call('export', file, '--to', 'markdown', '--out', out);
  assert.deepEqual([refused.code, existsSync(out)], [1, false]);
  assert.match(refused.err, /no attribution graph/);
  assert.match((await call('export', `${file}x`, '--to', 'markdown')).err, /There is no file/);
});

test('two graphs are compared with their tokens aligned', async () => {
  await using folder = await temporaryFolder();
  const [left, right] = ['left', 'right'].map((name) => path.join(folder.path, name));
  const graph = dallasGraph();
  const nodes = graph.nodes.slice(0, -1).map((node, index) => (index === 0 ? { ...node, activation: 3 } : node));
  const edges = {
    source: graph.edges.source.slice(0, -1),
    target: graph.edges.target.slice(0, -1),
    weight: graph.edges.weight.slice(0, -1),
  };
  writeFileSync(left, writeGraph(graph));
  writeFileSync(right, writeGraph({ ...graph, nodes, edges }));
  const { code, out } = await call('compare', left, right);
  assert.equal(code, 0);
  assert.match(out, /^Tokens: "capital" " Dallas" " is"\nNodes: {2}7 in both, 1 only left, 0 only right\n/);
  assert.match(out, /1\.000 → 3\.000 {2}L1\/10 "Texas" at " Dallas"1/);
  assert.match(out, /Only left, most influential first\n {2}logit " Boston" at " is"2/);
  assert.equal((await call('compare', left)).code, 2);
});
