import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import fs from 'node:fs/promises';
import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { test } from 'node:test';
import { type DownloadOptions, downloadFile, spareBytes } from '../../src/host/remote/download.ts';
import type { Hub } from '../../src/host/remote/hub.ts';
import { blobPath, incompletePath, lockPath } from '../../src/host/remote/hubCache.ts';
import { isAbort, UserError } from '../../src/protocol/errors.ts';
import { commit, hubPlace, servedRepo } from '../support/hubPlace.ts';
import { type Fault, type HubServer, sha256 } from '../support/hubServer.ts';

const repo = 'owner/model';
const large = randomBytes(200_000);
const small = Buffer.from('{"a": 1}');

/** A hub with one repository of a large and a small file, and a window that asks for them. */
async function setUp() {
  const place = await hubPlace();
  const { server, hub, cache } = place;
  server.repos.set(repo, servedRepo({ 'weights/model.safetensors': large, 'config.json': small.toString() }));
  const options: DownloadOptions = { hub, cache, signal: new AbortController().signal, onBytes: () => {} };
  return {
    ...place,
    options,
    part: incompletePath(cache, repo, sha256(large)),
    get: (changes: Partial<DownloadOptions> = {}, file = 'weights/model.safetensors') =>
      downloadFile({ repo, revision: 'main', commit, path: file }, { ...options, ...changes }),
  };
}

function checkUserError(code: string, text: RegExp) {
  return (error: unknown) => {
    assert.ok(error instanceof UserError, String(error));
    assert.equal(error.code, code);
    assert.match(`${error.message} ${error.remedy}`, text);
    return true;
  };
}

/** Faults for signed reads only, one each, then none. */
function failReads(server: HubServer, ...faults: Fault[]) {
  server.fault = ({ kind }) => (kind === 'signed' ? (faults.shift() ?? null) : null);
}

const signedReads = (server: HubServer) => server.seen.filter(({ kind }) => kind === 'signed');

test('a file arrives byte for byte, as a link to its blob, and is not asked for again', async () => {
  await using place = await setUp();
  const progress: number[] = [];
  const file = await place.get({ onBytes: (received) => progress.push(received) });
  assert.deepEqual(await fs.readFile(file), large);
  assert.equal(file, path.join(place.cache, 'models--owner--model/snapshots', commit, 'weights/model.safetensors'));
  assert.equal(await fs.readlink(file), `../../../blobs/${sha256(large)}`);
  assert.equal(await fs.readFile(path.join(place.cache, 'models--owner--model/refs/main'), 'utf8'), commit);
  assert.equal(progress.at(-1), large.length);
  assert.deepEqual(
    [...progress].sort((a, b) => a - b),
    progress,
  );
  const asked = place.server.seen.length;
  assert.equal(await place.get(), file);
  assert.equal(place.server.seen.length, asked);
});

test('the access token goes to the hub and never to the host of a signed address', async () => {
  await using place = await setUp();
  await place.get({ hub: { ...place.hub, token: async () => 'secret' } });
  const kinds = new Map(place.server.seen.map(({ kind, headers }) => [kind, headers.authorization]));
  assert.deepEqual(
    [...kinds],
    [
      ['resolve', 'Bearer secret'],
      ['signed', undefined],
    ],
  );
});

test('a download that is cut at any tenth goes on from there and ends up byte-equal', async () => {
  for (let tenth = 0; tenth < 10; tenth += 1) {
    await using place = await setUp();
    const cutAt = (large.length / 10) * tenth;
    failReads(place.server, { cutAt });
    assert.deepEqual(await fs.readFile(await place.get()), large);
    const [, again] = signedReads(place.server);
    const from = Number(/^bytes=(\d+)-$/.exec(again.headers.range ?? 'bytes=0-')?.[1]);
    assert.ok(from <= cutAt && (cutAt === 0 || from > 0), `cut at ${cutAt}, continued at ${from}`);
  }
});

test('cuts that always bring something further are never too many', async () => {
  await using place = await setUp();
  failReads(place.server, ...Array.from({ length: 15 }, () => ({ cutAt: 10_000 })));
  assert.deepEqual(await fs.readFile(await place.get()), large);
  assert.ok(
    place.waits.every((milliseconds) => milliseconds === 1000),
    String(place.waits),
  );
});

test('a paused download keeps what has arrived and goes on from it in a later session', async () => {
  await using place = await setUp();
  const controller = new AbortController();
  const paused = place.get({
    signal: controller.signal,
    onBytes: (received) => {
      if (received > 50_000) controller.abort();
    },
  });
  await assert.rejects(paused, isAbort);
  const { size } = await fs.stat(place.part);
  assert.ok(size > 0 && size < large.length, String(size));
  assert.deepEqual(await fs.readdir(path.dirname(lockPath(place.cache, repo, 'x'))), []);
  assert.deepEqual(await fs.readFile(await place.get()), large);
  assert.equal(signedReads(place.server)[1].headers.range, `bytes=${size}-`);
  await assert.rejects(fs.stat(place.part));
});

test('an answer that ignores the range is taken from its start', async () => {
  await using place = await setUp();
  await fs.mkdir(path.dirname(place.part), { recursive: true });
  await fs.writeFile(place.part, large.subarray(0, 1000));
  place.server.fault = ({ kind, headers }) => {
    if (kind === 'signed') delete headers.range;
    return null;
  };
  assert.deepEqual(await fs.readFile(await place.get()), large);
  assert.equal(signedReads(place.server).length, 1);
});

test('a continuation that begins elsewhere is not appended', async () => {
  await using place = await setUp();
  await fs.mkdir(path.dirname(place.part), { recursive: true });
  await fs.writeFile(place.part, large.subarray(0, 1000));
  failReads(place.server, { headers: { 'content-range': `bytes 900-${large.length - 1}/${large.length}` } });
  assert.deepEqual(await fs.readFile(await place.get()), large);
  assert.deepEqual(
    signedReads(place.server).map(({ headers }) => headers.range),
    ['bytes=1000-', undefined],
  );
});

test('what an earlier session left is checked too: one wrong byte in it and the file starts again', async () => {
  await using place = await setUp();
  const spoiled = Buffer.from(large.subarray(0, 100_000));
  spoiled[5] ^= 1;
  await fs.mkdir(path.dirname(place.part), { recursive: true });
  await fs.writeFile(place.part, spoiled);
  assert.deepEqual(await fs.readFile(await place.get()), large);
  assert.deepEqual(
    signedReads(place.server).map(({ headers }) => headers.range),
    ['bytes=100000-', undefined],
  );
});

test('a file whose hash is wrong every time is refused and not kept', async () => {
  await using place = await setUp();
  const wrong = Buffer.from(large);
  wrong[17] ^= 1;
  place.server.fault = ({ kind }) => (kind === 'signed' ? { bytes: wrong } : null);
  await assert.rejects(place.get(), checkUserError('download.damaged', /3 times.*hash/));
  assert.deepEqual(await fs.readdir(path.dirname(place.part)), []);
  assert.equal(signedReads(place.server).length, 3);
});

test('a small file is checked against its git name', async () => {
  await using place = await setUp();
  assert.deepEqual(await fs.readFile(await place.get({}, 'config.json')), small);
  await using other = await setUp();
  other.server.fault = ({ method }) => (method === 'GET' ? { body: '{"a": 2}' } : null);
  await assert.rejects(other.get({}, 'config.json'), checkUserError('download.damaged', /hash/));
});

test('a file of another size than promised is refused before it fills the disk', async () => {
  for (const bytes of [large.subarray(0, 150_000), Buffer.concat([large, large])]) {
    await using place = await setUp();
    place.server.fault = ({ kind }) => (kind === 'signed' ? { bytes } : null);
    await assert.rejects(place.get(), checkUserError('download.damaged', /200000/));
    assert.deepEqual(await fs.readdir(path.dirname(place.part)), []);
  }
});

test('a file that is longer than promised and does not say so is stopped at the promised size', async () => {
  await using place = await setUp();
  place.server.fault = ({ kind }) => (kind === 'signed' ? { body: 'x'.repeat(2_000_000) } : null);
  let most = 0;
  const onBytes = (received: number) => {
    most = Math.max(most, received);
  };
  await assert.rejects(place.get({ onBytes }), checkUserError('download.damaged', /larger than the 200000/));
  assert.ok(most <= large.length, String(most));
});

test('a file that changes on the hub in mid-download is taken anew, not mixed', async () => {
  await using place = await setUp();
  const changed = randomBytes(large.length);
  place.server.fault = ({ kind }) => {
    if (kind !== 'signed' || place.server.seen.filter((request) => request.kind === 'signed').length > 1) return null;
    place.server.repos.set(repo, servedRepo({ 'weights/model.safetensors': changed }));
    return { bytes: large, cutAt: 90_000 };
  };
  const file = await place.get();
  assert.deepEqual(await fs.readFile(file), changed);
  assert.equal(path.basename(await fs.readlink(file)), sha256(changed));
  assert.deepEqual(
    signedReads(place.server).map(({ headers }) => headers.range),
    [undefined, undefined],
  );
  await assert.rejects(fs.stat(place.part), 'the part of the old file is gone');
});

test('a signed address that ran out is asked for anew', async () => {
  await using place = await setUp();
  failReads(place.server, { cutAt: 20_000 }, { status: 403 });
  assert.deepEqual(await fs.readFile(await place.get()), large);
  assert.equal(place.server.seen.filter(({ kind }) => kind === 'resolve').length, 3);
});

test('a busy hub is given the time it asks for', async () => {
  await using place = await setUp();
  const faults: Fault[] = [{ status: 429, headers: { 'retry-after': '7' } }, { status: 503 }];
  place.server.fault = () => faults.shift() ?? null;
  assert.deepEqual(await fs.readFile(await place.get()), large);
  assert.deepEqual(place.waits, [7000, 2000]);
});

test('a hub that asks to wait for an hour is reported, not waited for', async () => {
  await using place = await setUp();
  place.server.fault = () => ({ status: 429, headers: { 'retry-after': '3600' } });
  await assert.rejects(place.get(), checkUserError('hub.busy', /60 minutes/));
  assert.deepEqual(place.waits, []);
});

test('a hub that stays broken or away is given up after a few attempts, ever further apart', async () => {
  await using place = await setUp();
  place.server.fault = () => ({ status: 500 });
  await assert.rejects(place.get(), checkUserError('hub.unreachable', /6 attempts.*500/));
  assert.deepEqual(place.waits, [1000, 2000, 4000, 8000, 16000]);
  await using away = await setUp();
  await away.server[Symbol.asyncDispose]();
  await assert.rejects(away.get(), checkUserError('hub.unreachable', /ECONNREFUSED.*connection/s));
});

test('a model behind terms says what to do: accept them and set a token, or use another token', async () => {
  await using place = await setUp();
  place.server.repos.set(repo, { ...servedRepo({ 'weights/model.safetensors': large }), gate: 'right' });
  const withToken = (token: string | null) => ({ hub: { ...place.hub, token: async () => token } });
  await assert.rejects(place.get(withToken(null)), checkUserError('hub.unauthorized', /401.*owner\/model.*Token/s));
  await assert.rejects(place.get(withToken('wrong')), checkUserError('hub.gated', /403.*Accept the terms/s));
  place.server.fault = () => ({ status: 403 });
  await assert.rejects(place.get(withToken('right')), checkUserError('hub.forbidden', /token/));
  place.server.fault = () => null;
  assert.deepEqual(await fs.readFile(await place.get(withToken('right'))), large);
  assert.deepEqual(place.waits, []);
});

test('a file that is not on the hub is said to be not there', async () => {
  await using place = await setUp();
  await assert.rejects(place.get({}, 'nothing.bin'), checkUserError('hub.notFound', /owner\/model\/nothing.bin.*404/));
});

test('too little disk is found before the download, and said in numbers', async () => {
  await using place = await setUp();
  const freeBytes = async () => spareBytes + large.length - 1;
  await assert.rejects(
    place.get({ freeBytes }),
    checkUserError('download.noSpace', /needs 200 kB more.*Free 1 bytes/s),
  );
  assert.equal(signedReads(place.server).length, 0);
  const enough = async () => spareBytes + large.length;
  assert.deepEqual(await fs.readFile(await place.get({ freeBytes: enough })), large);
});

test('redirects that never end are refused', async () => {
  await using place = await setUp();
  place.server.fault = ({ path: asked }) => ({ status: 307, headers: { location: asked } });
  await assert.rejects(place.get(), checkUserError('hub.redirects', /5 times/));
  await using later = await setUp();
  later.server.fault = ({ kind }) => (kind === 'signed' ? { status: 302, headers: { location: '/again' } } : null);
  await assert.rejects(later.get(), checkUserError('hub.redirects', /5 times/));
});

test('a redirect to something that is no web address is refused', async () => {
  for (const location of ['file:///etc/passwd', 'http://', 'javascript:1']) {
    await using place = await setUp();
    place.server.fault = () => ({ status: 302, headers: { location } });
    await assert.rejects(place.get(), checkUserError('hub.oddAnswer', /redirect/));
  }
});

test('a secure address never leads to an open one', async () => {
  await using place = await setUp();
  const asked: string[] = [];
  const hub: Hub = {
    ...place.hub,
    endpoint: 'https://hub.test',
    http: async (address) => {
      asked.push(address.origin);
      const body = new IncomingMessage(new Socket());
      return { status: 302, headers: { location: 'http://hub.test/open' }, body };
    },
  };
  await assert.rejects(place.get({ hub }), checkUserError('hub.oddAnswer', /secure address to an open one/));
  assert.deepEqual(asked, ['https://hub.test']);
});

test('an ETag or commit that would leave the cache is refused', async () => {
  const faults: Record<string, string>[] = [
    { 'x-linked-etag': '"../../../escape"' },
    { 'x-linked-etag': '""' },
    { 'x-repo-commit': '../../escape' },
    { 'x-linked-size': '-5' },
  ];
  for (const headers of faults) {
    await using place = await setUp();
    place.server.fault = ({ kind }) => (kind === 'resolve' ? { headers } : null);
    await assert.rejects(place.get(), checkUserError('hub.oddAnswer', /makes no sense/), JSON.stringify(headers));
    assert.deepEqual(await fs.readdir(place.cache), []);
  }
});

test('where links are not allowed the file itself is in the snapshot', async () => {
  await using place = await setUp();
  const makeLink = async () => {
    throw Object.assign(new Error('no links here'), { code: 'EPERM' });
  };
  const file = await place.get({ makeLink });
  assert.ok((await fs.lstat(file)).isFile());
  assert.deepEqual(await fs.readFile(file), large);
  await assert.rejects(fs.stat(blobPath(place.cache, repo, sha256(large))), 'it lies on the disk once');
  const asked = place.server.seen.length;
  assert.equal(await place.get({ makeLink }), file);
  assert.equal(place.server.seen.length, asked);
});

test('offline, nothing is asked from the network, and what is on disk is used', async () => {
  await using place = await setUp();
  const file = await place.get();
  const offline = { hub: { ...place.hub, isOffline: () => true } };
  const asked = place.server.seen.length;
  assert.equal(await place.get(offline), file);
  await assert.rejects(place.get(offline, 'config.json'), checkUserError('hub.offline', /Offline/));
  assert.equal(place.server.seen.length, asked);
});

test('two windows that ask for the same file download it once', async () => {
  await using place = await setUp();
  let sayBothAsked = () => {};
  const bothAsked = new Promise<void>((resolve) => {
    sayBothAsked = resolve;
  });
  place.server.fault = async ({ kind }) => {
    if (place.server.seen.filter((request) => request.kind === 'resolve').length === 2) sayBothAsked();
    if (kind === 'signed') await bothAsked;
    return null;
  };
  const script = path.join(import.meta.dirname, '../support/downloadOnce.ts');
  const args = [script, place.server.endpoint, place.cache, repo, commit, 'weights/model.safetensors'];
  const windows = [0, 1].map(async () => {
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    let output = '';
    child.stdout.on('data', (chunk) => {
      output += chunk;
    });
    const [code] = await once(child, 'close');
    assert.equal(code, 0);
    return output;
  });
  const [first, second] = await Promise.all(windows);
  assert.equal(first, second);
  assert.deepEqual(await fs.readFile(first), large);
  assert.equal(signedReads(place.server).length, 1);
});

test('a lock whose owner died is taken over', async () => {
  await using place = await setUp();
  const child = spawn(process.execPath, ['-e', '']);
  await once(child, 'close');
  const lock = lockPath(place.cache, repo, sha256(large));
  await fs.mkdir(path.dirname(lock), { recursive: true });
  await fs.writeFile(lock, JSON.stringify({ pid: child.pid, host: os.hostname() }));
  assert.deepEqual(await fs.readFile(await place.get()), large);
  assert.deepEqual(place.waits, []);
});

test('a lock from another machine is waited for until its owner has been silent for half a minute', async () => {
  await using place = await setUp();
  const lock = lockPath(place.cache, repo, sha256(large));
  await fs.mkdir(path.dirname(lock), { recursive: true });
  await fs.writeFile(lock, JSON.stringify({ pid: 1, host: 'elsewhere' }));
  let looks = 0;
  const wait = async () => {
    looks += 1;
    // It lives for the first 50 looks.
    if (looks <= 50) await fs.utimes(lock, looks, looks);
  };
  assert.deepEqual(await fs.readFile(await place.get({ hub: { ...place.hub, wait } })), large);
  assert.equal(looks, 170);
});
