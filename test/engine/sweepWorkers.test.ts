import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import path from 'node:path';
import process from 'node:process';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { blocksOf } from '../../src/engine/attribution/decoderTable.ts';
import { Scratch } from '../../src/engine/attribution/scratch.ts';
import { closeTo } from '../support/closeTo.ts';
import { openPrompt } from '../support/openPrompt.ts';

/** Batches are cut differently, and products of a single row are summed in another order: the last bit may differ. */
function closeToAll(found: readonly Float32Array[], expected: readonly Float32Array[]): void {
  assert.equal(found.length, expected.length);
  found.forEach((row, place) => {
    assert.equal(row.length, expected[place].length);
    row.forEach((effect, column) => {
      closeTo(effect, expected[place][column], 1e-6, `target ${place}, source ${column}`);
    });
  });
}

/** Grouped queries, skip, cross-layer, norms after attention, four special tokens. */
const cases = ['llama-plt-relu', 'llama-plt-skip', 'llama-clt-jumprelu', 'gemma2-clt', 'gemma3-it-plt'];

for (const name of cases) {
  test(`on ${name} threads beside each other give the effects that one gives`, async () => {
    using here = await openPrompt(name);
    using beside = await openPrompt(name, { workers: 2 });
    assert.ok(beside.sources.written.every(({ vectors }) => vectors.buffer instanceof SharedArrayBuffer));
    closeToAll(await beside.effects(), await here.effects());
  });
}

for (const name of cases) {
  test(`on ${name} a prompt that was laid out for threads, but is too long for them, is swept here all the same`, async () => {
    using here = await openPrompt(name);
    using laidOut = await openPrompt(name, { workers: 1 });
    assert.ok(laidOut.sources.written.every(({ vectors }) => vectors.buffer instanceof SharedArrayBuffer));
    assert.deepEqual(await laidOut.effects(), await here.effects());
  });
}

for (const name of cases) {
  test(`on ${name} threads that make what features write from tables find the same effects, and the same errors`, async () => {
    using here = await openPrompt(name);
    using beside = await openPrompt(name, { workers: 2, mostBytes: 0, mostTableBytes: 2 ** 30 });
    const { written, tables, reconstruction, errors } = beside.sources;
    assert.equal(written.length, 0);
    assert.equal(tables.length, here.sources.written.length);
    assert.ok(tables.every(({ rows }) => rows.buffer instanceof SharedArrayBuffer));
    closeToAll(reconstruction, here.sources.reconstruction);
    closeToAll(errors, here.sources.errors);
    closeToAll(await beside.effects(), await here.effects());
  });
}

test('tables hold what a norm after the MLP makes of what features write', async () => {
  const outputHook = 'mlp.hook_out';
  using here = await openPrompt('gemma2-clt', { outputHook });
  assert.ok(here.local.writingScale(0).scale && here.local.writingScale(0).gain);
  using beside = await openPrompt('gemma2-clt', { outputHook, workers: 2, mostBytes: 0, mostTableBytes: 2 ** 30 });
  assert.ok(beside.sources.tables.length > 0);
  closeToAll(await beside.effects(), await here.effects());
});

test('a table has each decoder row once, and a block of some positions is what features write there', async () => {
  using here = await openPrompt('llama-plt-relu');
  using beside = await openPrompt('llama-plt-relu', { workers: 2, mostBytes: 0, mostTableBytes: 2 ** 30 });
  const { tables, active, nPos, firstPos } = beside.sources;
  const { dModel } = beside.local.set;
  tables.forEach((table, layer) => {
    const fires = new Set([...active.feature].filter((_, index) => active.layer[index] === layer));
    assert.equal(table.rows.length, (fires.size + nPos - firstPos) * dModel);
    const whole = here.sources.written[layer];
    for (const range of [
      { from: firstPos, to: nPos },
      { from: nPos - 2, to: nPos },
    ]) {
      for (const block of blocksOf(table, range, new Scratch(), 1)) {
        const start = (block.firstPos - firstPos) * block.width;
        assert.deepEqual(block.columns, whole.columns.subarray(start, start + block.columns.length));
        block.columns.forEach((column, place) => {
          if (column < 0) return;
          for (let i = 0; i < dModel; i++) {
            const value = block.vectors[place * dModel + i] * (block.factors?.[place] ?? Number.NaN);
            closeTo(value, whole.vectors[(start + place) * dModel + i], 1e-6, `layer ${layer}, column ${column}`);
          }
        });
      }
    }
  });
});

test('a prompt whose tables would take too much is swept in pieces, with threads and without', async () => {
  const limits = { mostBytes: 0, mostTableBytes: 1000 };
  using threads = await openPrompt('llama-plt-relu', { workers: 2, ...limits });
  using alone = await openPrompt('llama-plt-relu', limits);
  for (const { sources } of [threads, alone]) assert.ok(sources.written.length === 0 && sources.tables.length === 0);
});

for (const name of cases) {
  test(`on ${name} batches that are swept side by side give the effects that each gives alone`, async () => {
    using here = await openPrompt(name);
    using beside = await openPrompt(name, { workers: 2 });
    const alone = await here.effects();
    // So many targets that four batches go down together.
    const copies = 40;
    for (const prompt of [here, beside]) {
      const many = await prompt.effects(null, copies);
      assert.equal(many.length, copies * alone.length);
      many.forEach((row, place) => {
        const expected = alone[place % alone.length];
        row.forEach((effect, column) => {
          closeTo(effect, expected[column], 1e-5, `target ${place}, source ${column}`);
        });
      });
    }
  });
}

test('threads beside each other stop when the sweep is given up, and sweep again', async () => {
  const given = new Error('given up');
  let calls = 0;
  using prompt = await openPrompt('llama-plt-relu', {
    workers: 2,
    onBatch: async () => {
      calls++;
      if (calls === 3) throw given;
    },
  });
  await assert.rejects(prompt.effects(), given);
  using undisturbed = await openPrompt('llama-plt-relu', { workers: 2 });
  assert.deepEqual(await prompt.effects(), await undisturbed.effects());
});

test('a process that ends while its threads sweep ends at once and as it was told to', async () => {
  const script = path.join(import.meta.dirname, '../support/exitWhileSweeping.ts');
  for (const delay of [0, 50]) {
    const ended = await promisify(execFile)(process.execPath, [script, String(delay)]).catch((error) => error);
    assert.equal(ended.code, 7, `after ${delay} ms: ${ended.signal} ${ended.stderr}`);
  }
});

test('a sweep on threads does not keep a process from ending', async () => {
  const script = path.join(import.meta.dirname, '../support/exitWhileSweeping.ts');
  const { stdout } = await promisify(execFile)(process.execPath, [script, 'once'], { timeout: 60_000 });
  assert.match(stdout, /swept 2/);
});
