import assert from 'node:assert/strict';
import fs from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { downloadFile } from '../../src/host/remote/download.ts';
import { cachedCommit, cachedFile, deleteFromCache, listCache, snapshotFiles } from '../../src/host/remote/hubCache.ts';
import { pairUp, readFolderInventory, readHubInventory } from '../../src/host/remote/inventory.ts';
import { commit, type HubPlace, hubPlace, servedRepo } from '../support/hubPlace.ts';
import { gitHash } from '../support/hubServer.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

const later = '2222222222222222222222222222222222222222';
const repo = 'owner/model';

async function get({ hub, cache }: HubPlace, file: string, at = commit, revision = 'main') {
  const options = { hub, cache, signal: new AbortController().signal, onBytes: () => {} };
  return downloadFile({ repo, revision, commit: at, path: file }, options);
}

async function allFiles(folder: string): Promise<string[]> {
  const entries = await fs.readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)))
    .sort();
}

test('what Python left in the cache is found by branch, tag and commit', async () => {
  await using folder = await temporaryFolder();
  const root = path.join(folder.path, 'models--owner--model');
  await fs.mkdir(path.join(root, 'blobs'), { recursive: true });
  await fs.mkdir(path.join(root, 'snapshots', commit, 'sub'), { recursive: true });
  await fs.mkdir(path.join(root, 'refs', 'refs', 'pr'), { recursive: true });
  await fs.writeFile(path.join(root, 'blobs', 'abc'), 'x');
  await fs.writeFile(path.join(root, 'refs', 'main'), commit);
  await fs.writeFile(path.join(root, 'refs', 'refs', 'pr', '1'), commit);
  await fs.symlink('../../../blobs/abc', path.join(root, 'snapshots', commit, 'sub', 'file'));
  await fs.symlink('../../blobs/gone', path.join(root, 'snapshots', commit, 'broken'));
  assert.equal(await cachedCommit(folder.path, repo, 'main'), commit);
  assert.equal(await cachedCommit(folder.path, repo, 'refs/pr/1'), commit);
  assert.equal(await cachedCommit(folder.path, repo, 'other'), null);
  const file = await cachedFile(folder.path, repo, commit, 'sub/file');
  assert.equal(file, path.join(root, 'snapshots', commit, 'sub', 'file'));
  assert.equal(await cachedFile(folder.path, repo, commit, 'broken'), null);
  assert.deepEqual(await listCache(folder.path), [
    { repo, snapshots: [{ commit, folder: path.join(root, 'snapshots', commit), refs: ['main', 'refs/pr/1'] }] },
  ]);
  assert.deepEqual(await snapshotFiles(path.join(root, 'snapshots', commit)), ['sub/file']);
});

test('a cache that is not there, or holds foreign things, lists what it can', async () => {
  await using folder = await temporaryFolder();
  assert.deepEqual(await listCache(path.join(folder.path, 'nothing')), []);
  await fs.mkdir(path.join(folder.path, 'datasets--a--b'));
  await fs.writeFile(path.join(folder.path, 'models--a--b'), 'a file');
  await fs.mkdir(path.join(folder.path, 'models--c--d', 'snapshots', 'not-a-commit'), { recursive: true });
  assert.deepEqual(
    (await listCache(folder.path)).map(({ repo: name, snapshots }) => [name, snapshots.length]),
    [
      ['a/b', 0],
      ['c/d', 0],
    ],
  );
});

test('two commits share a blob, and deleting one keeps it for the other', async () => {
  await using place = await hubPlace();
  place.server.repos.set(repo, servedRepo({ 'config.json': 'same', 'a.json': 'old' }));
  await get(place, 'config.json');
  await get(place, 'a.json');
  place.server.repos.set(repo, servedRepo({ 'config.json': 'same', 'a.json': 'new' }, later));
  await get(place, 'config.json', later);
  await get(place, 'a.json', later);
  const root = path.join(place.cache, 'models--owner--model');
  assert.equal((await fs.readdir(path.join(root, 'blobs'))).length, 3);
  assert.equal(await fs.readFile(path.join(root, 'refs/main'), 'utf8'), later);
  await deleteFromCache(place.cache, { repo, commit }, () => true);
  assert.deepEqual((await fs.readdir(path.join(root, 'blobs'))).sort(), [
    ...[gitHash(Buffer.from('new')), gitHash(Buffer.from('same'))].sort(),
  ]);
  assert.equal(await fs.readFile(path.join(root, 'refs/main'), 'utf8'), later);
  await deleteFromCache(place.cache, { repo, commit: later }, () => true);
  assert.deepEqual(await allFiles(place.cache), []);
});

test('deleting one folder of a repository leaves its other folders', async () => {
  await using place = await hubPlace();
  place.server.repos.set(repo, servedRepo({ 'a/x': '1', 'b/x': '2', 'b/y': '1' }));
  for (const file of ['a/x', 'b/x', 'b/y']) await get(place, file);
  await deleteFromCache(place.cache, { repo, commit }, (file) => file.startsWith('b/'));
  assert.equal(await fs.readFile(await get(place, 'a/x'), 'utf8'), '1');
  assert.deepEqual(await snapshotFiles(path.join(place.cache, 'models--owner--model/snapshots', commit)), ['a/x']);
});

test('deleting never follows a link out of its repository', async () => {
  await using folder = await temporaryFolder();
  const root = path.join(folder.path, 'hub', 'models--owner--model');
  await fs.mkdir(path.join(root, 'snapshots', commit), { recursive: true });
  await fs.writeFile(path.join(folder.path, 'mine.txt'), 'mine');
  await fs.symlink('../../../../mine.txt', path.join(root, 'snapshots', commit, 'config.json'));
  await fs.symlink(folder.path, path.join(root, 'snapshots', commit, 'folder'));
  await deleteFromCache(path.join(folder.path, 'hub'), { repo, commit }, () => true);
  assert.equal(await fs.readFile(path.join(folder.path, 'mine.txt'), 'utf8'), 'mine');
  assert.deepEqual(await allFiles(folder.path), ['mine.txt']);
});

async function write(folder: string, files: Readonly<Record<string, string>>) {
  for (const [name, text] of Object.entries(files)) {
    await fs.mkdir(path.dirname(path.join(folder, name)), { recursive: true });
    await fs.writeFile(path.join(folder, name), text);
  }
}

const index = JSON.stringify({ weight_map: { a: 'model-1.safetensors', b: 'model-2.safetensors' } });

test('a folder is searched for models and sets, and what is missing of them is named', async () => {
  await using folder = await temporaryFolder();
  await write(folder.path, {
    'whole/config.json': '{}',
    'whole/model.safetensors': 'weights',
    'cut/config.json': '{}',
    'cut/model.safetensors.index.json': index,
    'cut/model-2.safetensors': 'weights',
    'sets/plt/config.yaml': 'model_name: owner/whole\nmodel_kind: transcoder_set\n',
    'sets/plt/layer_0.safetensors': 'x',
    'sets/plt/layer_2.safetensors': 'x',
    'sets/listed/config.yaml': `model_name: "whole"\ntranscoders:\n  - hf://o/r/layer_0.safetensors\n  - "hf://o/r/a/layer_1.safetensors?revision=x"\n`,
    'sets/listed/layer_0.safetensors': 'xy',
    'sparse/layers.0.mlp/sae.safetensors': 'x',
    'other/config.json': '{}',
  });
  const { models, sets } = await readFolderInventory(folder.path, path.join(folder.path, 'cache'));
  assert.deepEqual(
    models.map(({ name, missing, bytes }) => ({ name, missing, bytes })),
    [
      { name: 'cut', missing: ['model-1.safetensors'], bytes: 7 },
      { name: 'whole', missing: [], bytes: 7 },
    ],
  );
  assert.deepEqual(
    sets
      .map(({ name, missing, modelName }) => ({ name, missing, modelName }))
      .sort((a, b) => (a.name < b.name ? -1 : 1)),
    [
      { name: 'listed', missing: ['layer_1.safetensors?revision=x'], modelName: 'whole' },
      { name: 'plt', missing: ['layer_1.safetensors'], modelName: 'owner/whole' },
      { name: 'sparse', missing: [], modelName: null },
    ],
  );
});

test('in the hub cache a set is paired with the model it was trained on', async () => {
  await using place = await hubPlace();
  place.server.repos.set(repo, servedRepo({ 'config.json': '{}', 'model.safetensors': Buffer.from('weights') }));
  await get(place, 'config.json');
  await get(place, 'model.safetensors');
  const other = { repo: 'maker/sets', revision: 'main', commit, path: 'width/config.yaml' };
  place.server.repos.set(other.repo, servedRepo({ 'width/config.yaml': 'model_name: owner/Model\nmodel_kind: x\n' }));
  await downloadFile(other, { ...place, signal: new AbortController().signal, onBytes: () => {} });
  const pairs = pairUp(await readHubInventory(place.cache));
  assert.deepEqual(
    pairs.map(({ model, set }) => [model?.name, model?.bytes, set?.name, set?.place]),
    [['owner/model', 7, 'maker/sets/width', { repo: 'maker/sets', commit, folder: 'width' }]],
  );
});
