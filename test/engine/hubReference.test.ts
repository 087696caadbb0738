import assert from 'node:assert/strict';
import fs from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { resolveReference } from '../../src/engine/transcoders/setFiles.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

const commit = '1111111111111111111111111111111111111111';

test('a set downloaded at a commit finds the files that it names in its own repository, without a branch', async () => {
  await using cache = await temporaryFolder();
  const snapshot = path.join(cache.path, 'models--maker--sets', 'snapshots', commit);
  await fs.mkdir(path.join(snapshot, 'width'), { recursive: true });
  await fs.writeFile(path.join(snapshot, 'width', 'layer_0.safetensors'), 'x');
  const found = resolveReference(path.join(snapshot, 'other'), 'hf://maker/sets/width/layer_0.safetensors');
  assert.equal(found, path.join(snapshot, 'width', 'layer_0.safetensors'));
});

test('a set finds the files that it names in another repository of the cache, at what its branch points to', async () => {
  await using cache = await temporaryFolder();
  const own = path.join(cache.path, 'models--maker--sets', 'snapshots', commit);
  const other = path.join(cache.path, 'models--maker--original');
  await fs.mkdir(own, { recursive: true });
  await fs.mkdir(path.join(other, 'snapshots', commit), { recursive: true });
  await fs.mkdir(path.join(other, 'refs'));
  await fs.writeFile(path.join(other, 'refs', 'main'), commit);
  const file = path.join(other, 'snapshots', commit, 'params.npz');
  await fs.writeFile(file, 'x');
  assert.equal(resolveReference(own, 'hf://maker/original/params.npz'), file);
  assert.equal(resolveReference(own, `hf://maker/original/params.npz?revision=${commit}`), file);
  assert.throws(() => resolveReference(own, 'hf://maker/original/params.npz?revision=other'), /params\.npz/);
});
