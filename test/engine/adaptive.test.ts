import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { keptShare } from '../../src/cli/keptShare.ts';
import { forecast, mostInfluential, roundOfWanted, strictRound } from '../../src/engine/attribution/adaptive.ts';
import { Attributor } from '../../src/engine/attribution/attribute.ts';
import { nodeColumns } from '../../src/engine/attribution/nodeRows.ts';
import { estimateInfluence, type KnownTarget, rankSources } from '../../src/engine/attribution/ranking.ts';
import { RowStore } from '../../src/engine/attribution/rowStore.ts';
import { loadModel } from '../../src/engine/model/loadModel.ts';
import { loadTokenizer } from '../../src/engine/model/tokenizer.ts';
import { loadTranscoders } from '../../src/engine/transcoders/load.ts';
import { scores } from '../../src/graph/scores.ts';
import { defaultAttribution } from '../../src/protocol/engine.ts';
import { closeTo } from '../support/closeTo.ts';
import { addRow, denseRow, openPair, openPrompt, wholeRows } from '../support/openPrompt.ts';

/** A prompt with the effects on all its features and one output in a store. @param limits how much of each row is kept */
async function known(limits = wholeRows) {
  const prompt = await openPrompt('llama-clt-truncated');
  const { sources } = prompt;
  const { active, nLayers, nPos } = sources;
  const effects = await prompt.effects();
  const store = new RowStore(sources, limits);
  const targets = Array.from(
    active.layer,
    (layer, feature): KnownTarget => ({ key: feature, layer, feature, weight: 0 }),
  );
  targets.push({ key: active.count, layer: nLayers, feature: null, weight: 0.7 });
  targets.forEach(({ key, layer, feature }) => {
    const target = { layer, pos: feature === null ? nPos - 1 : active.pos[feature] };
    addRow(store, sources, key, target, effects[key]);
  });
  // As they are kept.
  const kept = effects.map((row, key) => denseRow(store, key, row.length));
  return { sources, effects: kept, store, targets, [Symbol.dispose]: () => prompt[Symbol.dispose]() };
}

/** The definition, from dense rows: a known target hands on its own influence and its part of what it stands in for. */
function plainEstimate(
  { sources, effects }: Awaited<ReturnType<typeof known>>,
  targets: readonly KnownTarget[],
  counts: (column: number) => boolean,
): Float64Array {
  const { active, count, nLayers, nPos } = sources;
  const result = new Float64Array(count);
  const isKnown = new Set(targets.map(({ feature }) => feature));
  const handOn = (key: number, amount: number) => {
    const sizes = Float64Array.from(effects[key], (effect, column) => (counts(column) ? Math.abs(effect) : 0));
    const sum = sizes.reduce((total, size) => total + size, 0);
    sizes.forEach((size, column) => {
      if (sum > 0) result[column] += (amount * size) / sum;
    });
  };
  for (const { key, feature, weight } of targets) if (feature === null) handOn(key, weight);
  for (let layer = nLayers - 1; layer >= 0; layer--) {
    const at = (pos: number, is: boolean) =>
      [...active.layer.keys()].filter(
        (feature) => active.layer[feature] === layer && active.pos[feature] === pos && isKnown.has(feature) === is,
      );
    const extra = new Map<number, number>();
    for (let pos = 0; pos < nPos; pos++) {
      let near = pos;
      while (near >= 0 && at(near, true).length === 0) near--;
      const rest = at(pos, false).reduce((sum, feature) => sum + result[feature], 0);
      for (const feature of near < 0 ? [] : at(near, true)) {
        extra.set(feature, (extra.get(feature) ?? 0) + rest / at(near, true).length);
      }
    }
    for (const { key, feature, layer: own } of targets) {
      if (feature !== null && own === layer) handOn(key, result[feature] + (extra.get(feature) ?? 0));
    }
  }
  return result;
}

function allClose(actual: Float64Array, expected: Float64Array, tolerance: number, what: string): void {
  expected.forEach((value, index) => {
    closeTo(actual[index], value, tolerance, `${what} ${index}`);
  });
}

test('with the effects on all features known, the estimated influence is the exact one', async () => {
  using all = await known();
  const { sources, store, targets } = all;
  const exact = rankSources(sources, store, targets);
  const { influence, handedOn } = estimateInfluence(sources, store, targets, null);
  allClose(influence, exact, 1e-9, 'column');
  targets.forEach(({ feature, weight }, index) => {
    closeTo(handedOn[index], weight + (feature === null ? 0 : exact[feature]), 1e-9, `target ${index}`);
  });
});

test('where some are not known, known features of the same place stand in for them, or of an earlier position', async () => {
  using all = await known();
  const { sources, store, targets } = all;
  const some = targets.filter(({ feature }, index) => feature === null || index % 3 === 0);
  const { influence } = estimateInfluence(sources, store, some, null);
  allClose(
    influence,
    plainEstimate(all, some, () => true),
    1e-6,
    'column',
  );
  const exact = rankSources(sources, store, targets);
  const alone = rankSources(sources, store, some);
  const distance = (values: Float64Array) =>
    values.reduce((sum, value, column) => sum + Math.abs(value - exact[column]), 0);
  assert.ok(distance(influence) < distance(alone) / 2, `${distance(influence)} against ${distance(alone)}`);
});

test('sources that are no nodes are as if they were not there, whole rows or cut ones', async () => {
  for (const limits of [wholeRows, { keptShare: 0.8, mostPerRow: 1000 }]) {
    using all = await known(limits);
    const { sources, store, targets } = all;
    const { active, count } = sources;
    const mask = new Uint8Array(count).fill(1);
    for (let feature = 0; feature < active.count; feature += 2) mask[feature] = 0;
    const some = targets.filter(({ feature }, index) => feature === null || (mask[feature] && index % 3 === 0));
    const { influence } = estimateInfluence(sources, store, some, nodeColumns(mask));
    const expected = plainEstimate(all, some, (column) => mask[column] === 1);
    allClose(influence, expected, 1e-5, 'column');
    assert.ok(expected.some((value) => value > 0.01));
  }
});

test('a forecast wants what pruning would keep, and a scout where a place is unknown', async () => {
  using all = await known();
  const { sources, store, targets } = all;
  const { active, nPos } = sources;
  const allowed = [...active.layer.keys()];
  const settings = { nodeThreshold: 0.8, adaptiveShare: 0.05 };
  const complete = forecast(sources, store, targets, allowed, settings, null);
  assert.equal(complete.nodes, null);
  assert.deepEqual([complete.wanted, complete.wantedShare, complete.scouts], [[], 0, []]);
  const output = targets.filter(({ feature }) => feature === null);
  const first = forecast(sources, store, output, allowed, settings, null);
  assert.ok(first.wanted.length > 0 && first.wantedShare > 0.05);
  const sizes = first.wanted.map((feature) => first.influence[feature]);
  assert.deepEqual(
    sizes,
    sizes.toSorted((a, b) => b - a),
  );
  const placeOf = (feature: number) => active.layer[feature] * nPos + active.pos[feature];
  assert.ok(first.scouts.length > 1);
  assert.equal(new Set(first.scouts.map(placeOf)).size, first.scouts.length, 'one for each place');
  for (const scout of first.scouts) {
    for (const other of allowed) {
      if (placeOf(other) === placeOf(scout)) assert.ok(first.influence[other] <= first.influence[scout]);
    }
  }
  // One whose place holds enough without it.
  const others = (scout: number) =>
    allowed.reduce((sum, feature) => {
      return feature !== scout && placeOf(feature) === placeOf(scout) ? sum + first.influence[feature] : sum;
    }, 0);
  const scout = first.scouts.reduce((best, each) => (others(each) > others(best) ? each : best));
  assert.ok(others(scout) > 0.002);
  const more = [...output, targets[scout]];
  const then = forecast(sources, store, more, allowed, settings, null);
  assert.ok(then.scouts.length > 0 && then.scouts.every((other) => placeOf(other) !== placeOf(scout)));
  // Positions that may not be attributed give no nodes.
  const late = allowed.filter((feature) => active.pos[feature] > 4);
  const { nodes } = forecast(sources, store, output, late, settings, null);
  assert.ok(nodes !== null);
  for (const feature of allowed) assert.equal(nodes.mask[feature], late.includes(feature) ? 1 : 0);
  assert.ok(nodes.mask.subarray(active.count).every((is) => is === 1));
});

test('the most influential come first, and of equals the first', () => {
  const influence = Float64Array.of(0.1, 0.5, 0.5, 0, 0.3);
  assert.deepEqual(mostInfluential([0, 1, 2, 3, 4], influence, 3), [1, 2, 4]);
  assert.deepEqual(mostInfluential([4, 3, 0], influence, 9), [4, 0, 3]);
  assert.deepEqual(mostInfluential([4, 3, 0], influence, 0), []);
});

test('a round takes what the graph would keep first, not much more than is known already, and stops at the ceiling', () => {
  const foreseen = (wanted: number[], wantedShare: number, scouts: number[]) => ({
    ...{ wanted, wantedShare, scouts, nodes: null },
    ...{ influence: new Float64Array(), handedOn: new Float64Array() },
  });
  const influence = new Float64Array(5000).fill(0.001);
  const many = (from: number, count: number) => Array.from({ length: count }, (_, index) => from + index);
  const ranked = many(0, 1024);
  assert.deepEqual(strictRound(foreseen([7, 3], 0.1, [9]), 0, ranked, influence, 0.0045), [7, 3, 9, 0, 1]);
  assert.equal(strictRound(foreseen([], 0, []), 0, ranked, influence, 99).length, 384);
  assert.equal(strictRound(foreseen([], 0, []), 1000, ranked, influence, 99).length, 24);
  assert.equal(strictRound(foreseen(many(0, 3000), 0.5, []), 1000, ranked, influence, 99).length, 2000);
  assert.deepEqual(roundOfWanted(foreseen([7, 3], 0.1, [3, 9]), 2000, 0.02), [7, 3, 9]);
  assert.deepEqual(roundOfWanted(foreseen([7, 3], 0.004, [9]), 2000, 0.02), []);
  assert.equal(roundOfWanted(foreseen(many(0, 3000), 0.5, []), 4090, 0.02).length, 6);
  assert.deepEqual(roundOfWanted(foreseen([7], 0.5, []), 4200, 0.02), []);
});

test('adaptive mode leaves less influence unexpanded than it is allowed to, with fewer features where it can', async () => {
  using pair = await openPair('llama-clt-truncated');
  const run = (adaptiveShare: number) =>
    pair.attributor.attribute({
      ...pair.request,
      settings: { ...pair.request.settings, maxFeatureNodes: 'adaptive', adaptiveShare },
    });
  const strict = await run(0.01);
  assert.ok(strict.unexpandedInfluence < 0.01, `${strict.unexpandedInfluence}`);
  const loose = await run(0.5);
  assert.ok(loose.unexpandedInfluence < 0.5 && loose.order.length < strict.order.length);
  assert.ok(strict.order.length < strict.active.count);
  assert.ok(strict.droppedEdgeWeight < 1e-3, 'what is too little to keep is told');
  // All of them are nodes; those that were not attributed have no inputs.
  assert.equal(strict.selected.length, strict.active.count);
  const attributed = new Set(strict.order);
  const { start } = strict.graph.incoming;
  strict.selected.forEach((feature, node) => {
    if (!attributed.has(feature)) assert.equal(start[node + 1], start[node]);
  });
});

test('adaptive mode that may leave everything gives the graph without features', async () => {
  using pair = await openPair('llama-clt-truncated');
  const run = (settings: { maxFeatureNodes: number | 'adaptive'; adaptiveShare: number }) =>
    pair.attributor.attribute({ ...pair.request, settings: { ...pair.request.settings, ...settings } });
  const lax = await run({ maxFeatureNodes: 'adaptive', adaptiveShare: 1 });
  const none = await run({ maxFeatureNodes: 0, adaptiveShare: 0.02 });
  assert.deepEqual([lax.order, [...lax.selected]], [[], []]);
  allClose(lax.influence, none.influence, 1e-3, 'node');
  allClose(lax.handedOn, none.handedOn, 1e-3, 'node');
});

/** What all features and adaptive mode give of a text on the sample pair of trained transcoders. */
async function compared(text: string, nodeThreshold: number) {
  const folder = path.join(import.meta.dirname, '..', 'fixtures', 'sample-pair');
  using model = await loadModel(path.join(folder, 'model'));
  using set = loadTranscoders(path.join(folder, 'transcoders'), model.dimensions);
  using attributor = new Attributor(model, set);
  const tokenizer = await loadTokenizer(path.join(folder, 'model'));
  const ids = tokenizer.tokenize({ type: 'text', text }).tokens.map(({ id }) => id);
  const attributedWith = async (maxFeatureNodes: 'all' | 'adaptive') => {
    const result = await attributor.attribute({
      ids,
      firstPos: 1,
      targets: { type: 'top', maxLogits: 10, logitProbability: 0.95 },
      settings: { ...defaultAttribution, maxFeatureNodes, nodeThreshold },
    });
    return { ...result, scores: scores(result.graph, result.influence, result.handedOn) };
  };
  const all = await attributedWith('all');
  const adaptive = await attributedWith('adaptive');
  return { all, adaptive, held: keptShare(all, adaptive, { nodeThreshold, edgeThreshold: 0.98 }) };
}

const short = 'The currency of Japan is the';
const long = [
  'Fact: The capital of the state containing Dallas is Austin. Fact: The capital of the state containing Miami is',
  'Tallahassee. Fact: The capital of the state containing Oakland is Sacramento. Fact: The currency of Japan is the yen.',
  'Fact: The capital of the state containing Seattle is',
].join(' ');

for (const [kind, text] of Object.entries({ short, long })) {
  for (const nodeThreshold of [0.8, 0.95]) {
    test(`on a ${kind} prompt adaptive mode keeps 99 % of what all features give, at ${nodeThreshold}, and its scores`, async () => {
      const { all, adaptive, held } = await compared(text, nodeThreshold);
      assert.ok(held >= 0.99, `${held}`);
      assert.ok(adaptive.order.length < 0.6 * all.order.length, `${adaptive.order.length} of ${all.order.length}`);
      closeTo(adaptive.scores.replacement, all.scores.replacement, 1e-3, 'replacement');
      closeTo(adaptive.scores.completeness, all.scores.completeness, 1e-3, 'completeness');
      if (kind === 'long') assert.ok(adaptive.order.length < all.order.length / 4);
    });
  }
}
