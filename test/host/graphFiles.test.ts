import assert from 'node:assert/strict';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { test } from 'node:test';
import { readGraphBytes } from '../../src/graph/readGraph.ts';
import { GraphFiles } from '../../src/host/graphFiles.ts';
import { postInParts } from '../../src/host/panel/graphParts.ts';
import { UserError } from '../../src/protocol/errors.ts';
import type { ToPanel } from '../../src/protocol/panel.ts';
import { largeGraphFile, nLargeFeatures, nLargeLinks } from '../support/largeGraphFile.ts';
import { asTrace } from '../support/sampleTrace.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

const files = new GraphFiles(path.join(import.meta.dirname, '../../src/host/graphWorker.ts'));

test('a thread reads a file as it is read here, foreign fields and warnings included, and writes it back', async () => {
  await using folder = await temporaryFolder();
  const file = path.join(folder.path, 'a.json');
  const large = JSON.parse(new TextDecoder().decode(largeGraphFile(3000)));
  for (const node of large.nodes.slice(0, 5000)) node.remark = { of: node.node_id };
  large.links.push({ source: 'nowhere', target: 'nowhere', weight: 1 });
  large.more = [1, 2];
  writeFileSync(file, JSON.stringify(large));
  const here = readGraphBytes(readFileSync(file));
  const there = await files.read({ file });
  assert.deepEqual(there.graph, here.graph);
  assert.deepEqual(there.warnings, here.warnings);
  assert.deepEqual((await files.read({ bytes: readFileSync(file) })).graph, here.graph);
  const copy = path.join(folder.path, 'b.json');
  await files.write(copy, there.graph);
  assert.deepEqual(readGraphBytes(readFileSync(copy)).graph, here.graph);
});

test('a thread that cannot read a file says why', async () => {
  await using folder = await temporaryFolder();
  const file = path.join(folder.path, 'broken.json');
  writeFileSync(file, '{"nodes": [');
  await assert.rejects(files.read({ file }), (error) => error instanceof UserError && error.code === 'graph.notJson');
  await assert.rejects(files.read({ file: `${file}.not` }), /ENOENT/);
  await assert.rejects(files.write(path.join(file, 'below'), readGraphBytes(largeGraphFile(10)).graph));
});

test('a graph of 60 MB opens whole and can be saved: it is read beside the window and goes to the page in parts of at most 1 MB', async (t) => {
  await using folder = await temporaryFolder();
  const file = path.join(folder.path, 'large.json');
  const bytes = largeGraphFile();
  writeFileSync(file, bytes);
  const delay = monitorEventLoopDelay({ resolution: 5 });
  delay.enable();
  const begin = performance.now();
  const { graph } = await files.read({ file });
  const read = performance.now();
  const sent: ToPanel[] = [];
  const post = (message: ToPanel): Promise<void> => {
    sent.push(message);
    return new Promise((resolve) => void setImmediate(resolve));
  };
  await postInParts(asTrace(graph), post, () => true);
  const end = performance.now();
  delay.disable();
  t.diagnostic(
    `${(bytes.length / 2 ** 20).toFixed(0)} MB read in ${(read - begin).toFixed(0)} ms, handed to the page in ` +
      `${(end - read).toFixed(0)} ms; this process was never held up for more than ${(delay.max / 1e6).toFixed(0)} ms`,
  );
  assert.ok(bytes.length > 55 * 2 ** 20);
  assert.equal(graph.nodes.filter(({ kind }) => kind === 'feature').length, nLargeFeatures);
  assert.equal(graph.edges.source.length, nLargeLinks);
  const [first, ...parts] = sent;
  assert.ok(first.type === 'graphComing' && first.size > 9e6);
  assert.equal(parts.length, Math.ceil(first.size / 2 ** 20));
  let next = 0;
  for (const part of parts) {
    assert.ok(part.type === 'graphPart' && part.offset === next && part.bytes.length <= 2 ** 20);
    assert.equal(part.bytes.buffer.byteLength, part.bytes.length, 'a view would take all of its buffer along');
    next += part.bytes.length;
  }
  assert.equal(next, first.size);
  const copy = path.join(folder.path, 'copy.json');
  await files.write(copy, graph);
  assert.ok(statSync(copy).size > 45 * 2 ** 20, 'it is written whole');
});

test('a graph that is not wanted any more is not sent on', async () => {
  const { graph: small } = readGraphBytes(largeGraphFile(10));
  const many = new Uint32Array(500_000);
  const graph = { ...small, edges: { source: many, target: many, weight: new Float32Array(many.length) } };
  const sent: ToPanel[] = [];
  await postInParts(
    asTrace(graph),
    async (message) => sent.push(message),
    () => sent.length < 3,
  );
  assert.equal(sent.length, 3);
});
