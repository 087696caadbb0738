import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { nodeColumns } from '../../src/engine/attribution/nodeRows.ts';
import { columnPlan } from '../../src/engine/attribution/rowColumns.ts';
import { RowCutter } from '../../src/engine/attribution/rowCut.ts';
import { rowLimits } from '../../src/engine/attribution/rowLimits.ts';
import { RowStore } from '../../src/engine/attribution/rowStore.ts';
import { Scratch } from '../../src/engine/attribution/scratch.ts';
import { SizeClasses } from '../../src/engine/attribution/sizeClasses.ts';
import { errorColumn, featureBlock, pieceRanges, sourceColumns } from '../../src/engine/attribution/writtenBlock.ts';
import type { FloatTensor } from '../../src/engine/transcoders/floatTensor.ts';
import type { TranscoderSet } from '../../src/engine/transcoders/transcoder.ts';
import { addRow, openPrompt } from '../support/openPrompt.ts';
import { checkClose } from '../support/tensors.ts';

/** Grouped queries, skip, cross-layer, norms after, windows, sinks, capped scores, four special tokens. */
const cases = ['llama-plt-relu', 'llama-plt-skip', 'gemma2-clt', 'gemma3-plt-gs2-skip', 'gemma3-it-plt', 'gpt-oss-clt'];

/** One row at a time, two positions at a time: every boundary between pieces is met. */
const small = { batchBytes: 1, positions: 2 };

for (const name of cases) {
  test(`on ${name} pieces give the effects of the whole, with patterns kept and with patterns made again`, async () => {
    using whole = await openPrompt(name);
    const expected = await whole.effects();
    // All at once through the pieces' steps, row by row, and everything in pieces that can be.
    for (const [patternBytes, mostBytes, mostTableBytes, sizes] of [
      [undefined, undefined, undefined, { batchBytes: 2 ** 30, positions: 256 }],
      [undefined, 0, 0, small],
      [1, 0, 0, small],
      [1, undefined, undefined, { batchBytes: 2 ** 20, positions: 3 }],
      // Each decoder row once.
      [undefined, 0, 2 ** 30, small],
      [1, 0, 2 ** 30, { batchBytes: 2 ** 20, positions: 3 }],
    ] as const) {
      using prompt = await openPrompt(name, { patternBytes, mostBytes, mostTableBytes });
      assert.equal(prompt.sources.written.length === 0, mostBytes === 0);
      assert.equal(prompt.sources.tables.length > 0, mostTableBytes === 2 ** 30);
      assert.equal(prompt.local.run.layers[0].attnFactors !== null, patternBytes === 1);
      const effects = await prompt.effects(sizes);
      assert.equal(effects.length, expected.length);
      effects.forEach((row, target) => {
        const largest = expected[target].reduce((most, value) => Math.max(most, Math.abs(value)), 0);
        row.forEach((value, column) => {
          const difference = Math.abs(value - expected[target][column]);
          assert.ok(difference <= 2e-5 * largest, `${column} on ${target}: ${value}, not ${expected[target][column]}`);
        });
      });
      prompt.sources.errors.forEach((errors, layer) => {
        checkClose(`errors of layer ${layer}`, errors, whole.sources.errors[layer], 2e-5);
      });
    }
  });
}

test('where features are no sources of their own, their error has the effect that they all have together', async () => {
  for (const name of ['llama-plt-relu', 'gemma2-clt', 'gemma3-plt-gs2-skip']) {
    using whole = await openPrompt(name);
    const { active, nPos, nLayers, firstPos } = whole.sources;
    const mask = Uint8Array.from({ length: nPos }, (_, pos) => (pos % 2 === 0 ? 1 : 0));
    using chosen = await openPrompt(name, { sourceMask: mask });
    const [all, some] = [await whole.effects(), await chosen.effects()];
    const own = chosen.sources.active;
    assert.ok(own.count > 0 && own.count < active.count && own.pos.every((pos) => mask[pos] === 1));
    // What features at the other positions write to each layer.
    const expected = Array.from({ length: nLayers }, (_, layer) =>
      Array.from({ length: nPos }, (_, pos) => all[active.count][errorColumn(whole.sources, layer, pos)]),
    );
    for (const [layer, block] of whole.sources.written.entries()) {
      // Cross-layer features write to several layers, and their one effect is the sum: only per-layer ones can be told apart.
      if (name === 'gemma2-clt') break;
      block.columns.forEach((column) => {
        if (column < 0 || column >= active.count || mask[active.pos[column]]) return;
        expected[layer][active.pos[column]] += all[active.count][column];
      });
    }
    const got = (layer: number, pos: number) => some[own.count][errorColumn(chosen.sources, layer, pos)];
    if (name !== 'gemma2-clt') {
      for (let layer = 0; layer < nLayers; layer++) {
        for (let pos = firstPos; pos < nPos; pos++) {
          assert.ok(Math.abs(got(layer, pos) - expected[layer][pos]) < 2e-5, `${layer} ${pos}`);
        }
      }
    }
    // In any case nothing is lost: all effects together stay what they are.
    const total = (row: Float32Array) => row.reduce((sum, value) => sum + value, 0);
    assert.ok(Math.abs(total(some[own.count]) - total(all[active.count])) < 1e-4);
  }
});

test('ranges of positions cover all of them once and stay within their limit', async () => {
  using prompt = await openPrompt('llama-clt-jumprelu');
  const { sources, local } = prompt;
  for (const atOnce of [1, 2, 5, 100]) {
    for (let layer = 0; layer < sources.nLayers; layer++) {
      const ranges = pieceRanges(sources, local.set, layer, { from: 1, to: sources.nPos }, atOnce);
      assert.equal(ranges[0].from, 1);
      assert.equal(ranges.at(-1)?.to, sources.nPos);
      ranges.forEach(({ from, to }, index) => {
        assert.ok(to > from && to - from <= atOnce);
        if (index > 0) assert.equal(from, ranges[index - 1].to);
      });
    }
  }
});

/** The wanted effects of the row 0, by column. */
function pickFrom(store: RowStore, wanted: Uint32Array): [column: number, value: number][] {
  const most = store.mostPicked(0, wanted);
  const into = { source: new Uint32Array(most + 1), weight: new Float32Array(most + 1) };
  const count = store.pick(0, wanted, into, 1) - 1;
  assert.ok(count <= most && into.source[0] === 0, 'what is picked is put where it was asked for');
  return Array.from({ length: count }, (_, i) => [wanted[into.source[i + 1]], into.weight[i + 1]]);
}

test('a row that may keep only so many effects keeps the largest, and tells how much that drops', async () => {
  using prompt = await openPrompt('llama-plt-relu');
  const { sources, local } = prompt;
  const row = (await prompt.effects())[sources.active.count];
  const store = new RowStore(sources, { keptShare: 1, mostPerRow: 10 });
  const target = { layer: local.model.dimensions.nLayers, pos: sources.nPos - 1 };
  addRow(store, sources, 0, target, row);
  const all = Uint32Array.from(row.keys());
  const picked = pickFrom(store, all);
  const sizes = Array.from(row, Math.abs).sort((a, b) => b - a);
  assert.deepEqual(
    picked.map(([, value]) => Math.abs(value)).sort((a, b) => b - a),
    sizes.slice(0, 10),
  );
  for (const [column, value] of picked) assert.equal(row[column], value);
  const kept = picked.reduce((total, [, value]) => total + Math.abs(value), 0);
  const dropped = store.droppedShare;
  assert.ok(Math.abs(dropped - (1 - kept / store.sumOf(0))) < 1e-6 && dropped > 0.01);
});

test('effects of nodes are those of the row, whether they were laid ready with it or are asked for later', async () => {
  using prompt = await openPrompt('llama-plt-relu');
  const { sources, local } = prompt;
  const row = (await prompt.effects())[sources.active.count];
  const target = { layer: local.model.dimensions.nLayers, pos: sources.nPos - 1 };
  for (const mostPerRow of [Number.POSITIVE_INFINITY, 40]) {
    for (const step of [1, 2, 7]) {
      const limits = { keptShare: 1, mostPerRow };
      const nodes = nodeColumns(Uint8Array.from(row, (_, column) => (column % step === 0 ? 1 : 0)));
      const later = new RowStore(sources, limits);
      addRow(later, sources, 0, target, row);
      const ready = new RowStore(sources, limits);
      // What the store was last asked for says whose parts its rows bring along.
      addRow(ready, sources, 1, target, row);
      ready.addShares(1, 1, nodes, new Float64Array(nodes.list.length));
      assert.equal(ready.nodes, nodes);
      ready.add(0, new RowCutter(columnPlan(sources), limits, ready.nodes).cut(target, row));
      const expected = pickFrom(later, nodes.list);
      assert.ok(expected.length > 5);
      for (const store of [later, ready]) {
        const most = store.mostPickedOf(0, nodes);
        const into = { source: new Uint32Array(most + 1), weight: new Float32Array(most + 1) };
        const count = store.pickNodes(0, nodes, into, 1) - 1;
        const picked = Array.from({ length: count }, (_, i) => [nodes.list[into.source[i + 1]], into.weight[i + 1]]);
        assert.deepEqual(picked, expected);
      }
      const before = ready.bytes;
      ready.drop(1);
      ready.drop(0);
      assert.ok(before > 0 && ready.bytes === 0, `${ready.bytes} of ${before} bytes`);
    }
  }
});

test('adaptive mode keeps whole rows of few sources, and less of each row the more there are; a given number keeps all', async () => {
  using prompt = await openPrompt('llama-plt-relu');
  const shareOf = (count: number, maxFeatureNodes: number | 'adaptive') =>
    rowLimits({ maxFeatureNodes }, { ...prompt.sources, count }).keptShare;
  // 4,096 rows of so many numbers: 312 MB, 480 MB, 1.1 GB.
  assert.deepEqual(
    [20_000, 30_000, 70_000].map((count) => shareOf(count, 'adaptive')),
    [1, 0.999, 0.99],
  );
  assert.equal(shareOf(70_000, 1000), 1);
});

test('what a target hands on is shared out among the nodes asked for, whatever others were asked for before', async () => {
  using prompt = await openPrompt('llama-plt-relu');
  const { sources, local } = prompt;
  const row = (await prompt.effects())[sources.active.count];
  const target = { layer: local.model.dimensions.nLayers, pos: sources.nPos - 1 };
  for (const mostPerRow of [Number.POSITIVE_INFINITY, 40]) {
    const store = new RowStore(sources, { keptShare: 1, mostPerRow });
    addRow(store, sources, 0, target, row);
    const kept = new Map(pickFrom(store, Uint32Array.from(row.keys())));
    for (const step of [2, 3, 2, null, 5]) {
      const mask = Uint8Array.from(row, (_, column) => (step !== null && column % step === 0 ? 1 : 0));
      const nodes = step === null ? null : nodeColumns(mask);
      const byPlace = new Float64Array(nodes?.list.length ?? row.length);
      store.addShares(0, 3, nodes, byPlace);
      const shares = new Float64Array(row.length);
      for (const [place, share] of byPlace.entries()) shares[nodes?.list[place] ?? place] = share;
      const counted = [...kept].filter(([column]) => step === null || mask[column]);
      const whole = counted.reduce((sum, [, value]) => sum + Math.abs(value), 0);
      const expected = new Float64Array(row.length);
      for (const [column, value] of counted) expected[column] = (3 * Math.abs(value)) / whole;
      shares.forEach((share, column) => {
        assert.ok(Math.abs(share - expected[column]) < 1e-6, `column ${column}: ${share}, not ${expected[column]}`);
      });
    }
  }
});

test('the effects of some sources, and the sizes of all, are those of the row, whether all of it is kept or a part', async () => {
  using prompt = await openPrompt('llama-plt-relu');
  const { sources, local } = prompt;
  const row = (await prompt.effects())[sources.active.count];
  const target = { layer: local.model.dimensions.nLayers, pos: sources.nPos - 1 };
  for (const mostPerRow of [Number.POSITIVE_INFINITY, 40]) {
    const store = new RowStore(sources, { keptShare: 1, mostPerRow });
    addRow(store, sources, 0, target, row);
    const sizes = new Float64Array(row.length);
    store.addSizes(0, 2, sizes);
    const isKept = (column: number) => row[column] !== 0 && sizes[column] > 0;
    assert.equal(
      sizes.filter((size) => size > 0).length,
      Math.min(mostPerRow, row.filter((each) => each !== 0).length),
    );
    for (const [column, size] of sizes.entries()) if (size > 0) assert.equal(size, Math.abs(row[column]) * 2);
    for (const step of [1, 2, 7]) {
      const wanted = Uint32Array.from(row.keys()).filter((column) => column % step === step - 1);
      const picked = new Map(pickFrom(store, wanted));
      assert.deepEqual([...picked.keys()], [...wanted].filter(isKept));
      for (const [column, value] of picked) assert.equal(value, row[column]);
    }
  }
});

test('at most the wanted number of values is above the cut, and one more would be too many', () => {
  fc.assert(
    fc.property(
      fc.array(fc.float({ min: 0, max: 3, noNaN: true }), { minLength: 1, maxLength: 60 }),
      fc.nat(70),
      (values, most) => {
        const cut = new SizeClasses().cutAtCount(Float32Array.from(values), most);
        const above = values.filter((value) => value > cut).length;
        const from = values.filter((value) => value >= cut).length;
        assert.ok(above <= most && (from > most || cut === 0));
      },
    ),
  );
});

test('the smallest values go that hold no more than may go, and the next larger ones would be too much', () => {
  const sizes = fc.array(fc.float({ min: -3, max: 3, noNaN: true }), { minLength: 1, maxLength: 60 });
  fc.assert(
    fc.property(sizes, fc.double({ min: 0, max: 1, noNaN: true }), (values, share) => {
      const total = values.reduce((sum, value) => sum + Math.abs(value), 0);
      const cut = new SizeClasses().cutAtSum(Float32Array.from(values), share * total);
      const gone = values.filter((value) => Math.abs(value) < cut.least);
      assert.equal(values.length - gone.length, cut.count);
      const sumOf = (some: readonly number[]) => some.reduce((sum, value) => sum + Math.abs(value), 0);
      assert.ok(sumOf(gone) <= share * total * (1 + 1e-12));
      // Sizes within 4 % of the least that stays are the class that would go next.
      const withNext = values.filter((value) => Math.abs(value) < cut.least * 1.04);
      assert.ok(withNext.length === gone.length || sumOf(withNext) > share * total * (1 - 1e-12));
    }),
  );
});

test('a row of which most is needed is kept whole, and drops nothing', async () => {
  using prompt = await openPrompt('llama-plt-relu');
  const { sources, local } = prompt;
  const target = { layer: local.model.dimensions.nLayers, pos: sources.nPos - 1 };
  const [even, steep] = [1, 0.5].map((ratio) => {
    const store = new RowStore(sources, { keptShare: 0.999, mostPerRow: Number.POSITIVE_INFINITY });
    addRow(
      store,
      sources,
      0,
      target,
      Float32Array.from({ length: sources.count }, (_, column) => ratio ** (column / 4)),
    );
    const sizes = new Float64Array(sources.count);
    store.addSizes(0, 1, sizes);
    return { store, kept: sizes.filter((size) => size > 0).length };
  });
  assert.equal(even.store.droppedShare, 0);
  assert.ok(steep.kept < even.kept / 2 && steep.store.bytes < even.store.bytes);
  assert.ok(steep.store.droppedShare > 0 && steep.store.droppedShare <= 1e-3);
});

test('what features write is kept while it takes at most half of the free memory, and read again beyond', async () => {
  using prompt = await openPrompt('llama-plt-relu');
  const bytes = prompt.sources.active.count * prompt.local.set.dModel * 4;
  for (const [times, isKept] of [
    [2.1, true],
    [1.9, false],
  ] as const) {
    using other = await openPrompt('llama-plt-relu', { available: times * bytes });
    assert.equal(other.sources.written.length > 0, isKept, `${times} times what features write is free`);
  }
});

test('a block of vectors of any width sums what it writes, in float32 as written', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 9 }),
      fc.array(fc.float({ min: -100, max: 100, noNaN: true }), { minLength: 1, maxLength: 6 }),
      (dModel, amounts) => {
        const count = amounts.length;
        const rows = Float32Array.from({ length: count * dModel }, (_, i) => Math.sin(i + 1));
        const tensor: FloatTensor = {
          name: 'decoder',
          file: '',
          type: 'F32',
          shape: [count, dModel],
          isReversed: false,
          size: rows.length,
          place: null,
          floats: (from, length, target = new Float32Array(length)) => {
            target.set(rows.subarray(from, from + length));
            return target;
          },
          bytes: (from, target) => target.set(new Uint8Array(rows.buffer, from, target.length)),
        };
        const slot = { writeLayer: 0, tensor, isTransposed: false, stride: dModel, offset: 0, scale: 1, gain: null };
        const set = { dModel, nFeatures: count, layers: [{ slots: [{ ...slot, onBias: null }] }] };
        const active = {
          count,
          layer: new Uint16Array(count),
          pos: new Uint32Array(count),
          feature: Uint32Array.from(amounts, (_, feature) => feature),
          activation: Float32Array.from(amounts),
        };
        const columns = sourceColumns(active, 1, 1, 0);
        const sums = new Float64Array(dModel);
        const { vectors } = featureBlock(
          columns,
          set as unknown as TranscoderSet,
          0,
          { from: 0, to: 1 },
          new Scratch(),
          { sums },
        );
        const expected = new Float64Array(dModel);
        amounts.forEach((amount, feature) => {
          for (let i = 0; i < dModel; i++) {
            const written = Math.fround(rows[feature * dModel + i] * Math.fround(amount));
            // The first place of a position is its error's.
            assert.equal(vectors[(feature + 1) * dModel + i], written);
            expected[i] += written;
          }
        });
        assert.deepEqual(sums, expected);
      },
    ),
  );
});
