import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { runCommandLine } from '../../src/cli/main.ts';
import { readGraph } from '../../src/graph/readGraph.ts';
import { floats, goldenCases, goldensFolder, goldenTensors, tensorsIn } from '../support/goldens.ts';

const samplePair = path.join(import.meta.dirname, '..', 'fixtures', 'sample-pair');
const samplePairOptions = [
  '--model',
  path.join(samplePair, 'model'),
  '--transcoders',
  path.join(samplePair, 'transcoders'),
];

for (const name of goldenCases()) {
  test(`the goldens command finds ${name} equal to the reference`, async () => {
    const { code, out } = await call('goldens', path.join(goldensFolder, name));
    assert.match(out, new RegExp(`^ok {3}${name}: .*\n1 of 1 cases agree`));
    assert.equal(code, 0);
  });
}

test('on WebGPU, here a software adapter, small cases agree with the reference too', async (context) => {
  const folder = '/usr/lib/chromium';
  const driver = path.join(folder, 'vk_swiftshader_icd.json');
  if (!existsSync(driver)) {
    context.diagnostic('Chromium, whose software Vulkan driver this needs, is not installed: not run');
    return;
  }
  const main = path.join(import.meta.dirname, '..', '..', 'src', 'cli', 'main.ts');
  const env = { ...process.env, LD_LIBRARY_PATH: folder, VK_ICD_FILENAMES: driver };
  for (const name of ['llama-plt-bf16', 'llama-clt-two-tokens']) {
    const args = [main, 'goldens', path.join(goldensFolder, name), '--device', 'webgpu'];
    const { stdout } = await promisify(execFile)(process.execPath, args, { env });
    assert.match(stdout, new RegExp(`^ok {3}${name}: `));
  }
});

test('--dump writes every tensor of the reference under its own name', async () => {
  await inTemporaryFolder(async (folder) => {
    for (const name of ['llama-plt-truncated', 'llama-clt-target-vectors']) {
      await call('goldens', path.join(goldensFolder, name), '--dump', folder);
      const written = tensorsIn(path.join(folder, name, 'result.safetensors'));
      for (const [tensor, { shape }] of goldenTensors(name))
        assert.deepEqual(written.get(tensor)?.shape, shape, tensor);
      assert.deepEqual(written.get('edge_mask_alt'), goldenTensors(name).get('edge_mask_alt'));
    }
  });
});

test('a result that differs from the reference fails and is named with its place and both numbers', async () => {
  await inTemporaryFolder(async (folder) => {
    const bent = path.join(folder, 'llama-plt-skip');
    cpSync(path.join(goldensFolder, 'llama-plt-skip'), bent, { recursive: true });
    bendTensor(path.join(bent, 'golden.safetensors'), 'adjacency', 70);
    const { code, out } = await call('goldens', bent);
    assert.equal(code, 1);
    const width = goldenTensors('llama-plt-skip').get('adjacency')!.shape[1];
    assert.match(
      out,
      new RegExp(
        `^FAIL llama-plt-skip: first difference at adjacency\\[${Math.floor(70 / width)}, ${70 % width}\\]: expected \\S+, got \\S+`,
      ),
    );
  });
});

test('a case that cannot be run fails by name, and the others still run', async () => {
  await inTemporaryFolder(async (folder) => {
    const whole = path.join(folder, 'llama-plt-skip');
    cpSync(path.join(goldensFolder, 'llama-plt-skip'), whole, { recursive: true });
    cpSync(path.join(whole, 'case.json'), path.join(folder, 'a-lost-model', 'case.json'), { recursive: true });
    const { code, out } = await call('goldens', folder);
    assert.equal(code, 1);
    assert.match(out, /^FAIL a-lost-model: .*a-lost-model.*\nok {3}llama-plt-skip: .*\n1 of 2 cases agree/);
  });
});

const samplePrompts = [
  ['The capital of the state containing Dallas is', '" Austin"', 0.9994, 550, 0.934, 0.982, '62 nodes', '723 edges'],
  ['The currency of Japan is the', '" yen"', 0.999, 506, 0.797, 0.939, '54 nodes', '473 edges'],
  [
    'When Mary and John went to the store, John gave a drink to',
    '" Mary"',
    0.996,
    919,
    0.891,
    0.967,
    '64 nodes',
    '508 edges',
  ],
] as const;
test('adaptive mode, the default for other models, says what it attributed and what it estimated, with the scores of all', async () => {
  const prompt = samplePrompts[0][0];
  const all = await call('trace', ...samplePairOptions, '--prompt', prompt, '--max-features', 'all');
  const adaptive = await call('trace', ...samplePairOptions, '--prompt', prompt);
  assert.equal(figure(all.out, 'Attributed features'), figure(all.out, 'Active features'));
  assert.match(all.out, /Not attributed {6}features that hold 0 % of the influence\n/);
  const attributed = figure(adaptive.out, 'Attributed features');
  assert.ok(attributed > 0 && attributed < figure(adaptive.out, 'Active features') / 2, String(attributed));
  assert.match(adaptive.out, /features that hold [\d.]+ % of the influence; of those that are nodes all the same, /);
  for (const score of ['Replacement score', 'Completeness score']) {
    assert.ok(Math.abs(figure(adaptive.out, score) - figure(all.out, score)) <= 1e-3, score);
  }
});

for (const [prompt, answer, probability, active, replacement, completeness, nodes, edges] of samplePrompts) {
  test(`on the sample pair, ${JSON.stringify(prompt)} gives the known figures`, async () => {
    const { code, out } = await call('trace', ...samplePairOptions, '--prompt', prompt, '--max-features', 'all');
    assert.equal(code, 0);
    const prediction = /Predictions\n {2}([\d.]+) {2}(.*)\n/.exec(out)!;
    assert.equal(prediction[2], answer);
    assert.ok(Math.abs(Number(prediction[1]) - probability) <= 1e-3, prediction[0]);
    assert.ok(Math.abs(figure(out, 'Replacement score') - replacement) <= 1e-3);
    assert.ok(Math.abs(figure(out, 'Completeness score') - completeness) <= 1e-3);
    assert.equal(figure(out, 'Active features'), active);
    assert.ok(out.includes(`Kept                ${nodes} (`) && out.includes(edges), out);
    assert.match(out, /Strongest paths to .*\n +\d+\.\d % [+−] {2}.* → /);
  });
}

test('--out writes a graph that opens again, and --raw the unpruned numbers', async () => {
  await inTemporaryFolder(async (folder) => {
    const out = path.join(folder, 'dallas.circuit.json');
    const raw = path.join(folder, 'dallas.safetensors');
    const prompt = 'The capital of the state containing Dallas is';
    const options = ['--max-features', 'all', '--out', out, '--raw', raw];
    await call('trace', ...samplePairOptions, '--prompt', prompt, ...options);
    const { graph } = readGraph(readFileSync(out, 'utf8'));
    assert.equal(graph.metadata.slug, 'dallas');
    assert.equal(graph.nodes.length, 62);
    assert.equal(graph.edges.weight.length, 723);
    assert.equal(graph.nodes.find((node) => node.isTarget)?.label, ' Austin');
    const tensors = tensorsIn(raw);
    assert.deepEqual(tensors.get('active_features')?.shape, [550, 3]);
    assert.deepEqual(tensors.get('adjacency')?.shape, [550 + 36 + 9 + 1, 550 + 36 + 9 + 1]);
    assert.ok(floats(tensors, 'adjacency').every(Number.isFinite));
  });
});

test('targets can be named by text, by id, as a difference and as directions', async () => {
  await inTemporaryFolder(async (folder) => {
    const prompt = [...samplePairOptions, '--prompt', 'The currency of Japan is the', '--max-features', '50'];
    const target = async (...options: string[]) =>
      /Strongest paths to (.*)/.exec((await call('trace', ...prompt, ...options)).out)?.[1];
    assert.equal(await target('--targets', ' yen'), '" yen"');
    assert.equal(await target('--targets', ' riyal', '--targets', ' yen'), '" riyal"');
    assert.equal(await target('--difference', ' yen', '--minus', ' riyal'), '" yen −  riyal"');
    const file = path.join(folder, 'own.safetensors');
    writeVector(file, 'my direction', 128);
    assert.equal(await target('--directions', file), '"my direction"');
    writeVector(file, 'my direction', 100);
    const { code, err } = await call('trace', ...prompt, '--directions', file);
    assert.equal(code, 1);
    assert.match(err, /"my direction" has 100 numbers; the model's width is 128/);
  });
});

test('a call that is not understood says why, shows the help and ends with code 2', async () => {
  await checkUsage(['frobnicate'], /no command "frobnicate"/);
  await checkUsage(['trace'], /--prompt or with --tokens/);
  await checkUsage(['trace', '--prompt', 'a', '--tokens', '1'], /one of the two/);
  await checkUsage(
    ['trace', '--prompt', 'a', '--max-logits', 'ten'],
    /--max-logits is "ten"; it must be a whole number from 1/,
  );
  await checkUsage(['trace', '--prompt', 'a', '--max-logits', '0'], /whole number from 1/);
  await checkUsage(['trace', '--prompt', 'a', '--logit-prob', '1.5'], /--logit-prob is "1.5"/);
  await checkUsage(['trace', '--prompt', 'a', '--node-threshold', ''], /--node-threshold is ""/);
  await checkUsage(['trace', '--prompt', 'a', '--max-features', 'some'], /--max-features is "some"/);
  await checkUsage(['trace', '--tokens', '1,x'], /whole numbers separated by commas/);
  await checkUsage(['trace', '--prompt', 'a', '--model', '/x'], /--model and --transcoders go together/);
  await checkUsage(['trace', '--prompt', 'a', '--frob'], /--frob/);
  await checkUsage(['trace', 'a', 'prompt'], /quote the prompt/);
  await checkUsage(['trace', '--prompt', 'a', '--difference', 'b'], /--minus/);
  await checkUsage(['trace', '--prompt', 'a', '--targets', 'b', '--target-ids', '1'], /Choose one of/);
  await checkUsage(['goldens'], /Name a folder/);
  await checkUsage(['goldens', 'x', '--device', 'abacus'], /--device is "abacus"/);
  assert.equal((await call()).code, 2);
});

test('what a person can mend is said in a sentence with what to do, without a stack, and ends with code 1', async () => {
  const checkFailure = async (args: string[], message: RegExp) => {
    const { code, err } = await call(...args);
    assert.equal(code, 1);
    assert.match(err, message);
    assert.doesNotMatch(err, / {4}at /);
  };
  const prompt = ['--prompt', 'The capital'];
  await checkFailure(['trace', '--model', '/nowhere', '--transcoders', '/nowhere', ...prompt], /nowhere/);
  await checkFailure(
    ['trace', ...samplePairOptions.slice(0, 2), '--transcoders', '/nowhere', ...prompt],
    /no folder \/nowhere/,
  );
  await checkFailure(['trace', ...samplePairOptions, '--prompt', 'a '.repeat(1000)], /512/);
  await checkFailure(['trace', ...samplePairOptions, '--tokens', '0,99999'], /4227/);
  await checkFailure(
    ['trace', ...samplePairOptions, ...prompt, '--targets', 'two words'],
    /is 3 tokens to this model \(" two"/,
  );
  await checkFailure(
    ['trace', ...samplePairOptions, ...prompt, '--target-ids', '5000'],
    /no token 5000: the vocabulary has 4227/,
  );
  await checkFailure(['goldens', '/nowhere'], /no folder \/nowhere/);
});

test('--help and --version answer without loading a model', async () => {
  for (const args of [['--help'], ['trace', '--help'], ['goldens', '--help'], ['bench', '--help']]) {
    const { code, out } = await call(...args);
    assert.equal(code, 0);
    assert.match(out, /^Usage: prompt-circuits/);
  }
  assert.match((await call('--version')).out, /^\d+\.\d+\.\d+\n$/);
});

async function call(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  let out = '';
  let err = '';
  const terminal = {
    out: (text: string) => {
      out += text;
    },
    err: (text: string) => {
      err += text;
    },
    isInteractive: false,
  };
  const code = await runCommandLine(args, terminal);
  return { code, out, err };
}

async function checkUsage(args: string[], message: RegExp): Promise<void> {
  const { code, err } = await call(...args);
  assert.equal(code, 2, args.join(' '));
  assert.match(err, message);
  assert.match(err, /Usage: prompt-circuits/);
}

function figure(out: string, name: string): number {
  return Number(new RegExp(`^${name} +([\\d.]+)$`, 'm').exec(out)?.[1]);
}

async function inTemporaryFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(path.join(tmpdir(), 'prompt-circuits-'));
  try {
    await work(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Adds 0.5 to one number of a float tensor in a file. */
function bendTensor(file: string, tensor: string, place: number): void {
  const bytes = readFileSync(file);
  const headerLength = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.toString('utf8', 8, 8 + headerLength));
  const at = 8 + headerLength + header[tensor].data_offsets[0] + place * 4;
  bytes.writeFloatLE(bytes.readFloatLE(at) + 0.5, at);
  writeFileSync(file, bytes);
}

function writeVector(file: string, name: string, length: number): void {
  const header = Buffer.from(
    JSON.stringify({ [name]: { dtype: 'F32', shape: [length], data_offsets: [0, length * 4] } }),
  );
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(BigInt(header.length));
  writeFileSync(file, Buffer.concat([prefix, header, Buffer.from(new Float32Array(length).fill(0.1).buffer)]));
}
