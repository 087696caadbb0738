import assert from 'node:assert/strict';
import { cpSync, mkdtempSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { constants, getPriority, tmpdir } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { after, test } from 'node:test';
import { EngineProcess } from '../../src/host/engineProcess.ts';
import {
  defaultAttribution,
  type InterveneRequest,
  type Progress,
  type Prompt,
  type TraceRequest,
} from '../../src/protocol/engine.ts';
import { isAbort, UserError } from '../../src/protocol/errors.ts';

const root = path.resolve(import.meta.dirname, '../..');
const builtIn = {
  model: path.join(root, 'media/built-in-model/model'),
  transcoders: path.join(root, 'media/built-in-model/per-layer'),
};
const dallas: Prompt = { type: 'text', text: 'The capital of the state containing Dallas is' };
const temporary = mkdtempSync(path.join(tmpdir(), 'engine-'));
const lines: string[] = [];
const engine = startEngine();

after(() => {
  engine.dispose();
  rmSync(temporary, { recursive: true, force: true });
});

function startEngine(modulePath = path.join(root, 'src/engine/main.ts'), cancelPatience = 30_000): EngineProcess {
  return new EngineProcess({ modulePath, version: '0.0.0', cancelPatience, log: (_level, line) => lines.push(line) });
}

function request(prompt: Prompt, pair: TraceRequest['pair'] = builtIn): TraceRequest {
  const keep = { nodeThreshold: 0.9, edgeThreshold: 0.98 };
  return { pair, prompt, targets: { type: 'top' }, settings: defaultAttribution, keep, device: 'cpu', slug: 'test' };
}

async function checkRefused(work: Promise<unknown>, code: string, words: RegExp): Promise<void> {
  await assert.rejects(work, (error: unknown) => {
    assert.ok(error instanceof UserError, String(error));
    assert.equal(error.code, code);
    assert.match(error.message, words);
    assert.notEqual(error.remedy, '');
    return true;
  });
}

test('a trace crosses the process with its progress, its typed arrays and the answer Austin', async () => {
  const phases = new Set<string>();
  const onProgress = ({ phase, done, total }: Progress): void => {
    assert.ok(done <= total);
    phases.add(phase);
  };
  const { graph, predictions, tokens } = await engine.call('trace', request(dallas), { onProgress });
  assert.equal(predictions[0].text, ' Austin');
  assert.ok(predictions[0].probability > 0.9);
  assert.equal(tokens.length, graph.metadata.promptTokens.length);
  assert.equal(getPriority(engine.pid ?? 0), constants.priority.PRIORITY_BELOW_NORMAL, 'the editor goes first');
  assert.ok(graph.edges.weight instanceof Float32Array && graph.edges.source instanceof Uint32Array);
  assert.ok(graph.nodes.some((node) => node.kind === 'feature'));
  for (const phase of ['load model', 'forward', 'features', 'direct effects']) assert.ok(phases.has(phase), phase);
});

test('a warm trace does not load the model again', async () => {
  const { phases } = await engine.call('trace', request(dallas));
  const milliseconds = new Map(phases.map((phase) => [phase.phase, phase.milliseconds]));
  assert.ok((milliseconds.get('load model') ?? 99) < 20, `loading took ${milliseconds.get('load model')} ms`);
  assert.equal(lines.filter((line) => line.startsWith('engine: loaded ')).length, 1);
});

test('the status names what is loaded; after unloading nothing is, and the next trace works', async () => {
  const { loaded } = await engine.call('status', {});
  assert.equal(loaded?.model.nLayers, loaded?.set?.nLayers);
  assert.equal(loaded?.model.folder, builtIn.model);
  await engine.call('unload', {});
  assert.equal((await engine.call('status', {})).loaded, null);
  assert.equal((await engine.call('trace', request(dallas))).predictions[0].text, ' Austin');
});

test('a cancelled trace ends at once, the engine answers it, and the next trace works', async () => {
  const phasesToCancelIn = [
    'load model',
    'tokenize',
    'forward',
    'features',
    'direct effects',
    'influence',
    'prune',
  ] as const;
  const { pid } = engine;
  for (const phase of phasesToCancelIn) {
    if (phase === 'load model') await engine.call('unload', {});
    const controller = new AbortController();
    const cancelled = engine.call('trace', request(dallas), {
      signal: controller.signal,
      onProgress: (progress) => {
        if (progress.phase === phase) controller.abort();
      },
    });
    await assert.rejects(cancelled, isAbort, `cancelled in ${phase}`);
  }
  assert.equal((await engine.call('trace', request(dallas))).predictions[0].text, ' Austin');
  assert.equal(engine.pid, pid);
});

test('when the process is killed in mid-trace the trace fails with the reason, and the next one works', async () => {
  // Long and new: still under way when the signal arrives.
  const long: Prompt = { type: 'text', text: 'Dallas is in Texas and Oakland is in California. '.repeat(20) };
  const pending = engine.call('trace', request(long), {
    onProgress: ({ phase }) => {
      if (phase === 'forward' && engine.pid !== null) process.kill(engine.pid, 'SIGKILL');
    },
  });
  await checkRefused(pending, 'engine.ended', /SIGKILL/);
  assert.equal(engine.state, 'stopped');
  assert.equal((await engine.call('trace', request(dallas))).predictions[0].text, ' Austin');
});

test('an engine that does not answer a cancel is killed, and the next call gets a fresh one', async () => {
  const deaf = path.join(temporary, 'deaf.mjs');
  writeFileSync(
    deaf,
    `process.on('message', (message) => {
       if (message.type === 'hello') process.send({ type: 'hello', version: message.version });
       if (message.type === 'call' && message.method === 'status') process.send({ type: 'result', id: message.id, result: process.pid });
     });`,
  );
  const own = startEngine(deaf, 50);
  try {
    const first = await own.call('status', {});
    const controller = new AbortController();
    const stopped = new Promise<void>((resolve) => own.onDidChangeState((state) => state === 'stopped' && resolve()));
    const cancelled = own.call('trace', request(dallas), { signal: controller.signal });
    const other = own.call('trace', request(dallas));
    const otherFails = checkRefused(other, 'engine.ended', /did not answer a cancel/);
    controller.abort();
    await assert.rejects(cancelled, isAbort);
    await stopped;
    await otherFails;
    assert.notEqual(await own.call('status', {}), first);
  } finally {
    own.dispose();
  }
});

test('an engine that cannot start says so instead of leaving the call waiting', async () => {
  const own = startEngine(path.join(temporary, 'absent.mjs'));
  await checkRefused(own.call('status', {}), 'engine.ended', /code 1/);
  own.dispose();
});

test('a missing model folder, an empty prompt and one past the window are refused with what to do', async () => {
  const absent = { ...builtIn, model: path.join(temporary, 'absent') };
  await checkRefused(engine.call('trace', request(dallas, absent)), 'model.missing', /absent/);
  await checkRefused(engine.call('tokenize', { pair: absent, prompt: dallas }), 'model.missing', /absent/);
  const long: Prompt = { type: 'text', text: ' word'.repeat(5000) };
  await checkRefused(engine.call('trace', request(long)), 'prompt.tooLong', /\d+ tokens/);
  const outside: Prompt = { type: 'tokens', ids: [0, 99_999_999] };
  await assert.rejects(engine.call('trace', request(outside)), UserError);
});

test('a cut weight file is refused with how much of it is there', async () => {
  const model = path.join(temporary, 'cut');
  cpSync(builtIn.model, model, { recursive: true });
  const file = path.join(model, 'model.safetensors');
  truncateSync(file, Math.floor(statSync(file).size / 2));
  await assert.rejects(engine.call('trace', request(dallas, { ...builtIn, model })), (error: unknown) => {
    assert.ok(error instanceof UserError, String(error));
    assert.match(`${error.message} ${error.remedy}`, /model\.safetensors/);
    return true;
  });
});

test('a prompt of one token is traced, and told to say little', async () => {
  const { tokens, warnings } = await engine.call('trace', request({ type: 'text', text: 'Texas' }));
  assert.deepEqual(
    tokens.map(({ range }) => range !== null),
    [false, true],
  );
  assert.match(warnings.join(), /The prompt has one token: .* Highlight a longer prompt/);
  assert.doesNotMatch((await engine.call('trace', request(dallas))).warnings.join(), /The prompt has/);
});

test("a feature's card brings its examples, its label and what it was made from, and the graph carries the label", async () => {
  const { graph } = await engine.call('trace', request(dallas));
  const node = graph.nodes.find((candidate) => candidate.kind === 'feature' && candidate.label !== '');
  assert.ok(node !== undefined && node.feature !== null);
  const card = await engine.call('featureCard', { pair: builtIn, layer: node.layer, feature: node.feature });
  assert.equal(card.label, node.label);
  assert.match(card.labelSource, /example/);
  const examples = card.quantiles.flatMap((quantile) => quantile.examples);
  assert.ok(examples.length > 0);
  assert.ok(examples.every(({ tokens, activations }) => tokens.length === activations.length));
  assert.ok(card.topLogits.length > 0 && card.bottomLogits.length > 0);
  const labels = await engine.call('featureLabels', { pair: builtIn });
  const same = labels.find(({ layer, feature }) => layer === node.layer && feature === node.feature);
  assert.equal(same?.label, node.label);
});

test('ablating the strongest features makes the answer less sure; no edit changes nothing', async () => {
  const { graph } = await engine.call('trace', request(dallas));
  const features = graph.nodes.filter(
    (node) => node.kind === 'feature' && graph.metadata.promptTokens[node.pos] === ' Dallas',
  );
  const run = (interventions: InterveneRequest['interventions']) =>
    engine.call('intervene', {
      pair: builtIn,
      prompt: dallas,
      interventions,
      freezeAttention: false,
      constrainedLayers: null,
      topTokens: 5,
      newTokens: 2,
      sampling: null,
      device: 'cpu',
    });
  const none = await run([]);
  assert.deepEqual(none.after, none.before);
  assert.deepEqual(none.changed, []);
  assert.equal(none.generatedAfter[0].text, ' Austin');
  const ablated = await run(
    features.map(({ layer, pos, feature }) => ({ layer, pos, feature: feature ?? 0, kind: 'ablate', value: 0 })),
  );
  assert.equal(ablated.before[0].text, ' Austin');
  const after = ablated.after.find(({ text }) => text === ' Austin');
  assert.ok((after?.probability ?? 0) < ablated.before[0].probability - 0.05, `still ${after?.probability}`);
  assert.ok(ablated.changed.length > 0);
  const outside = run([{ layer: 99, pos: 1, feature: 0, kind: 'ablate', value: 0 }]);
  await assert.rejects(outside, UserError);
});

test('a card of a set without example files lists the tokens that the feature raises, computed here', async () => {
  const transcoders = path.join(temporary, 'bare-set');
  cpSync(builtIn.transcoders, transcoders, { recursive: true });
  rmSync(path.join(transcoders, 'features'), { recursive: true });
  const { graph } = await engine.call('trace', request(dallas));
  const node = graph.nodes.find((candidate) => candidate.kind === 'feature' && candidate.layer === 3);
  assert.ok(node !== undefined && node.feature !== null);
  const place = { layer: node.layer, feature: node.feature };
  const own = await engine.call('featureCard', { pair: builtIn, ...place });
  const card = await engine.call('featureCard', { pair: { ...builtIn, transcoders }, ...place });
  assert.equal(card.logitsFrom, 'computed');
  assert.equal(card.topLogits[0], own.topLogits[0]);
});
