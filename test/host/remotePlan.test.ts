import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import fs from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { planSizes } from '../../src/host/remote/downloads.ts';
import { listFiles } from '../../src/host/remote/hub.ts';
import { listCache, snapshotFiles } from '../../src/host/remote/hubCache.ts';
import { type Plan, planModel, planTranscoders, readNamedReferences, runPlan } from '../../src/host/remote/plan.ts';
import { parseReference } from '../../src/host/remote/reference.ts';
import { UserError } from '../../src/protocol/errors.ts';
import { commit, hubPlace, servedRepo } from '../support/hubPlace.ts';

const signal = new AbortController().signal;
const weights = randomBytes(50_000);
const shards = { a: 'model-00001-of-00002.safetensors', b: 'model-00002-of-00002.safetensors' };

const paths = (plan: Plan) => plan.files.map((file) => `${file.repo}:${file.path}`).sort();

function checkUserError(code: string, text: RegExp) {
  return (error: unknown) => {
    assert.ok(error instanceof UserError, String(error));
    assert.equal(error.code, code);
    assert.match(error.message, text);
    return true;
  };
}

test('of a model only its settings, tokenizer and the weights that its index names are taken', async () => {
  await using place = await hubPlace();
  place.server.repos.set(
    'owner/model',
    servedRepo({
      '.gitattributes': 'x',
      'README.md': 'x',
      'config.json': '{}',
      'tokenizer.json': '{}',
      'tokenizer.model': 'x',
      'chat_template.jinja': 'x',
      'model.safetensors.index.json': JSON.stringify({ weight_map: shards }),
      [shards.a]: weights,
      [shards.b]: weights,
      'consolidated.safetensors': weights,
      'pytorch_model.bin': weights,
      'onnx/model.onnx': weights,
      'original/config.json': '{}',
    }),
  );
  const plan = await planModel(parseReference('owner/model'), { ...place, signal });
  assert.deepEqual(paths(plan), [
    'owner/model:chat_template.jinja',
    'owner/model:config.json',
    `owner/model:${shards.a}`,
    `owner/model:${shards.b}`,
    'owner/model:model.safetensors.index.json',
    'owner/model:tokenizer.json',
    'owner/model:tokenizer.model',
  ]);
  const progress: [number, number][] = [];
  const folder = await runPlan(plan, { ...place, signal, onProgress: (...now) => progress.push(now) });
  assert.deepEqual(await fs.readFile(path.join(folder, shards.b)), weights);
  assert.equal((await snapshotFiles(folder)).length, 7);
  const [received, total] = progress.at(-1) ?? [];
  assert.equal(received, total);
  assert.ok((total ?? 0) > 2 * weights.length);
});

test('an index that names a shard which is not on the hub, or a path, is refused', async () => {
  await using place = await hubPlace();
  const serve = (map: object) => {
    const files = { 'model.safetensors.index.json': JSON.stringify({ weight_map: map }), [shards.a]: weights };
    place.server.repos.set(`owner/m${place.server.repos.size}`, servedRepo(files));
    return planModel(parseReference(`owner/m${place.server.repos.size - 1}`), { ...place, signal });
  };
  await assert.rejects(serve(shards), checkUserError('download.missingShard', /00002-of-00002/));
  await assert.rejects(serve({ a: '../../x.safetensors' }), checkUserError('model.badIndex', /names/));
  await assert.rejects(serve({ a: 7 }), checkUserError('model.badIndex', /names 7/));
});

test('a model without safetensors says so', async () => {
  await using place = await hubPlace();
  place.server.repos.set('owner/model', servedRepo({ 'config.json': '{}', 'pytorch_model.bin': weights }));
  const plan = planModel(parseReference('owner/model'), { ...place, signal });
  await assert.rejects(plan, checkUserError('download.noWeights', /safetensors/));
});

test('of a set the files that its config names are taken, also from another repository, and no others', async () => {
  await using place = await hubPlace();
  const yaml = [
    'model_name: owner/model',
    'transcoders:',
    '  - "hf://maker/original/layer_0/width_16k/params.npz"',
    '  - hf://maker/original/layer_1/width_16k/params.npz?revision=main',
    '# - hf://maker/original/layer_9/params.npz',
    '  - hf://maker/sets/width_16k/layer_2.safetensors',
  ].join('\n');
  const original = servedRepo({
    'layer_0/width_16k/params.npz': weights,
    'layer_0/width_1m/params.npz': weights,
    'layer_1/width_16k/params.npz': weights,
  });
  place.server.repos.set('maker/original', original);
  place.server.repos.set(
    'maker/sets',
    servedRepo({
      'width_16k/config.yaml': yaml,
      'width_16k/layer_2.safetensors': weights,
      'width_16k/features/layer_0.bin': weights,
      'width_262k/layer_0.safetensors': weights,
    }),
  );
  const plan = await planTranscoders(parseReference('maker/sets/width_16k'), { ...place, signal });
  assert.deepEqual(paths(plan), [
    'maker/original:layer_0/width_16k/params.npz',
    'maker/original:layer_1/width_16k/params.npz',
    'maker/sets:width_16k/config.yaml',
    'maker/sets:width_16k/layer_2.safetensors',
  ]);
  const folder = await runPlan(plan, { ...place, signal, onProgress: () => {} });
  assert.equal(folder, path.join(place.cache, 'models--maker--sets/snapshots', commit, 'width_16k'));
  assert.equal((await listCache(place.cache)).length, 2);
  const again = await planTranscoders(parseReference('maker/sets/width_16k'), { ...place, signal });
  assert.deepEqual(planSizes({ model: null, transcoders: again }).missing, 0);
});

test('a set without a list is the weights in its folder, in each published layout', async () => {
  await using place = await hubPlace();
  place.server.repos.set(
    'maker/plt',
    servedRepo({
      'config.yaml': 'model_kind: transcoder_set',
      'layer_0.safetensors': weights,
      'features/a.bin': weights,
    }),
  );
  place.server.repos.set(
    'maker/sparsify',
    servedRepo({
      'layers.0.mlp/sae.safetensors': weights,
      'layers.0.mlp/cfg.json': '{}',
      'config.json': '{}',
      'x.md': '',
    }),
  );
  const planned = async (reference: string) =>
    paths(await planTranscoders(parseReference(reference), { ...place, signal }));
  assert.deepEqual(await planned('maker/plt'), ['maker/plt:config.yaml', 'maker/plt:layer_0.safetensors']);
  assert.deepEqual(await planned('maker/sparsify'), [
    'maker/sparsify:config.json',
    'maker/sparsify:layers.0.mlp/cfg.json',
    'maker/sparsify:layers.0.mlp/sae.safetensors',
  ]);
  await assert.rejects(planned('maker/plt/features'), checkUserError('download.noTranscoders', /maker\/plt\/features/));
});

test('references in a config are found quoted, bare and in one line, and not in comments', () => {
  assert.deepEqual(
    readNamedReferences('t: [\'hf://a/b/c\', hf://a/b/d, "hf://a/b/e?revision=r"] # hf://x\n# hf://n/o/t'),
    ['hf://a/b/c', 'hf://a/b/d', 'hf://a/b/e?revision=r', 'hf://x'],
  );
});

test('a listing of many pages is read to its end', async () => {
  await using place = await hubPlace();
  place.server.pageSize = 7;
  const files = Object.fromEntries(Array.from({ length: 45 }, (_, i) => [`folder/file_${i}`, String(i)]));
  place.server.repos.set('owner/many', servedRepo(files));
  const listed = await listFiles(place.hub, { repo: 'owner/many', commit, folder: 'folder' }, signal);
  assert.deepEqual(listed.map((file) => file.path).sort(), Object.keys(files).sort());
  assert.equal(place.server.seen.length, 7);
});

test('a listing that is hostile is refused: paths that leave, endless pages, another host, no JSON, too much of it', async () => {
  await using place = await hubPlace();
  const list = () => listFiles(place.hub, { repo: 'owner/odd', commit, folder: '' }, signal);
  const file = (name: string, size: unknown = 1) => JSON.stringify([{ type: 'file', path: name, size }]);
  const answers: [RegExp, string, Record<string, string>?][] = [
    [/leaves its folder/, file('../../.bashrc')],
    [/leaves its folder/, file('/etc/passwd')],
    [/leaves its folder/, file('a\\..\\..\\b')],
    [/no size/, file('a', -1)],
    [/no size/, file('a', 1e300)],
    [/no list/, '{"files": []}'],
    [/else than JSON/, '<html>'],
    [/larger than/, `[${' '.repeat(20_000_000)}]`],
    [/another host/, '[]', { link: '<http://evil.test/next>; rel="next"' }],
    [/endless/, '[]', { link: `<${place.server.endpoint}/api/models/owner/odd/same>; rel="next"` }],
  ];
  for (const [text, body, headers = {}] of answers) {
    place.server.fault = () => ({ body, headers });
    await assert.rejects(list(), checkUserError('hub.oddAnswer', text), text.source);
  }
  place.server.fault = () => ({ body: `${'['.repeat(100_000)}${']'.repeat(100_000)}` });
  assert.deepEqual(await list(), []);
});
