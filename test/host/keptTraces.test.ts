import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { readGraph } from '../../src/graph/readGraph.ts';
import { GraphFiles } from '../../src/host/graphFiles.ts';
import { answerOf, endOf, readRecord, recordOfGraph, traceName } from '../../src/host/traceRecord.ts';
import { TraceStore, writeWhole } from '../../src/host/traceStore.ts';
import { UserError } from '../../src/protocol/errors.ts';

const golden = path.resolve(import.meta.dirname, '../fixtures/goldens/llama-plt-relu/graph.json');
const { graph } = readGraph(readFileSync(golden, 'utf8'));
const folder = mkdtempSync(path.join(tmpdir(), 'traces-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const record = { ...recordOfGraph('20260101000000-aaaaaa', '', graph, null), createdAt: '2026-01-01T00:00:00.000Z' };

const files = new GraphFiles(path.join(import.meta.dirname, '../../src/host/graphWorker.ts'));

test('a kept trace comes back with its record and its graph; the newest is first', async () => {
  const store = new TraceStore(path.join(folder, 'kept'), files);
  const newer = { ...record, id: '20260102000000-bbbbbb', createdAt: '2026-01-02T00:00:00.000Z' };
  for (const each of [record, newer]) {
    await store.writeGraph(each.id, graph);
    await store.writeRecord(each);
  }
  const { records, unreadable } = await new TraceStore(store.folder, files).list();
  assert.deepEqual(records, [newer, record]);
  assert.deepEqual(unreadable, []);
  const read = await store.readGraph(record.id);
  assert.deepEqual(read.nodes, graph.nodes);
  assert.deepEqual(read.edges, graph.edges);
  await store.remove(newer.id);
  assert.deepEqual((await store.list()).records, [record]);
  await assert.rejects(store.readGraph(newer.id), UserError);
});

test('a folder that is not there yet is an empty history', async () => {
  assert.deepEqual(await new TraceStore(path.join(folder, 'none'), files).list(), { records: [], unreadable: [] });
});

test('cut, foreign and renamed records are left out by name, and the rest is listed', async () => {
  const store = new TraceStore(path.join(folder, 'damaged'), files);
  await store.writeRecord(record);
  writeFileSync(path.join(store.folder, 'cut.trace.json'), '{"id": "cut", "ti');
  writeFileSync(path.join(store.folder, 'list.trace.json'), '[]');
  writeFileSync(path.join(store.folder, 'other.trace.json'), JSON.stringify(record));
  const { records, unreadable } = await store.list();
  assert.deepEqual(records, [record]);
  assert.deepEqual(unreadable.sort(), ['cut.trace.json', 'list.trace.json', 'other.trace.json']);
});

test('a record whose id leaves the folder is no record', () => {
  assert.equal(readRecord(JSON.stringify({ ...record, id: '../../escape' })), null);
  assert.notEqual(readRecord(JSON.stringify(record)), null);
});

test('a write that fails leaves the old file and no temporary one', async () => {
  const file = path.join(folder, 'whole', 'file.json');
  await writeWhole(file, 'old');
  await assert.rejects(writeWhole(path.join(file, 'below-a-file'), 'new'));
  const blocked = path.join(folder, 'whole', 'taken');
  await writeWhole(path.join(blocked, 'inside'), 'x');
  await assert.rejects(writeWhole(blocked, 'new'));
  assert.equal(readFileSync(file, 'utf8'), 'old');
  assert.deepEqual(readdirSync(path.dirname(file)).sort(), ['file.json', 'taken']);
});

test('the predictions of a file are its outputs, most likely first', () => {
  const probabilities = record.predictions.map((prediction) => prediction.probability);
  assert.deepEqual(
    probabilities,
    probabilities.toSorted((a, b) => b - a),
  );
  assert.equal(record.predictions.length, graph.nodes.filter((node) => node.kind === 'logit').length);
});

test('a trace is called by its title, else by the end of its prompt, cut between words', () => {
  const prompt = { title: '', promptText: 'The capital of the state\n containing Dallas is' };
  assert.equal(traceName(prompt), 'The capital of the state containing Dallas is');
  assert.equal(traceName(prompt, 24), '…containing Dallas is');
  assert.equal(endOf('aaaaaaaaaaaaaaaaaaaa', 10), '…aaaaaaaaa');
  assert.equal(traceName({ ...prompt, title: 'My trace with a long title' }, 10), 'My trace …');
});

test('the answer of a trace is its likeliest token with its share', () => {
  assert.equal(answerOf({ ...record, predictions: [{ id: 1, text: ' Austin', probability: 0.25 }] }), 'Austin 25.0 %');
  assert.equal(answerOf({ ...record, predictions: [{ id: 1, text: '\n', probability: 1 }] }), '"\\n" 100 %');
});
