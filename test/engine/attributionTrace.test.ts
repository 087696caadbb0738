import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { Attributor } from '../../src/engine/attribution/attribute.ts';
import { similarDecoders } from '../../src/engine/attribution/decoderSimilarity.ts';
import { trace } from '../../src/engine/attribution/trace.ts';
import { loadModel } from '../../src/engine/model/loadModel.ts';
import { loadTokenizer } from '../../src/engine/model/tokenizer.ts';
import { decoderRows } from '../../src/engine/transcoders/featureRows.ts';
import { loadTranscoders } from '../../src/engine/transcoders/load.ts';
import type { GraphNode } from '../../src/graph/node.ts';
import { featureId } from '../../src/graph/nodeIds.ts';
import { percent } from '../../src/graph/percent.ts';
import { pruneCircuit } from '../../src/graph/prune.ts';
import { readGraph } from '../../src/graph/readGraph.ts';
import { writeGraph } from '../../src/graph/writeGraph.ts';
import { defaultAttribution, type TraceRequest, type TraceResult } from '../../src/protocol/engine.ts';
import { allPositions, parsePositions } from '../../src/protocol/positions.ts';
import { goldensFolder } from '../support/goldens.ts';

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
  const rounded = graph.similar?.map(([a, b, cosine]) => [a, b, Number(cosine.toFixed(3))]);
  assert.ok(rounded && rounded.length > 0);
  assert.deepEqual(read.similar, rounded);
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

test('the prediction after an earlier token is that of the prompt up to there, and what is left out is told', async () => {
  const whole = { type: 'text', text: 'Fact: The capital of the state containing Dallas is' } as const;
  const at = await traced(whole, { positions: { ...allPositions, explainedAt: 6 } });
  assert.equal(at.tokens.length, 7);
  const cut = await traced({ type: 'tokens', ids: at.tokens.map(({ id }) => id) });
  assert.deepEqual(at.predictions, cut.predictions);
  assert.deepEqual(
    at.graph.nodes.map(({ id, influence }) => [id, influence]),
    cut.graph.nodes.map(({ id, influence }) => [id, influence]),
  );
  assert.deepEqual(at.graph.edges, cut.graph.edges);
  assert.match(at.warnings.join(' '), /after position 6 \(.*\) is explained\. The \d+ tokens after it are left out/);
});

test('only features at the chosen positions are attributed, and how much the others hold is told', async () => {
  const prompt = { type: 'text', text: 'Fact: The capital of the state containing Dallas is' } as const;
  const all = await traced(prompt);
  const attributed = parsePositions('8-');
  const some = await traced(prompt, { positions: { ...allPositions, attributed } });
  const features = some.graph.nodes.filter(({ kind }) => kind === 'feature');
  assert.ok(features.length > 0 && features.every(({ pos }) => pos >= 8));
  assert.equal(all.unexpandedInfluence, 0);
  assert.equal(some.graph.metadata.activeFeatures, all.graph.metadata.activeFeatures, 'all are still sources');
  const held = percent(some.unexpandedInfluence, 1);
  assert.ok(some.unexpandedInfluence > 0.01);
  assert.match(some.warnings.join(' '), new RegExp(`7 of \\d+ positions were not to be attributed.* hold ${held} `));
  // What is kept of them has the weights that it has in the whole graph.
  const weights = weightsOf(all.graph);
  let compared = 0;
  for (const [edge, weight] of weightsOf(some.graph)) {
    const known = weights.get(edge);
    if (known === undefined) continue;
    assert.equal(weight, known);
    compared++;
  }
  assert.ok(compared > 20);
});

test('where features are not looked at one by one, the error nodes hold what they write, and the share is told', async () => {
  const prompt = { type: 'text', text: 'Fact: The capital of the state containing Dallas is' } as const;
  const all = await traced(prompt);
  const some = await traced(prompt, { positions: { ...allPositions, sources: parsePositions('7-') } });
  assert.ok(some.graph.metadata.activeFeatures! < all.graph.metadata.activeFeatures!);
  assert.ok(some.graph.nodes.every(({ kind, pos }) => kind !== 'feature' || pos >= 7));
  const share = Number(/at which ([\d.]+) % of the influence ends/.exec(some.warnings.join(' '))?.[1]) / 100;
  assert.ok(share > 0.01 && share < 1, some.warnings.join(' '));
  // The error nodes are not explained: the score must not gain by looking at less.
  assert.ok(some.graph.metadata.scores!.replacement <= all.graph.metadata.scores!.replacement);
  assert.deepEqual((await traced(prompt, { positions: allPositions })).graph.edges, all.graph.edges);
});

test('positions that the prompt does not have, or that leave nothing to attribute, are refused', async () => {
  const prompt = { type: 'text', text: 'Fact: The capital of the state containing Dallas is' } as const;
  for (const [change, message] of [
    [{ explainedAt: 400 }, /Position 400 is outside the prompt of \d+ tokens/],
    [{ attributed: [{ from: 3, to: 90 }] }, /Position 3-90 is outside/],
    [{ sources: [{ from: 3, to: 4 }], attributed: [{ from: 5, to: 6 }] }, /none of the chosen positions is both/],
    [{ attributed: [{ from: 0, to: 0 }] }, /none of the chosen positions/],
    [{ attributed: [] }, /none of the chosen positions/],
  ] as const) {
    await assert.rejects(
      traced(prompt, { positions: { ...allPositions, ...change } }),
      (error: Error) => error.name === 'UserError' && message.test(error.message),
    );
  }
});

test('features whose decoders point the same way are told, with the cosine of all that they write', async () => {
  for (const [name, transcoders] of [
    ['per-layer', path.join(samplePair, 'transcoders')],
    ['cross-layer', null],
  ] as const) {
    const golden = path.join(goldensFolder, 'llama-clt-relu');
    const folder = transcoders === null ? path.join(golden, 'model') : path.join(samplePair, 'model');
    const place = transcoders ?? path.join(golden, 'transcoders');
    using model = await loadModel(folder);
    using set = loadTranscoders(place, model.dimensions);
    const site = { kind: 'feature', activation: 1, probability: null, isTarget: false, label: '' } as const;
    const nodes = Array.from({ length: Math.min(400, set.layers.length * set.nFeatures) }, (_, index): GraphNode => {
      const at = { layer: index % set.layers.length, pos: 1, feature: Math.floor(index / set.layers.length) };
      return { ...site, ...at, id: featureId(at), influence: index / 400 };
    });
    const pairs = similarDecoders(model, set, nodes)!;
    assert.ok(pairs.length > 0, name);
    const byId = new Map(nodes.map((node) => [node.id, node]));
    const written = ({ layer, feature }: GraphNode): number[] => {
      const sum = new Array<number>(set.dModel).fill(0);
      for (const slot of set.layers[layer].slots) {
        decoderRows(slot, [feature!], set.dModel).forEach((value, i) => {
          sum[i] += value;
        });
      }
      return sum;
    };
    const product = (a: number[], b: number[]) => a.reduce((sum, value, i) => sum + value * b[i], 0);
    const cosine = (a: number[], b: number[]) => product(a, b) / Math.sqrt(product(a, a) * product(b, b));
    const told = new Map(pairs.map(([a, b, value]) => [`${a} ${b}`, value]));
    const vectors = new Map(nodes.slice(0, 160).map((node) => [node, written(node)]));
    for (const [a, va] of vectors) {
      for (const [b, vb] of vectors) {
        if (byId.get(a.id)!.influence! >= b.influence!) continue;
        const exact = cosine(va, vb);
        const known = told.get(`${a.id} ${b.id}`);
        if (exact > 0.5 + 1e-6) assert.ok(Math.abs(exact - known!) < 1e-6, `${name} ${a.id} ${b.id}`);
        else if (exact < 0.5 - 1e-6) assert.equal(known, undefined);
      }
    }
    assert.ok(
      pairs.every(([a]) => byId.get(a)!.influence! < 160 / 400),
      'only the most influential are compared',
    );
  }
});

/** Weights by source and target. */
function weightsOf({ nodes, edges }: TraceResult['graph']): Map<string, number> {
  const { source, target, weight } = edges;
  return new Map(Array.from(weight, (value, edge) => [`${nodes[source[edge]].id} ${nodes[target[edge]].id}`, value]));
}

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
