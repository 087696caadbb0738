import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { readCase } from '../../src/cli/goldenCase.ts';
import { readTensors } from '../../src/cli/tensorFile.ts';
import { Attributor } from '../../src/engine/attribution/attribute.ts';
import { Intervener } from '../../src/engine/interventions/intervene.ts';
import { loadModel } from '../../src/engine/model/loadModel.ts';
import { loadTokenizer } from '../../src/engine/model/tokenizer.ts';
import { Encoder } from '../../src/engine/transcoders/encode.ts';
import { loadTranscoders } from '../../src/engine/transcoders/load.ts';
import { type Claim, defaultAttribution, type VerifyRequest } from '../../src/protocol/engine.ts';

const goldens = path.join(import.meta.dirname, '../fixtures/goldens');
const builtIn = path.join(import.meta.dirname, '../../media/built-in-model');

const request: VerifyRequest = {
  pair: { model: '', transcoders: '' },
  prompt: { type: 'tokens', ids: [] },
  claims: [],
  factor: 0,
  kept: null,
  device: 'cpu',
};

/** Every edge of a golden graph between features, or from a feature to a token, as a claim. */
function claimsOf(name: string): Claim[] {
  const tensors = readTensors(path.join(goldens, name, 'golden.safetensors'));
  const data = (key: string) => tensors.get(key)!.data;
  const { data: adjacency, shape } = tensors.get('adjacency')!;
  const sites = Array.from(data('selected_features'), (index) => {
    const [layer, pos, feature] = data('active_features').subarray(index * 3, index * 3 + 3);
    return { layer, pos, feature };
  });
  const ids = Array.from(data('logit_target_ids'));
  const targets: [Claim['target'], number][] = [
    ...sites.map((site, row): [Claim['target'], number] => [{ type: 'feature', ...site }, row]),
    ...ids.map((id, i): [Claim['target'], number] => [{ type: 'logit', id }, shape[0] - ids.length + i]),
  ];
  return sites
    .filter((_, column) => column % 9 === 0)
    .flatMap((source) => {
      const column = sites.indexOf(source);
      return targets.map(([target, row]) => ({
        sources: [source],
        target,
        weight: adjacency[row * shape[0] + column],
      }));
    })
    .filter(({ weight }) => weight !== 0);
}

for (const name of [
  'llama-plt-skip',
  'llama-clt-jumprelu',
  'gemma2-plt-jumprelu',
  'gemma3-plt-gs2-skip',
  'gpt-oss-clt',
]) {
  test(`claims of the graph of ${name} hold with everything else frozen, also of several sources at once`, async () => {
    const golden = readCase(path.join(goldens, name));
    using model = await loadModel(golden.model);
    using set = loadTranscoders(golden.transcoders, model.dimensions);
    using encoder = new Encoder(set);
    const intervener = new Intervener({ model, set, encoder }, await loadTokenizer(golden.model));
    const single = claimsOf(name);
    const first = single[0];
    const other = single.find((claim) => {
      const [a, b] = [claim.sources[0], first.sources[0]];
      return a !== b && JSON.stringify(claim.target) === JSON.stringify(first.target);
    });
    const both = other && {
      ...first,
      sources: [first.sources[0], other.sources[0]],
      weight: first.weight + other.weight,
    };
    const claims = both ? [...single, both] : single;
    assert.ok(claims.length > 50);
    const prompt = { type: 'tokens', ids: golden.request.ids } as const;
    for (const factor of [0, 2]) {
      const result = await intervener.verify({ ...request, prompt, claims, factor });
      for (const [i, { predicted, frozen, free, verdict }] of result.claims.entries()) {
        assert.equal(predicted, (factor - 1) * claims[i].weight);
        assert.ok(Math.abs(predicted - frozen) < 1e-4, `claim ${i}: predicted ${predicted}, measured ${frozen}`);
        assert.equal(verdict === 'verified', free / predicted >= 1 / 3 && free / predicted <= 3);
      }
      assert.ok(result.correlationFrozen! > 0.999, `${result.correlationFrozen}`);
      assert.ok(result.correlationFree! <= 1 && result.signAgreement! <= 1);
    }
  });
}

test("on the built-in model's prompt predicted and frozen effects correlate, and keeping all features keeps the answer", async () => {
  using model = await loadModel(path.join(builtIn, 'model'));
  using set = loadTranscoders(path.join(builtIn, 'per-layer'), model.dimensions);
  using attributor = new Attributor(model, set);
  const tokenizer = await loadTokenizer(path.join(builtIn, 'model'));
  const prompt = { type: 'text', text: 'Fact: the capital of the state containing Dallas is' } as const;
  const ids = tokenizer.tokenize(prompt).tokens.map(({ id }) => id);
  const settings = { ...defaultAttribution, maxFeatureNodes: 'all' } as const;
  const targets = { type: 'top', maxLogits: 3, logitProbability: 1 } as const;
  const { active, graph, selected } = await attributor.attribute({ ids, firstPos: 1, targets, settings });
  const site = (node: number) => {
    const index = selected[node];
    return { layer: active.layer[index], pos: active.pos[index], feature: active.feature[index] };
  };
  const claims: Claim[] = [];
  const { start, source, weight } = graph.incoming;
  for (let target = 0; target < selected.length; target++) {
    for (let edge = start[target]; edge < start[target + 1]; edge++) {
      if (source[edge] >= selected.length) continue;
      claims.push({
        sources: [site(source[edge])],
        target: { type: 'feature', ...site(target) },
        weight: weight[edge],
      });
    }
  }
  claims.sort((a, b) => Math.abs(b.weight) - Math.abs(a.weight)).splice(60);
  assert.equal(claims.length, 60);
  const kept = Array.from(selected.keys(), site);
  const intervener = new Intervener({ model, set, encoder: attributor.encoder }, tokenizer);
  const result = await intervener.verify({ ...request, prompt, claims, kept });
  assert.ok(result.correlationFrozen! >= 0.999, `${result.correlationFrozen}`);
  const { token, withKept, withNone } = result.survival!;
  assert.ok(Math.abs(withKept - token.probability) < 1e-6);
  assert.ok(withNone < token.probability / 2, `${withNone} of ${token.probability} is left without features`);
});

test('claims about what does not exist, and a factor that measures nothing, are refused', async () => {
  const golden = readCase(path.join(goldens, 'llama-plt-relu'));
  using model = await loadModel(golden.model);
  using set = loadTranscoders(golden.transcoders, model.dimensions);
  using encoder = new Encoder(set);
  const intervener = new Intervener({ model, set, encoder }, await loadTokenizer(golden.model));
  const prompt = { type: 'tokens', ids: golden.request.ids } as const;
  const check = (change: Partial<VerifyRequest>, message: RegExp) =>
    assert.rejects(intervener.verify({ ...request, prompt, ...change }), message);
  const source = { layer: 0, pos: 1, feature: 0 };
  const claim: Claim = { sources: [source], target: { type: 'logit', id: 5 }, weight: 1 };
  await check({ factor: 1 }, /multiplied by 1; that measures nothing/);
  await check({ claims: [{ ...claim, target: { type: 'logit', id: 320 } }] }, /no token 320/);
  await check({ claims: [{ ...claim, sources: [{ ...source, layer: 9 }] }] }, /no layer 9/);
  await check({ kept: [{ ...source, pos: 99 }] }, /no position 99/);
  const none = await intervener.verify({ ...request, prompt });
  assert.deepEqual([none.claims, none.correlationFree, none.signAgreement], [[], null, null]);
});
