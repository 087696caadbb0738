import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { type AttributionRequest, Attributor } from '../../src/engine/attribution/attribute.ts';
import { planBatches, shareOut } from '../../src/engine/attribution/batches.ts';
import { checkMemory } from '../../src/engine/attribution/sources.ts';
import { mostLikely, softmax } from '../../src/engine/attribution/targets.ts';
import { ThreadChoice } from '../../src/engine/attribution/threadChoice.ts';
import { loadModel } from '../../src/engine/model/loadModel.ts';
import { loadTokenizer } from '../../src/engine/model/tokenizer.ts';
import { loadTranscoders } from '../../src/engine/transcoders/load.ts';
import { featureOutput } from '../../src/engine/transcoders/tapPoint.ts';
import { influence } from '../../src/graph/influence.ts';
import { prune } from '../../src/graph/prune.ts';
import { defaultAttribution } from '../../src/protocol/engine.ts';
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
  assert.ok(loose.unexpandedInfluence < 0.5 && loose.selected.length < strict.selected.length);
  assert.ok(strict.selected.length < strict.active.count);
  assert.ok(strict.droppedEdgeWeight < 1e-3, 'what is too little to keep is told');
});

test('adaptive mode keeps nodes that hold 99 % of the influence of those that all features would give', async () => {
  const folder = path.join(import.meta.dirname, '..', 'fixtures', 'sample-pair');
  using model = await loadModel(path.join(folder, 'model'));
  using set = loadTranscoders(path.join(folder, 'transcoders'), model.dimensions);
  using attributor = new Attributor(model, set);
  // " The currency of Japan is the", after the start token.
  const tokenizer = await loadTokenizer(path.join(folder, 'model'));
  const ids = tokenizer.tokenize({ type: 'text', text: 'The currency of Japan is the' }).tokens.map(({ id }) => id);
  const keptWith = async (maxFeatureNodes: 'all' | 'adaptive') => {
    const { graph, selected } = await attributor.attribute({
      ids,
      firstPos: 1,
      targets: { type: 'top', maxLogits: 10, logitProbability: 0.95 },
      settings: { ...defaultAttribution, maxFeatureNodes },
    });
    const values = influence(graph.incoming, graph.outputWeight);
    const { nodes } = prune(graph, { nodeThreshold: 0.8, edgeThreshold: 0.98 }, values);
    // Nodes by what they are: a feature by its number among the active ones, the rest by their place after the features.
    const name = (node: number) => (node < selected.length ? `f${selected[node]}` : `o${node - selected.length}`);
    return new Map([...nodes.keys()].filter((node) => nodes[node]).map((node) => [name(node), values[node]]));
  };
  const all = await keptWith('all');
  const adaptive = await keptWith('adaptive');
  const sum = (entries: Iterable<[string, number]>) => [...entries].reduce((total, [, value]) => total + value, 0);
  const shared = sum([...all].filter(([name]) => adaptive.has(name)));
  assert.ok(shared >= 0.99 * sum(all), `${shared} of ${sum(all)}`);
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

function closeTo(got: number, expected: number, tolerance: number, what: string): void {
  assert.ok(
    Math.abs(got - expected) <= tolerance * Math.max(1, Math.abs(expected)),
    `${what}: expected ${expected}, got ${got}`,
  );
}
