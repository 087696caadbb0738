import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type AttributionRequest, Attributor } from '../../src/engine/attribution/attribute.ts';
import { groupBatches, planBatches, shareOut } from '../../src/engine/attribution/batches.ts';
import { checkMemory } from '../../src/engine/attribution/sources.ts';
import { mostLikely, softmax } from '../../src/engine/attribution/targets.ts';
import { ThreadChoice } from '../../src/engine/attribution/threadChoice.ts';
import { featureOutput } from '../../src/engine/transcoders/tapPoint.ts';
import { closeTo } from '../support/closeTo.ts';
import { goldenJson } from '../support/goldens.ts';
import { openPair, openPrompt } from '../support/openPrompt.ts';
import { allErrors, carryUp, effectOnFeature, effectOnOutput } from '../support/plainEffects.ts';

/** One case for each thing that changes the sweep: grouped queries, skip, cross-layer, norms after, four special tokens. */
const cases = [
  'llama-plt-relu',
  'llama-plt-skip',
  'llama-clt-jumprelu',
  'gemma2-clt',
  'gemma3-plt-gs2-skip',
  'gemma3-it-plt',
  'gpt-oss-clt',
];

for (const name of cases) {
  test(`the sweep on ${name} gives what plain loops give that carry each source up instead`, async () => {
    using prompt = await openPrompt(name);
    const { local, sources } = prompt;
    const { active } = sources;
    const effects = await prompt.effects();
    for (let column = 0; column < sources.count; column += 7) {
      const carried = carryUp(local, sources, column);
      for (let target = 0; target < active.count; target += 3) {
        closeTo(
          effects[target][column],
          effectOnFeature(local, sources, carried, target),
          1e-5,
          `${column} on ${target}`,
        );
      }
      closeTo(
        effects[active.count][column],
        effectOnOutput(local, carried, prompt.direction),
        1e-5,
        `${column} on the output`,
      );
    }
  });

  // GPT-OSS adds biases in its attention, which no node carries and the weights' contract does not name.
  if (name === 'gpt-oss-clt') continue;
  test(`on ${name} a feature's incoming effects and what no node carries add up to its pre-activation`, async () => {
    using prompt = await openPrompt(name);
    const { local, sources } = prompt;
    const { active } = sources;
    const effects = await prompt.effects();
    // What no node carries: decoder biases, and all that MLPs write at the special positions. Carried up like a source.
    const constants = carryUp(local, { ...sources, errors: unnamed(prompt) }, allErrors);
    for (let target = 0; target < active.count; target++) {
      const [layer, pos, feature] = [active.layer[target], active.pos[target], active.feature[target]];
      const sum = effects[target].reduce((total, effect) => total + effect, 0);
      const rest = effectOnFeature(local, sources, constants, target);
      const expected = await prompt.preActivation(layer, pos, feature);
      closeTo(sum + rest, expected, 2e-4, `feature ${feature} of layer ${layer} at ${pos}`);
    }
  });
}

test('batches hold every target once, highest layer first, over all positions that can matter', () => {
  const place = fc.record({ layer: fc.nat(30), pos: fc.integer({ min: 1, max: 60 }) });
  fc.assert(
    fc.property(
      fc.array(place, { minLength: 1, maxLength: 300 }),
      fc.integer({ min: 1, max: 8 }),
      (targets, atOnce) => {
        const batches = shareOut(planBatches(targets, 1), targets, atOnce);
        assert.ok(batches.length >= atOnce || batches.every(({ targets: members }) => members.length < 8));
        const seen = batches.flatMap((batch) => batch.targets).sort((a, b) => a - b);
        assert.deepEqual(seen, [...targets.keys()]);
        for (const { targets: members, topLayer, positions } of batches) {
          for (const member of members) {
            assert.ok(
              targets[member].layer <= topLayer &&
                targets[members[0]].layer === topLayer &&
                targets[member].pos < positions.to &&
                targets[member].pos >= positions.from,
            );
          }
        }
      },
    ),
  );
});

test('batches that are swept side by side are neighbours, few, and leave groups for every thread', () => {
  const batch = (layer: number) => ({ targets: [layer], topLayer: layer, positions: { from: 1, to: 5 } });
  for (const [count, nWorkers, size] of [
    [3, 1, 1],
    [8, 1, 2],
    [40, 2, 5],
    [400, 2, 8],
    [15, 2, 1],
  ]) {
    const batches = Array.from({ length: count }, (_, layer) => batch(layer));
    const groups = groupBatches(batches, nWorkers, 1000);
    assert.deepEqual(groups.flat(), batches);
    assert.equal(groups[0].length, size);
    assert.ok(groups.every((group) => group.length <= size));
  }
  const wide = { targets: Array.from({ length: 100 }, (_, row) => row), topLayer: 1, positions: { from: 1, to: 5 } };
  const groups = groupBatches(
    Array.from({ length: 40 }, () => wide),
    1,
    250,
  );
  assert.deepEqual(
    groups.map((group) => group.length),
    Array.from({ length: 20 }, () => 2),
  );
});

test('the fewest most likely tokens are chosen that reach the wanted probability', () => {
  fc.assert(
    fc.property(
      fc.array(fc.float({ min: -5, max: 5, noNaN: true }), { minLength: 1, maxLength: 40 }),
      fc.double({ min: 0.01, max: 1, noNaN: true }),
      fc.integer({ min: 1, max: 20 }),
      (logits, share, most) => {
        const probabilities = softmax(Float32Array.from(logits));
        const chosen = mostLikely(probabilities, most, share);
        const held = (ids: number[]) => ids.reduce((sum, id) => sum + probabilities[id], 0);
        assert.ok(chosen.length <= most && chosen.length >= 1);
        assert.ok(held(chosen) >= share - 1e-9 || chosen.length === Math.min(most, logits.length));
        assert.ok(chosen.length === 1 || held(chosen.slice(0, -1)) < share);
        assert.ok(
          chosen.every((id) => probabilities.every((p, other) => p <= probabilities[id] || chosen.includes(other))),
        );
      },
    ),
  );
});

test('of equally likely tokens the first are chosen, most likely first, and what is no number never', () => {
  const probabilities = Float64Array.of(Number.NaN, 0.2, 0.3, 0.2, Number.NaN, 0.3);
  assert.deepEqual(mostLikely(probabilities, 3, 1), [2, 5, 1]);
  assert.deepEqual(mostLikely(probabilities, 6, 1), [2, 5, 1, 3]);
  assert.deepEqual(mostLikely(probabilities, 0, 1), []);
});

test('attributing all features one way or the other gives the same graph', async () => {
  using pair = await openPair('llama-plt-relu');
  const withNodes = (maxFeatureNodes: number | 'all') =>
    pair.attributor.attribute({ ...pair.request, settings: { ...pair.request.settings, maxFeatureNodes } });
  const all = await withNodes('all');
  const many = await withNodes(10_000);
  assert.deepEqual(many.graph.incoming, all.graph.incoming);
  assert.equal(many.unexpandedInfluence, 0);
});

test('a second trace of the same prompt, with other targets or limits, is what a first one would be', async () => {
  using pair = await openPair('llama-clt-truncated');
  const { request } = pair;
  const requests: AttributionRequest[] = [
    { ...request, settings: { ...request.settings, maxFeatureNodes: 26 } },
    { ...request, targets: { type: 'ids', ids: [5, 9] }, settings: { ...request.settings, maxFeatureNodes: 40 } },
    { ...request, targets: { type: 'ids', ids: [7] } },
    { ...request, ids: request.ids.slice(0, 9) },
    request,
  ];
  for (const each of requests) {
    const again = await pair.attributor.attribute(each);
    using fresh = new Attributor(pair.model, pair.set);
    const first = await fresh.attribute(each);
    assert.deepEqual(again.order, first.order);
    assert.deepEqual(again.graph.incoming.source, first.graph.incoming.source);
    // Rows swept in other company may differ in the last bit.
    again.graph.incoming.weight.forEach((weight, edge) => {
      closeTo(weight, first.graph.incoming.weight[edge], 1e-6, `edge ${edge}`);
    });
    closeTo(again.unexpandedInfluence, first.unexpandedInfluence, 1e-6, 'unexpanded');
  }
});

test('sources that would not fit in memory are refused with both sizes before they are read', () => {
  checkMemory(1e9, 2e9, 10);
  assert.throws(() => checkMemory(11.6e9, 8e9, 5_000_000), {
    name: 'UserError',
    message: /5000000 features are active on this prompt; what they write takes 11\.6 GB, and 8\.0 GB are free/,
  });
});

test('one thread is used while others keep the machine busy, and all are tried again later', () => {
  const choice = new ThreadChoice();
  choice.note(100, 30);
  assert.equal(choice.usesAll, true, 'too little work to tell');
  choice.note(100, 40);
  assert.equal(choice.usesAll, false);
  choice.note(3000, 3000);
  assert.equal(choice.usesAll, false);
  choice.note(1500, 1500);
  assert.equal(choice.usesAll, true);
  choice.note(1000, 1700);
  assert.equal(choice.usesAll, true, 'two cores are there');
});

test('a trace can be cancelled in every phase, and the next one works', async () => {
  using pair = await openPair('llama-plt-relu');
  const phases = ['forward', 'features', 'targets', 'direct effects', 'influence'] as const;
  for (const phase of phases) {
    const controller = new AbortController();
    const onProgress = (progress: { phase: string }) => {
      if (progress.phase === phase) controller.abort();
    };
    await assert.rejects(
      pair.attributor.attribute(pair.request, { signal: controller.signal, onProgress }),
      { name: 'AbortError' },
      phase,
    );
  }
  const after = await pair.attributor.attribute(pair.request);
  assert.equal(after.active.count, Number(goldenJson('llama-plt-relu', 'golden.json').n_active));
});

test('progress goes through the phases in order and ends each at its total', async () => {
  using pair = await openPair('llama-plt-relu');
  const seen: string[] = [];
  await pair.attributor.attribute(pair.request, {
    onProgress: ({ phase, done, total }) => {
      assert.ok(done >= 0 && done <= total, `${phase} ${done} of ${total}`);
      if (seen.at(-1) !== phase) seen.push(phase);
    },
  });
  assert.deepEqual(seen, ['forward', 'features', 'targets', 'direct effects', 'influence']);
});

/** By layer: [pos, dModel] what no node carries: decoder biases, and what MLPs write at special positions but for the skip. */
function unnamed({ local, sources }: Awaited<ReturnType<typeof openPrompt>>): Float32Array[] {
  const { set, run } = local;
  return sources.reconstruction.map((decoded, layer) => {
    const output = featureOutput(set.outputHook, run, layer);
    return decoded.map((value, place) => {
      const pos = Math.floor(place / set.dModel);
      const bias = set.decoderBias[layer][place % set.dModel];
      return pos < sources.firstPos ? output[place] - value + bias : bias;
    });
  });
}

test('a prompt after another with the same special tokens, or others, has the effects that it has alone', async () => {
  using pair = await openPair('gemma3-it-plt');
  const { attributor, request } = pair;
  const [start, rest] = [request.ids.slice(0, request.firstPos), request.ids.slice(request.firstPos)];
  await attributor.attribute(request);
  for (const ids of [
    [...start, ...rest.slice(1)],
    [...start.toReversed(), ...rest],
    [...start, ...rest.toReversed()],
  ]) {
    const { graph } = await attributor.attribute({ ...request, ids });
    using fresh = await openPair('gemma3-it-plt');
    const { graph: expected } = await fresh.attributor.attribute({ ...request, ids });
    assert.deepEqual(graph.incoming.start, expected.incoming.start);
    assert.deepEqual(graph.incoming.source, expected.incoming.source);
    graph.incoming.weight.forEach((weight, edge) => {
      closeTo(weight, expected.incoming.weight[edge], 1e-5, `edge ${edge} of ${ids}`);
    });
  }
});
