import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { FeatureExamples, mergeDistance, mergeRanges } from '../../src/host/remote/featureExamples.ts';
import { parseReference } from '../../src/host/remote/reference.ts';
import { UserError } from '../../src/protocol/errors.ts';
import { type HubPlace, hubPlace, servedRepo } from '../support/hubPlace.ts';
import type { SeenRequest } from '../support/hubServer.ts';

const { signal } = new AbortController();
const set = parseReference('maker/set/width_16k');

function record(text: string): Buffer {
  const packed = gzipSync(text);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(packed.length);
  return Buffer.concat([length, packed]);
}

/** One layer of examples: 0 and 1 side by side, 2 without any, 3 as long as a gap, 4 behind it. */
const [zero, one, four] = ['{"index": 0}', '{"index": 1}', '{"index": 4}'].map(record);
const gap = Buffer.alloc(mergeDistance);
const file = Buffer.concat([zero, one, gap, four]);
const near = zero.length + one.length;
const far = near + gap.length;
const index = [{ filename: 'layer_0.bin', offsets: [0, zero.length, near, near, far, file.length] }];

async function examplesPlace(
  place: HubPlace,
  {
    served = index as unknown,
    bytes = file,
    now = () => 0,
  }: { served?: unknown; bytes?: Buffer; now?: () => number } = {},
) {
  place.server.repos.set(
    'maker/set',
    servedRepo({
      'width_16k/features/index.json.gz': gzipSync(JSON.stringify(served)),
      'width_16k/features/layer_0.bin': bytes,
    }),
  );
  return () => new FeatureExamples({ hub: place.hub, cache: place.cache, folder: join(place.cache, 'kept'), now });
}

const reads = ({ server }: HubPlace) =>
  server.seen.filter((seen: SeenRequest) => seen.kind === 'signed' && seen.headers.range !== undefined);

test('neighbouring features are read with one request and kept on disk', async () => {
  await using place = await hubPlace();
  const open = await examplesPlace(place);
  const found = await open().read(set, 0, [1, 0, 2, 77], signal);
  assert.deepEqual([...found].sort(), [
    [0, '{"index": 0}'],
    [1, '{"index": 1}'],
  ]);
  assert.deepEqual(
    reads(place).map(({ headers }) => headers.range),
    [`bytes=0-${near - 1}`],
  );
  const asked = place.server.seen.length;
  assert.equal((await open().read(set, 0, [1], signal)).get(1), '{"index": 1}');
  assert.equal(place.server.seen.length, asked);
});

test('features that lie far apart are read apart', async () => {
  await using place = await hubPlace();
  const open = await examplesPlace(place);
  assert.equal((await open().read(set, 0, [4, 0], signal)).get(4), '{"index": 4}');
  assert.deepEqual(
    reads(place).map(({ headers }) => headers.range),
    [`bytes=0-${zero.length - 1}`, `bytes=${far}-${file.length - 1}`],
  );
});

test('the signed address is used again until it is refused or old, and then asked for anew', async () => {
  await using place = await hubPlace();
  let time = 0;
  const examples = (await examplesPlace(place, { now: () => time }))();
  const resolves = () =>
    place.server.seen.filter(({ kind, path }) => kind === 'resolve' && path.endsWith('bin')).length;
  await examples.read(set, 0, [0], signal);
  time += 60_000;
  await examples.read(set, 0, [1], signal);
  assert.equal(resolves(), 1);
  const faults = [{ status: 403 }];
  place.server.fault = ({ kind }) => (kind === 'signed' ? (faults.shift() ?? null) : null);
  assert.equal((await examples.read(set, 0, [4], signal)).size, 1);
  assert.equal(resolves(), 2);
  time += 60 * 60_000;
  await examples.read({ ...set, revision: 'main' }, 0, [0], signal);
  assert.equal(resolves(), 3);
});

test('a set without examples on the hub has none, and that is no error', async () => {
  await using place = await hubPlace();
  const open = await examplesPlace(place);
  place.server.repos.set('maker/set', servedRepo({ 'width_16k/config.yaml': 'x' }));
  assert.deepEqual([...(await open().read(set, 0, [0], signal))], []);
});

test('records and indexes that are broken or hostile are refused', async () => {
  const long = Buffer.from(file);
  long.writeUInt32LE(0xffffffff, 0);
  const spoiled = Buffer.from(file);
  spoiled.fill(0, 4, 20);
  const cases: { served?: unknown; bytes?: Buffer }[] = [
    { bytes: long },
    { bytes: spoiled },
    { served: [{ filename: '../../x', offsets: [0, 1] }] },
    { served: [{ filename: 'layer_0.bin', offsets: [5, 1] }] },
    { served: [{ filename: 'layer_0.bin', offsets: [0, 1e300] }] },
    { served: [{ filename: 'layer_0.bin' }] },
    { served: [7] },
  ];
  for (const changes of cases) {
    await using place = await hubPlace();
    const open = await examplesPlace(place, changes);
    await assert.rejects(
      open().read(set, 0, [0], signal),
      (error) => error instanceof UserError && error.code === 'hub.oddAnswer',
    );
  }
});

test('merging keeps every range, in groups that are further apart than a request is worth', () => {
  const range = fc
    .tuple(fc.integer({ min: 0, max: 10_000_000 }), fc.integer({ min: 1, max: 100_000 }))
    .map(([start, length]) => ({ start, stop: start + length }));
  fc.assert(
    fc.property(fc.array(range, { maxLength: 50 }), (unsorted) => {
      const ranges = [...unsorted].sort((a, b) => a.start - b.start);
      const groups = mergeRanges(ranges);
      assert.deepEqual(
        groups.flatMap(({ members }) => members),
        ranges,
      );
      for (const { start, stop, members } of groups) {
        assert.equal(start, Math.min(...members.map((member) => member.start)));
        assert.equal(stop, Math.max(...members.map((member) => member.stop)));
      }
      for (let i = 1; i < groups.length; i += 1) assert.ok(groups[i].start - groups[i - 1].stop >= mergeDistance);
    }),
  );
});
