import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import fs from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { type Download, type DownloadServices, Downloads, deletePlace } from '../../src/host/remote/downloads.ts';
import { listCache } from '../../src/host/remote/hubCache.ts';
import { isAbort, UserError } from '../../src/protocol/errors.ts';
import { commit, type HubPlace, hubPlace, servedRepo } from '../support/hubPlace.ts';

const weights = randomBytes(50_000);
const pair = { model: 'owner/model', transcoders: 'maker/set' };

/** A model and a set of it on the hub; windows that share one memory, as windows of one editor do. */
function serve(place: HubPlace) {
  place.server.repos.set('owner/model', servedRepo({ 'config.json': '{}', 'model.safetensors': weights }));
  place.server.repos.set('maker/set', servedRepo({ 'config.yaml': 'model_kind: x', 'layer_0.safetensors': weights }));
  const memory = new Map<string, unknown>();
  let time = 0;
  return (changes: Partial<DownloadServices> = {}) =>
    new Downloads({
      options: () => place,
      memory: { get: (key) => memory.get(key), update: async (key, value) => void memory.set(key, value) },
      now: () => {
        time += 300;
        return time;
      },
      ...changes,
    });
}

/** Runs until the first cut of a large file, then does something to it there. */
async function runUntilCut(place: HubPlace, open: ReturnType<typeof serve>, atCut: (downloads: Downloads) => void) {
  place.server.fault = ({ kind }) => (kind === 'signed' ? { cutAt: 20_000 } : null);
  const downloads = open({
    options: () => ({
      ...place,
      hub: {
        ...place.hub,
        wait: async () => atCut(downloads),
      },
    }),
  });
  const ended = downloads.run(pair);
  await assert.rejects(ended, isAbort);
  place.server.fault = () => null;
  return downloads;
}

async function parts(place: HubPlace): Promise<string[]> {
  const names = await fs.readdir(place.cache, { recursive: true });
  return names.filter((name) => name.endsWith('.incomplete'));
}

test('a pair is downloaded with its progress and leaves the list when it is there', async () => {
  await using place = await hubPlace();
  const downloads = serve(place)();
  const seen: Download[] = [];
  downloads.onDidChange(() => seen.push(...downloads.list));
  const { model, transcoders } = await downloads.run(pair);
  assert.deepEqual(await fs.readFile(path.join(model ?? '', 'model.safetensors')), weights);
  assert.deepEqual(await fs.readFile(path.join(transcoders ?? '', 'layer_0.safetensors')), weights);
  assert.deepEqual(downloads.list, []);
  assert.equal(seen[0].status, 'asking');
  const last = seen.at(-1);
  assert.equal(last?.status, 'downloading');
  assert.equal(last?.total, 2 * weights.length + '{}'.length + 'model_kind: x'.length);
  assert.ok(seen.some(({ bytesPerSecond }) => bytesPerSecond > 0));
  assert.ok(seen.every(({ received, total }) => received <= total));
});

test('a paused download is there after a restart, and goes on where it was', async () => {
  await using place = await hubPlace();
  const open = serve(place);
  const first = await runUntilCut(place, open, (downloads) => downloads.pause(pair));
  assert.equal(first.find(pair)?.status, 'paused');
  first.dispose();
  const second = open();
  const [{ status, received, total }] = second.list;
  assert.deepEqual([status, received, total], ['paused', 20_002, 100_015]);
  const asked = place.server.seen.length;
  await second.run(pair);
  const ranges = place.server.seen.slice(asked).flatMap(({ headers }) => headers.range ?? []);
  assert.deepEqual(ranges, ['bytes=20000-']);
  assert.deepEqual(open().list, []);
});

test('a cancelled download leaves nothing half done behind', async () => {
  await using place = await hubPlace();
  const open = serve(place);
  let cancelled: Promise<void> = Promise.resolve();
  const downloads = await runUntilCut(place, open, (running) => {
    cancelled = running.cancel(pair);
  });
  await cancelled;
  assert.deepEqual(downloads.list, []);
  assert.deepEqual(open().list, []);
  assert.deepEqual(await parts(place), []);
});

test('a failed download says why, stays in the list and can be tried again', async () => {
  await using place = await hubPlace();
  const downloads = serve(place)();
  place.server.fault = ({ path: asked }) => (asked.includes('maker/set') ? { status: 404 } : null);
  await assert.rejects(downloads.run(pair), UserError);
  const failed = downloads.find(pair);
  assert.equal(failed?.status, 'failed');
  assert.match(failed?.error?.message ?? '', /maker\/set.*404/);
  place.server.fault = () => null;
  await downloads.run(pair);
  assert.deepEqual(downloads.list, []);
});

test('the same download is not started twice in a window', async () => {
  await using place = await hubPlace();
  const downloads = serve(place)();
  const [first, second] = await Promise.allSettled([downloads.run(pair), downloads.run(pair)]);
  assert.equal(first.status, 'fulfilled');
  assert.ok(second.status === 'rejected' && second.reason instanceof UserError);
});

test('what another version left in the memory is read with care', async () => {
  await using place = await hubPlace();
  const open = serve(place);
  for (const odd of [7, 'x', [null, 7, { pair: { model: 7 } }, { pair: null }, {}], { a: 1 }]) {
    const downloads = open({ memory: { get: () => odd, update: async () => {} } });
    assert.deepEqual(downloads.list, []);
  }
});

test('a downloaded pair can be deleted again, folder by folder', async () => {
  await using place = await hubPlace();
  await serve(place)().run(pair);
  await deletePlace(place.cache, { repo: 'maker/set', commit, folder: '' });
  assert.deepEqual(
    (await listCache(place.cache)).map(({ repo }) => repo),
    ['owner/model'],
  );
  await deletePlace(place.cache, { repo: 'owner/model', commit, folder: '' });
  assert.deepEqual(await listCache(place.cache), []);
});
