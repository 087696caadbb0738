import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { readCase } from '../../src/cli/goldenCase.ts';
import { type NamedTensor, readTensors } from '../../src/cli/tensorFile.ts';
import { Attributor } from '../../src/engine/attribution/attribute.ts';
import { Intervener } from '../../src/engine/interventions/intervene.ts';
import { editsOf } from '../../src/engine/interventions/intervention.ts';
import { type InterventionSettings, type Parts, type Pass, runEdited } from '../../src/engine/interventions/run.ts';
import type { ForwardResult } from '../../src/engine/model/languageModel.ts';
import { loadModel } from '../../src/engine/model/loadModel.ts';
import { loadTokenizer } from '../../src/engine/model/tokenizer.ts';
import { Encoder } from '../../src/engine/transcoders/encode.ts';
import { loadTranscoders } from '../../src/engine/transcoders/load.ts';
import type { InterveneRequest, Intervention, Progress } from '../../src/protocol/engine.ts';
import { checkClose } from '../support/tensors.ts';

const goldens = path.join(import.meta.dirname, '../fixtures/goldens');
/** One case for each family and kind of transcoder: skip, cross-layer, TopK, norms after, special positions. */
const families = [
  'llama-plt-relu',
  'llama-plt-skip',
  'llama-plt-topk',
  'llama-clt-jumprelu',
  'qwen3-plt-relu',
  'gemma2-plt-jumprelu',
  'gemma2-clt',
  'gemma3-plt-jumprelu',
  'gemma3-plt-gs2-skip',
  'gemma3-it-plt',
  'gpt-oss-clt',
];

type Opened = Parts & {
  readonly ids: readonly number[];
  readonly firstPos: number;
  readonly original: ForwardResult;
  readonly golden: ReadonlyMap<string, NamedTensor>;
  /** (layer, pos, feature) and activation of the graph's feature nodes. */
  readonly features: readonly { layer: number; pos: number; feature: number; activation: number }[];
  readonly [Symbol.dispose]: () => void;
};

async function open(name: string): Promise<Opened> {
  const golden = readCase(path.join(goldens, name));
  const model = await loadModel(golden.model);
  const set = loadTranscoders(golden.transcoders, model.dimensions);
  const encoder = new Encoder(set);
  const tensors = readTensors(path.join(golden.goldenFolder, 'golden.safetensors'));
  const data = (key: string) => tensors.get(key)!.data;
  const features = Array.from(data('selected_features'), (index) => ({
    layer: data('active_features')[index * 3],
    pos: data('active_features')[index * 3 + 1],
    feature: data('active_features')[index * 3 + 2],
    activation: data('activation_values')[index],
  }));
  const { ids, firstPos } = golden.request;
  const original = await model.forward(ids, { logits: 'last' });
  const dispose = () => {
    encoder[Symbol.dispose]();
    set[Symbol.dispose]();
    model[Symbol.dispose]();
  };
  return { model, set, encoder, ids, firstPos, original, golden: tensors, features, [Symbol.dispose]: dispose };
}

const free: InterventionSettings = { interventions: [], freezeAttention: false, constrainedLayers: null };

function run(opened: Opened, settings: Partial<InterventionSettings>): Promise<Pass> {
  const { ids, firstPos, original } = opened;
  const span = { from: 0, nPos: ids.length };
  const options = { span, nPrompt: ids.length, firstPos, record: 'pre-activations', logits: 'last' } as const;
  return runEdited(opened, ids, { ...free, ...settings }, original, options);
}

const allLayers = ({ model }: Opened) => Array.from({ length: model.dimensions.nLayers }, (_, layer) => layer);

/** [dModel] the final residual stream at the last position after the final norm, its scale frozen. */
function finalDirection({ model, original }: Opened, { residFinal }: ForwardResult): Float32Array {
  const { dModel } = model.dimensions;
  const gain = model.weights.model('finalNorm');
  const last = residFinal.length - dModel;
  const scale = original.finalNormScale.at(-1)!;
  return Float32Array.from(gain, (factor, i) => residFinal[last + i] * scale * factor);
}

/** What each node of the graph's rows reads in a run: features their pre-activation, outputs their vector. */
function readTargets(opened: Opened, pass: Pass): Float64Array {
  const { model, set, features, golden } = opened;
  const { dModel, dVocab } = model.dimensions;
  const unembedding = model.weights.model('unembedding');
  const final = finalDirection(opened, pass.run);
  const logits = Float64Array.from({ length: dVocab }, (_, id) => {
    let sum = 0;
    for (let i = 0; i < dModel; i++) sum += unembedding[id * dModel + i] * final[i];
    return sum;
  });
  const mean = logits.reduce((sum, logit) => sum + logit, 0) / dVocab;
  const ofFeatures = features.map(
    ({ layer, pos, feature }) => pass.preActivations[layer][pos * set.nFeatures + feature],
  );
  const ofOutputs = Array.from(golden.get('logit_target_ids')!.data, (id) => logits[id] - mean);
  return Float64Array.from([...ofFeatures, ...ofOutputs]);
}

for (const name of families) {
  test(`on ${name}, with everything frozen, what an edit does is the edges' weight times its size`, async () => {
    using opened = await open(name);
    const { features, golden } = opened;
    const { data: adjacency, shape } = golden.get('adjacency')!;
    const nNodes = shape[0];
    const before = readTargets(opened, await run(opened, { constrainedLayers: allLayers(opened) }));
    const nOutputs = golden.get('logit_target_ids')!.data.length;
    const rows = [...features.keys(), ...Array.from({ length: nOutputs }, (_, i) => nNodes - nOutputs + i)];
    let edges = 0;
    for (let source = 0; source < features.length; source += Math.max(1, Math.floor(features.length / 12))) {
      for (const factor of [0, 1.5, -2]) {
        const { layer, pos, feature } = features[source];
        const interventions: Intervention[] = [{ layer, pos, feature, kind: 'scale', value: factor }];
        const pass = await run(opened, { interventions, constrainedLayers: allLayers(opened) });
        const after = readTargets(opened, pass);
        const measured = after.map((value, i) => value - before[i]);
        const predicted = rows.map((row) => (factor - 1) * adjacency[row * nNodes + source]);
        checkClose(
          `edges of feature ${feature} of layer ${layer} at ${pos} times ${factor}`,
          measured,
          predicted,
          1e-4,
        );
        edges += predicted.filter((effect) => effect !== 0).length;
      }
    }
    assert.ok(edges >= 200, `${edges} edges`);
  });

  test(`on ${name} an edit that changes nothing changes no number`, async () => {
    using opened = await open(name);
    const { features } = opened;
    const plain = await run(opened, {});
    checkClose('logits', plain.run.logits, opened.original.logits, 1e-6);
    const edits = features.flatMap(({ layer, pos, feature, activation }, i): Intervention[] => [
      i % 3 === 0
        ? { layer, pos, feature, kind: 'set', value: activation }
        : { layer, pos, feature, kind: i % 3 === 1 ? 'scale' : 'add', value: i % 3 === 1 ? 1 : 0 },
    ]);
    for (const frozen of [
      {},
      { freezeAttention: true },
      { constrainedLayers: allLayers(opened) },
      { constrainedLayers: [1] },
    ]) {
      const { run: edited } = await run(opened, { interventions: edits, ...frozen });
      checkClose(`logits with ${JSON.stringify(frozen)}`, edited.logits, opened.original.logits, 2e-5);
    }
  });
}

test('on a prompt too long to keep its attention patterns, graph and frozen edits are the same', async () => {
  for (const name of ['llama-clt-jumprelu', 'gemma2-plt-jumprelu', 'gpt-oss-clt']) {
    const golden = readCase(path.join(goldens, name));
    const results = [];
    for (const patternBytes of [2 ** 30, 1000]) {
      using model = await loadModel(golden.model, { patternBytes });
      using set = loadTranscoders(golden.transcoders, model.dimensions);
      using attributor = new Attributor(model, set);
      const { graph, run: original, active } = await attributor.attribute(golden.request);
      assert.equal(original.layers[0].attnFactors === null, patternBytes > 1000);
      const { ids, firstPos } = golden.request;
      const site = { layer: active.layer[0], pos: active.pos[0], feature: active.feature[0] };
      const settings = {
        ...free,
        interventions: [{ ...site, kind: 'ablate' as const, value: 0 }],
        freezeAttention: true,
      };
      const span = { from: 0, nPos: ids.length };
      const options = { span, nPrompt: ids.length, firstPos, record: 'none', logits: 'last' } as const;
      const { run: edited } = await runEdited(
        { model, set, encoder: attributor.encoder },
        ids,
        settings,
        original,
        options,
      );
      results.push({ weights: graph.incoming.weight, logits: edited.logits });
    }
    checkClose(`edges of ${name}`, results[1].weights, results[0].weights, 2e-5);
    checkClose(`logits of ${name}`, results[1].logits, results[0].logits, 2e-5);
  }
});

test('adding to a feature is setting it to its activation and more', async () => {
  using opened = await open('llama-clt-jumprelu');
  const { layer, pos, feature, activation } = opened.features[3];
  const site = { layer, pos, feature };
  const added = await run(opened, { interventions: [{ ...site, kind: 'add', value: 0.7 }] });
  const set = await run(opened, { interventions: [{ ...site, kind: 'set', value: activation + 0.7 }] });
  checkClose('logits', added.run.logits, set.run.logits, 1e-5);
  assert.notDeepEqual([...added.run.logits], [...opened.original.logits]);
});

test('of two edits of one feature at one position the last holds, and ranges reach where they say', () => {
  const prompt = { from: 0, nPos: 6 };
  const edit = (pos: Intervention['pos'], value: number): Intervention => ({
    layer: 1,
    feature: 4,
    kind: 'set',
    pos,
    value,
  });
  const at = (edits: Intervention[], span = prompt) => editsOf(edits, 1, span, 6).map(({ pos, value }) => [pos, value]);
  assert.deepEqual(at([edit(2, 1), edit({ start: 1, stop: 3 }, 5), edit(1, 7)]), [
    [1, 7],
    [2, 5],
  ]);
  assert.deepEqual(at([edit({ start: 4, stop: null }, 1)]), [
    [4, 1],
    [5, 1],
  ]);
  // A generated token is reached by open-ended ranges alone.
  assert.deepEqual(at([edit({ start: 4, stop: null }, 1), edit({ start: 1, stop: 9 }, 2)], { from: 7, nPos: 1 }), [
    [0, 1],
  ]);
  assert.deepEqual(editsOf([edit(2, 1)], 0, prompt, 6), []);
});

const builtIn = path.join(goldens, 'llama-plt-relu');
const request: InterveneRequest = {
  pair: { model: '', transcoders: '' },
  prompt: { type: 'text', text: 'the capital of the state is' },
  interventions: [],
  freezeAttention: false,
  constrainedLayers: null,
  topTokens: 5,
  newTokens: 0,
  sampling: null,
  device: 'cpu',
};

async function openIntervener(): Promise<Opened & { readonly intervener: Intervener }> {
  const opened = await open('llama-plt-relu');
  const tokenizer = await loadTokenizer(path.join(builtIn, 'model'));
  return { ...opened, intervener: new Intervener(opened, tokenizer) };
}

test('ablating a feature tells the tokens before and after and the features that changed, the ablated one first to last', async () => {
  using opened = await openIntervener();
  const { layer, pos, feature } = opened.features.find((site) => site.layer === 0)!;
  const interventions: Intervention[] = [{ layer, pos, feature, kind: 'ablate', value: 0 }];
  const result = await opened.intervener.intervene({ ...request, interventions });
  assert.ok(result.before.length >= 5);
  assert.deepEqual(new Set(result.before.map(({ id }) => id)), new Set(result.after.map(({ id }) => id)));
  assert.notDeepEqual(result.before, result.after);
  for (const list of [result.before, result.after]) {
    for (const [i, { probability }] of list.entries()) assert.ok(i === 0 || probability <= list[i - 1].probability);
  }
  assert.ok(result.changed.length > 0);
  for (const change of result.changed)
    assert.ok(change.layer > 0 || change.pos !== pos, 'edits reach only what is after');
});

test('whole prompts patched from each other swap what the model says', async () => {
  using opened = await openIntervener();
  const other: InterveneRequest['prompt'] = { type: 'text', text: 'the capital of the light is' };
  const { intervener } = opened;
  const patch = { prompt: other, pos: null, fromPos: null, layer: null, feature: null };
  const same = await intervener.intervene({ ...request, patches: [{ ...patch, prompt: request.prompt }] });
  for (const [i, { probability }] of same.after.entries()) {
    assert.ok(Math.abs(probability - same.before[i].probability) < 1e-5);
  }
  await assert.rejects(
    intervener.intervene({ ...request, patches: [{ ...patch, prompt: { type: 'text', text: 'the' } }] }),
    /The prompts have 12 and 2 tokens: position by position they can't be matched/,
  );
  await assert.rejects(
    intervener.intervene({ ...request, patches: [{ ...patch, pos: 3, fromPos: 40 }] }),
    /no position 40 in the other prompt/,
  );
});

test('a patched position makes its features those of the other prompt', async () => {
  using opened = await openIntervener();
  const { intervener } = opened;
  const ids = [...opened.ids];
  const other = ids.with(6, 80);
  // Features of layer 0 after the patch are what they were: the recording shows what encoders see, not what is imposed.
  const patch = { prompt: { type: 'tokens', ids: other } as const, pos: 6, fromPos: null, layer: 0, feature: null };
  const patched = await intervener.intervene({ ...request, patches: [patch] });
  const theirs = await intervener.intervene({ ...request, prompt: patch.prompt, interventions: [] });
  assert.notDeepEqual(patched.after, patched.before);
  assert.ok(patched.changed.every((change) => change.layer > 0));
  assert.deepEqual(theirs.after, theirs.before);
});

test('generated texts stream, repeat with a seed, and follow open-ended edits', async () => {
  using opened = await openIntervener();
  const { layer, feature } = opened.features.find((site) => site.layer === 1)!;
  const interventions: Intervention[] = [{ layer, pos: { start: 2, stop: null }, feature, kind: 'add', value: 4 }];
  const streamed: string[] = [];
  const onProgress = ({ token }: Progress) => {
    if (token) streamed.push(`${token.run} ${token.id}`);
  };
  const generation = { ...request, interventions, newTokens: 8, sampling: { temperature: 1, topP: 0.9, seed: 3 } };
  const first = await opened.intervener.intervene(generation, { onProgress });
  assert.ok(first.generatedBefore.length > 1 && first.generatedBefore.length <= 8);
  assert.deepEqual(streamed, [
    ...first.generatedBefore.map(({ id }) => `before ${id}`),
    ...first.generatedAfter.map(({ id }) => `after ${id}`),
  ]);
  assert.notDeepEqual(first.generatedAfter, first.generatedBefore);
  const again = await opened.intervener.intervene(generation);
  assert.deepEqual(again.generatedAfter, first.generatedAfter);
  const otherwise = await opened.intervener.intervene({ ...generation, sampling: { ...generation.sampling, seed: 4 } });
  assert.notDeepEqual(otherwise.generatedAfter, first.generatedAfter);
  const greedy = await opened.intervener.intervene({ ...generation, sampling: null });
  assert.equal(greedy.generatedAfter[0].id, greedy.after[0].id);
});

test('a cancelled generation stops at the token it is at, and the next call works', async () => {
  using opened = await openIntervener();
  const cancel = new AbortController();
  let tokens = 0;
  const onProgress = ({ token }: Progress) => {
    if (token && ++tokens === 3) cancel.abort();
  };
  const generation = { ...request, newTokens: 50 };
  await assert.rejects(opened.intervener.intervene(generation, { signal: cancel.signal, onProgress }), {
    name: 'AbortError',
  });
  assert.equal(tokens, 3);
  const { generatedAfter, generatedBefore } = await opened.intervener.intervene({ ...generation, newTokens: 5 });
  assert.deepEqual(generatedAfter, generatedBefore);
});

test('edits of what does not exist are refused with what there is', async () => {
  using opened = await openIntervener();
  const good: Intervention = { layer: 0, feature: 1, pos: 1, kind: 'set', value: 1 };
  const check = (change: Partial<InterveneRequest>, message: RegExp) =>
    assert.rejects(opened.intervener.intervene({ ...request, ...change }), message);
  const edit = (change: Partial<Intervention>, message: RegExp) =>
    check({ interventions: [good, { ...good, ...change }] }, message);
  await edit({ layer: 3 }, /no layer 3: there are 3 layers/);
  await edit({ layer: -1 }, /no layer -1/);
  await edit({ feature: 1e9 }, /no feature 1000000000: there are \d+ features in a layer/);
  await edit({ pos: 12 }, /no position 12: there are 12 positions/);
  await edit({ pos: { start: 3, stop: 2 } }, /positions 3 to 2 are no range/);
  await edit({ pos: { start: 3, stop: 90 } }, /positions 3 to 90 are no range/);
  await edit({ value: Number.NaN }, /has the value NaN, which is no number/);
  await edit({ value: Number.POSITIVE_INFINITY }, /no number/);
  await check({ constrainedLayers: [0, 2] }, /leave out layer 1/);
  await check({ constrainedLayers: [7] }, /no constrained layer 7/);
  await check({ topTokens: 0 }, /top tokens is 0/);
  await check({ newTokens: 1.5 }, /new tokens is 1.5/);
  await check({ newTokens: 3, sampling: { temperature: -1, topP: 1, seed: 0 } }, /temperature is -1/);
  await check({ prompt: { type: 'text', text: '' } }, /no tokens/);
  assert.equal((await opened.intervener.intervene(request)).changed.length, 0);
});

test('any edits leave finite logits or are refused', async () => {
  using opened = await openIntervener();
  const position = fc.oneof(fc.nat(13), fc.record({ start: fc.nat(13), stop: fc.option(fc.nat(14)) }));
  const edit = fc.record({
    layer: fc.nat(3),
    feature: fc.nat(70),
    pos: position,
    kind: fc.constantFrom('set' as const, 'scale' as const, 'add' as const, 'ablate' as const),
    value: fc.double({ min: -50, max: 50 }),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(edit, { maxLength: 4 }), fc.boolean(), async (interventions, freezeAttention) => {
      try {
        const { after } = await opened.intervener.intervene({ ...request, interventions, freezeAttention });
        for (const { probability } of after) assert.ok(probability >= 0 && probability <= 1);
      } catch (error) {
        assert.equal((error as Error).name, 'UserError', String(error));
      }
    }),
    { numRuns: 60 },
  );
});
