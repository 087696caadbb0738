import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { Attributor } from '../../src/engine/attribution/attribute.ts';
import { trace } from '../../src/engine/attribution/trace.ts';
import { loadModel } from '../../src/engine/model/loadModel.ts';
import { loadTokenizer } from '../../src/engine/model/tokenizer.ts';
import { loadTranscoders } from '../../src/engine/transcoders/load.ts';
import { pruneCircuit } from '../../src/graph/prune.ts';
import { readGraph } from '../../src/graph/readGraph.ts';
import { writeGraph } from '../../src/graph/writeGraph.ts';
import { defaultAttribution, type TraceRequest, type TraceResult } from '../../src/protocol/engine.ts';

const samplePair = path.join(import.meta.dirname, '..', 'fixtures', 'sample-pair');
const dallas = 'The capital of the state containing Dallas is';

test('a trace holds tokens with their places, predictions, scores and a graph in stable order', async () => {
  const result = await traced({ type: 'text', text: dallas });
  assert.deepEqual(result.tokens.map(({ text, range }) => [text, range && dallas.slice(...range)]).slice(0, 3), [
    ['<bos>', null],
    [' The', 'The'],
    [' capital', ' capital'],
  ]);
  assert.equal(result.predictions[0].text, ' Austin');
  assert.ok(result.predictions.every(({ probability }, i, all) => i === 0 || probability <= all[i - 1].probability));
  const { graph } = result;
  assert.equal(new Set(graph.nodes.map(({ id }) => id)).size, graph.nodes.length, 'ids are unique');
  const rank = { feature: 0, error: 1, token: 2, logit: 3 } as Record<string, number>;
  const keys = graph.nodes.map(({ kind, layer, pos, feature }) => [rank[kind], layer, pos, feature ?? 0]);
  const sorted = [...keys].sort((a, b) => a[0] - b[0] || a[1] - b[1] || a[2] - b[2] || a[3] - b[3]);
  assert.deepEqual(keys, sorted);
  assert.deepEqual(
    graph.nodes.filter(({ isTarget }) => isTarget).map(({ label }) => label),
    [' Austin'],
  );
  assert.equal(graph.nodes.filter(({ kind }) => kind === 'token').length, 9);
  assert.ok(graph.edges.weight.every((weight) => Number.isFinite(weight) && weight !== 0));
  assert.equal(graph.metadata.activeFeatures, 550);
  assert.deepEqual(result.warnings, []);
  assert.ok(result.explainedVariance.every((share) => share > 0.9 && share <= 1));
});

test('the graph of a trace is the same after it was written and read', async () => {
  const { graph } = await traced({ type: 'text', text: dallas });
  const { graph: read } = readGraph(writeGraph(graph));
  assert.deepEqual(read.nodes, graph.nodes);
  assert.deepEqual(read.edges, graph.edges);
  assert.deepEqual(read.metadata.scores, graph.metadata.scores);
});

test('a slider on a widely kept graph shows the nodes that the engine would keep', async () => {
  const keep = { nodeThreshold: 0.95, edgeThreshold: 1 };
  const wide = await traced({ type: 'text', text: dallas }, { keep });
  const narrow = await traced({ type: 'text', text: dallas });
  const { nodes } = pruneCircuit(wide.graph, { nodeThreshold: 0.8, edgeThreshold: 0.98 });
  const shown = wide.graph.nodes.filter((_, index) => nodes[index]).map(({ id }) => id);
  assert.deepEqual(
    shown,
    narrow.graph.nodes.map(({ id }) => id),
  );
});

test('a wrong reading place is caught, and the right one named', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'prompt-circuits-'));
  try {
    cpSync(path.join(samplePair, 'transcoders'), folder, { recursive: true });
    writeFileSync(
      path.join(folder, 'config.yaml'),
      'model_kind: transcoder_set\nfeature_input_hook: hook_resid_mid\nfeature_output_hook: mlp.hook_out\n',
    );
    const { warnings } = await traced({ type: 'text', text: dallas }, {}, folder);
    assert.equal(warnings.length, 1);
    assert.match(warnings[0], /reading at hook_resid_mid.*mlp\.hook_in would explain \d+ % of layer 0/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('settings and prompts that make no sense are refused with what is allowed', async () => {
  const refused = async (
    prompt: TraceRequest['prompt'],
    settings: Partial<TraceRequest['settings']>,
    message: RegExp,
  ) => {
    const change = { settings: { ...defaultAttribution, ...settings } };
    await assert.rejects(
      traced(prompt, change),
      (error: Error) => error.name === 'UserError' && message.test(error.message),
    );
  };
  const prompt = { type: 'text', text: dallas } as const;
  await refused(prompt, { maxLogits: 0 }, /Max logits is 0; it must be a whole number from 1 to 1000/);
  await refused(prompt, { batchSize: 1.5 }, /Batch size is 1\.5/);
  await refused(prompt, { logitProbability: Number.NaN }, /Logit probability is NaN; it must be above 0/);
  await refused(prompt, { nodeThreshold: 1.1 }, /Node threshold is 1\.1/);
  await refused(prompt, { maxFeatureNodes: -1 }, /Max features is -1/);
  await refused({ type: 'tokens', ids: [0, 4227] }, {}, /4227/);
  await refused({ type: 'text', text: 'word '.repeat(600) }, {}, /512/);
});

async function traced(
  prompt: TraceRequest['prompt'],
  change: Partial<TraceRequest> = {},
  transcoders = path.join(samplePair, 'transcoders'),
): Promise<TraceResult> {
  const folder = path.join(samplePair, 'model');
  using model = await loadModel(folder);
  using set = loadTranscoders(transcoders, model.dimensions);
  using attributor = new Attributor(model, set);
  const request: TraceRequest = {
    pair: { model: folder, transcoders },
    prompt,
    targets: { type: 'top' },
    settings: { ...defaultAttribution, maxFeatureNodes: 'all' },
    keep: { nodeThreshold: 0.8, edgeThreshold: 0.98 },
    device: 'cpu',
    slug: 'dallas',
    ...change,
  };
  const parts = {
    attributor,
    tokenizer: await loadTokenizer(folder),
    modelName: 'sample',
    device: 'cpu',
    version: '0',
  };
  return await trace(request, parts);
}
