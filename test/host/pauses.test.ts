import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { PauseWatch } from '../../src/host/pauses.ts';

function work(milliseconds: number): void {
  const { user, system } = process.cpuUsage();
  const started = user + system;
  for (let used = 0; used < milliseconds * 1000; ) {
    const now = process.cpuUsage();
    used = now.user + now.system - started;
  }
}

test('work of the host itself is a pause and is told as its own', async () => {
  using pauses = new PauseWatch();
  await delay(20);
  work(80);
  await delay(20);
  const { milliseconds, ownMilliseconds } = pauses.longest;
  assert.ok(milliseconds > 60, `${milliseconds} ms`);
  assert.ok(ownMilliseconds !== null && ownMilliseconds > 60, `${ownMilliseconds} ms`);
});

test('a host that cannot go on without working is paused, but not by itself', async () => {
  using pauses = new PauseWatch();
  await delay(20);
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 120);
  await delay(20);
  const { milliseconds, ownMilliseconds } = pauses.longest;
  assert.ok(milliseconds > 100, `${milliseconds} ms`);
  assert.ok(ownMilliseconds !== null && ownMilliseconds < 60, `${ownMilliseconds} ms`);
});
