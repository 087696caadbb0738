import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { readCase } from '../../src/cli/goldenCase.ts';
import { readTensors } from '../../src/cli/tensorFile.ts';
import { Intervener } from '../../src/engine/interventions/intervene.ts';
import { type InterventionSettings, type Parts, type Pass, runEdited } from '../../src/engine/interventions/run.ts';
import type { ForwardResult } from '../../src/engine/model/languageModel.ts';
import { loadModel } from '../../src/engine/model/loadModel.ts';
import { loadTokenizer } from '../../src/engine/model/tokenizer.ts';
import { Encoder } from '../../src/engine/transcoders/encode.ts';
import { loadTranscoders } from '../../src/engine/transcoders/load.ts';
import { featureOutput } from '../../src/engine/transcoders/tapPoint.ts';
import type { InterveneRequest } from '../../src/protocol/engine.ts';
import { checkClose } from '../support/tensors.ts';

const goldens = path.join(import.meta.dirname, '../fixtures/goldens');
const families = ['llama-plt-skip', 'llama-plt-topk', 'llama-clt-jumprelu', 'gemma2-plt-jumprelu', 'gpt-oss-clt'];

type Opened = Parts & { readonly ids: readonly number[]; readonly firstPos: number; readonly original: ForwardResult };

async function withCase(name: string, work: (opened: Opened) => Promise<void>): Promise<void> {
  const golden = readCase(path.join(goldens, name));
  using model = await loadModel(golden.model);
  using set = loadTranscoders(golden.transcoders, model.dimensions);
  using encoder = new Encoder(set);
  const { ids, firstPos } = golden.request;
  await work({ model, set, encoder, ids, firstPos, original: await model.forward(ids, { logits: 'last' }) });
}

function run(opened: Opened, settings: Partial<InterventionSettings>): Promise<Pass> {
  const { ids, firstPos, original } = opened;
  const span = { from: 0, nPos: ids.length };
  const options = { span, nPrompt: ids.length, firstPos, record: 'pre-activations', logits: 'last' } as const;
  const all = { interventions: [], freezeAttention: false, constrainedLayers: null, ...settings };
  return runEdited(opened, ids, all, original, options);
}

for (const name of families) {
  test(`on ${name}, with everything frozen, what an error node does is its edges' weight times the change`, async () => {
    await withCase(name, async (opened) => {
      const { model, set, ids, firstPos } = opened;
      const tensors = readTensors(path.join(goldens, name, 'golden.safetensors'));
      const { data: adjacency, shape } = tensors.get('adjacency')!;
      const chosen = Array.from(tensors.get('selected_features')!.data, (index) =>
        tensors.get('active_features')!.data.subarray(index * 3, index * 3 + 3),
      );
      const constrainedLayers = Array.from(set.layers.keys());
      const read = ({ preActivations }: Pass) =>
        chosen.map(([layer, pos, feature]) => preActivations[layer][pos * set.nFeatures + feature]);
      const before = read(await run(opened, { constrainedLayers }));
      let edges = 0;
      for (let layer = 0; layer < model.dimensions.nLayers; layer++) {
        for (let pos = firstPos; pos < ids.length; pos += 2) {
          const factor = layer % 2 === 0 ? 0 : 2.5;
          const pass = await run(opened, { constrainedLayers, errors: [{ layer, pos, factor }] });
          const column = chosen.length + layer * ids.length + pos;
          const predicted = chosen.map((_, row) => (factor - 1) * adjacency[row * shape[0] + column]);
          const measured = read(pass).map((value, row) => value - before[row]);
          checkClose(`edges of the error of layer ${layer} at ${pos}`, measured, predicted, 1e-4);
          edges += predicted.filter((effect) => effect !== 0).length;
        }
      }
      assert.ok(edges >= 50, `${edges} edges`);
    });
  });
}

for (const name of ['llama-plt-relu', 'llama-clt-jumprelu', 'gemma2-plt-jumprelu']) {
  test(`on ${name}, features and error nodes patched from another prompt together are that prompt's MLP outputs`, async () => {
    await withCase(name, async (opened) => {
      const { model, set, ids } = opened;
      const other = ids.with(2, ids[2] + 1).with(4, ids[4] + 1);
      const theirs = await model.forward(other, { logits: 'last' });
      const forced = await model.forward(ids, {
        logits: 'last',
        replaceMlp: async (layer, _residMid, _scale, _added, addedFrom) => {
          const output = featureOutput(set.outputHook, theirs, layer).slice();
          return set.outputHook === 'mlp.hook_out' ? addedFrom(output) : output;
        },
      });
      const intervener = new Intervener(opened, await loadTokenizer(readCase(path.join(goldens, name)).model));
      const patch = {
        prompt: { type: 'tokens', ids: other },
        pos: null,
        fromPos: null,
        layer: null,
        feature: null,
      } as const;
      const request = requestFor(ids);
      const patched = await intervener.intervene({ ...request, patches: [{ ...patch, nodes: 'all' }] });
      const featuresAlone = await intervener.intervene({ ...request, patches: [patch] });
      const errorsAlone = await intervener.intervene({ ...request, patches: [{ ...patch, nodes: 'errors' }] });
      const expected = probabilities(forced.logits);
      for (const { id, probability } of patched.after) {
        assert.ok(Math.abs(probability - expected[id]) < 1e-5, `token ${id}: ${probability}, not ${expected[id]}`);
      }
      assert.notDeepEqual(featuresAlone.after, patched.after);
      assert.notDeepEqual(errorsAlone.after, patched.after);
      assert.notDeepEqual(errorsAlone.after, errorsAlone.before);
    });
  });
}

test('an error node times one, or patched from the same prompt, changes nothing; twice named, the last holds', async () => {
  await withCase('llama-clt-jumprelu', async (opened) => {
    const { ids, firstPos } = opened;
    const intervener = new Intervener(
      opened,
      await loadTokenizer(readCase(path.join(goldens, 'llama-clt-jumprelu')).model),
    );
    const request = requestFor(ids);
    const site = { layer: 1, pos: firstPos + 1 };
    const change = async (part: Partial<InterveneRequest>): Promise<number> => {
      const { before, after } = await intervener.intervene({ ...request, ...part });
      const old = new Map(before.map(({ id, probability }) => [id, probability]));
      return Math.max(...after.map(({ id, probability }) => Math.abs(probability - old.get(id)!)));
    };
    assert.ok((await change({ errors: [{ ...site, factor: 1 }] })) < 1e-6);
    assert.ok((await change({ errors: [{ ...site, factor: 9 }] })) > 1e-5);
    assert.ok(
      (await change({
        errors: [
          { ...site, factor: 9 },
          { ...site, factor: 1 },
        ],
      })) < 1e-6,
    );
    const patch = {
      prompt: request.prompt,
      pos: null,
      fromPos: null,
      layer: null,
      feature: null,
      nodes: 'all',
    } as const;
    assert.ok((await change({ patches: [patch] })) < 1e-5);
    const wrong: readonly [Partial<InterveneRequest>, RegExp][] = [
      [{ errors: [{ ...site, layer: 9, factor: 0 }] }, /no layer 9/],
      [{ errors: [{ ...site, pos: 99, factor: 0 }] }, /no position 99/],
      [{ errors: [{ ...site, factor: Number.NaN }] }, /multiplied by NaN, which is no number/],
      [{ patches: [{ ...patch, prompt: { type: 'tokens', ids: ids.slice(0, 3) } }] }, /prompts have \d+ and 3 tokens/],
    ];
    for (const [part, message] of wrong) await assert.rejects(intervener.intervene({ ...request, ...part }), message);
  });
});

function requestFor(ids: readonly number[]): InterveneRequest {
  return {
    pair: { model: '', transcoders: '' },
    prompt: { type: 'tokens', ids },
    interventions: [],
    freezeAttention: false,
    constrainedLayers: null,
    topTokens: 5,
    newTokens: 0,
    sampling: null,
    device: 'cpu',
  };
}

function probabilities(logits: Float32Array): number[] {
  const most = Math.max(...logits);
  const shares = Array.from(logits, (logit) => Math.exp(logit - most));
  const sum = shares.reduce((total, share) => total + share, 0);
  return shares.map((share) => share / sum);
}
