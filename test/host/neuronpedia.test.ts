import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { createHttpClient } from '../../src/host/remote/http.ts';
import { Neuronpedia, neuronpediaPlace } from '../../src/host/remote/neuronpedia.ts';
import { noProxy } from '../../src/host/remote/proxy.ts';
import { UserError } from '../../src/protocol/errors.ts';
import { dallasTrace } from '../support/sampleTrace.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

/** A record as the site gives it, with the fields that a card uses and some that it does not. */
const record = {
  modelId: 'gemma-2-2b',
  layer: '3-gemmascope-transcoder-16k',
  index: '113',
  frac_nonzero: 0.0123,
  maxActApprox: 42.5,
  pos_str: [' Texas', ' Austin'],
  pos_values: [1.2, 1.1],
  neg_str: [' Paris'],
  neg_values: [-0.9],
  freq_hist_data_bar_heights: [10, 5, 1],
  freq_hist_data_bar_values: [4, 20, 42],
  activations: [
    { tokens: [' in', ' Houston'], values: [0, 30.5], maxValue: 30.5, maxValueTokenIndex: 1 },
    { tokens: [' in', ' Dallas', '.'], values: [0, 42.5, 1], maxValue: 42.5, maxValueTokenIndex: 1 },
  ],
  explanations: [
    { description: 'cities of Texas', typeName: 'some-method', explanationModelName: 'a-model', scores: [] },
  ],
  creator: { name: 'somebody' },
};

type Answer = { readonly status?: number; readonly body: string; readonly headers?: Record<string, string> };

/** A server that answers as the site does, remembering what it was asked. */
async function site(answers: Readonly<Record<string, Answer>>) {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`);
    const answer = answers[request.url ?? ''] ?? { status: 404, body: 'Not Found' };
    response.writeHead(answer.status ?? 200, { 'content-type': 'application/json', ...answer.headers });
    response.end(answer.body);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const folder = await temporaryFolder();
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    asked,
    address,
    open: () => new Neuronpedia({ address, http: createHttpClient(noProxy), folder: folder.path }),
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
      await folder[Symbol.asyncDispose]();
    },
  };
}

const place = { modelId: 'gemma-2-2b', sourceSet: 'gemmascope-transcoder-16k' };
const path = '/api/feature/gemma-2-2b/3-gemmascope-transcoder-16k/113';
const { signal } = new AbortController();

test('a record is asked for once, by the name of the feature and nothing else, and becomes a card', async () => {
  await using there = await site({ [path]: { body: JSON.stringify(record) } });
  const card = await there.open().read(place, 3, 113, signal);
  assert.ok(card);
  assert.equal(card.label, 'cities of Texas');
  assert.equal(card.labelSource, 'from Neuronpedia, by a-model');
  assert.deepEqual(card.topLogits, [' Texas', ' Austin']);
  assert.deepEqual(card.bottomLogits, [' Paris']);
  assert.equal(card.activationFrequency, 0.0123);
  assert.deepEqual(card.histogram, [10, 5, 1]);
  assert.deepEqual([card.activationMin, card.activationMax], [0, 42.5]);
  assert.deepEqual(card.quantiles[0].examples[0], {
    tokens: [' in', ' Dallas', '.'],
    activations: [0, 42.5, 1],
    peak: 1,
  });
  assert.equal(card.quantiles[0].examples.length, 2);
  assert.equal(card.examplesFrom, 'Neuronpedia');
  assert.deepEqual(await there.open().read(place, 3, 113, signal), card, 'what was read is kept');
  assert.deepEqual(there.asked, [`GET ${path}`]);
});

test('a feature that the site does not know has no card, and is asked for again', async () => {
  await using there = await site({ '/api/feature/gemma-2-2b/3-gemmascope-transcoder-16k/7': { body: 'null' } });
  assert.equal(await there.open().read(place, 3, 113, signal), null);
  assert.equal(await there.open().read(place, 3, 113, signal), null);
  assert.equal(await there.open().read(place, 3, 7, signal), null);
  assert.equal(there.asked.length, 3);
});

test('answers that make no sense are refused or leave out what is wrong, and are not kept', async () => {
  const deep = `${'['.repeat(5000)}${']'.repeat(5000)}`;
  const bodies = ['', 'not json', '[]', '"x"', deep, ' '.repeat(9 * 2 ** 20)];
  for (const body of bodies) {
    await using there = await site({ [path]: { body } });
    await assert.rejects(there.open().read(place, 3, 113, signal), UserError, body.slice(0, 20));
    await assert.rejects(there.open().read(place, 3, 113, signal), UserError);
    assert.equal(there.asked.length, 2);
  }
  const odd = {
    frac_nonzero: 12,
    maxActApprox: 'x',
    pos_str: 'not a list',
    neg_str: [1, { a: 2 }, 'x'.repeat(10_000)],
    freq_hist_data_bar_heights: [-1, 'y', null],
    activations: [7, { tokens: 'x' }, { tokens: [] }, { tokens: ['a', 5], values: ['x'], maxValueTokenIndex: 99 }],
    explanations: { description: 'not a list' },
  };
  await using there = await site({ [path]: { body: JSON.stringify(odd) } });
  const card = await there.open().read(place, 3, 113, signal);
  assert.ok(card);
  assert.equal(card.label, '');
  assert.deepEqual(card.topLogits, []);
  assert.deepEqual(
    card.bottomLogits.map(({ length }) => length),
    [0, 0, 500],
  );
  assert.deepEqual(card.histogram, [0, 0, 0]);
  assert.equal(card.activationFrequency, null);
  assert.deepEqual(card.quantiles[0].examples, [{ tokens: ['a', ''], activations: [0, 0], peak: null }]);
});

test('refusals say what the site answered, and redirects are not followed', async () => {
  const refused = async (answer: Answer, message: RegExp) => {
    await using there = await site({ [path]: answer, '/elsewhere': { body: JSON.stringify(record) } });
    await assert.rejects(there.open().read(place, 3, 113, signal), (error: UserError) => {
      assert.ok(error instanceof UserError);
      assert.match(`${error.message} ${error.remedy}`, message);
      return true;
    });
    assert.equal(there.asked.length, 1);
  };
  await refused({ status: 429, body: '' }, /status 429.*wait/);
  await refused({ status: 500, body: '' }, /status 500/);
  await refused({ status: 302, body: '', headers: { location: '/elsewhere' } }, /status 302/);
});

test('an address that is not secure, and a site that is not there, are told of', async () => {
  await using place2 = await temporaryFolder();
  const http = createHttpClient(noProxy);
  for (const address of ['', 'nonsense', 'http://example.org', 'file:///etc']) {
    assert.throws(() => new Neuronpedia({ address, http, folder: place2.path }), UserError, address);
  }
  const there = await site({});
  await there[Symbol.asyncDispose]();
  const gone = new Neuronpedia({ address: there.address, http, folder: place2.path });
  await assert.rejects(gone.read(place, 3, 113, signal), /cannot be reached \(ECONNREFUSED\)/);
});

test('a graph says itself what its features are called there, or the settings do; odd names are no names', () => {
  const { graph } = dallasTrace();
  assert.equal(neuronpediaPlace(graph, {}), null);
  const sources = { 'sample/set': 'gemma-2-2b/gemmascope-transcoder-16k' };
  assert.deepEqual(neuronpediaPlace(graph, sources), place);
  for (const odd of [5, '', 'one', 'a/b/c', '../x', 'a/..', 'a b/c', 'a/%2e%2e']) {
    assert.equal(neuronpediaPlace(graph, { 'sample/set': odd }), null, String(odd));
  }
  const file = (scan: string, set: unknown) => ({
    metadata: { ...graph.metadata, scan },
    foreign: { metadata: { feature_details: { neuronpedia_source_set: set } } },
  });
  assert.deepEqual(neuronpediaPlace(file('gemma-2-2b', 'gemmascope-transcoder-16k'), {}), place);
  assert.equal(neuronpediaPlace(file('gemma-2-2b', '../../secrets'), {}), null);
  assert.equal(neuronpediaPlace(file('a/b', 'x'), {}), null);
});
