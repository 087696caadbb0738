import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { checkRun } from '../../src/engine/model/checkRun.ts';
import { parseConfig } from '../../src/engine/model/config.ts';
import { describeModel, loadModel } from '../../src/engine/model/loadModel.ts';
import { readFloats, SafetensorsFile } from '../../src/engine/model/safetensors.ts';
import { UserError } from '../../src/protocol/errors.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';

const fixtures = path.join(import.meta.dirname, '../fixtures');
const families = path.join(fixtures, 'families');

/** A safetensors file of this header and as many bytes of data, opened. */
function open(folder: string, header: unknown, dataBytes: number): SafetensorsFile {
  const text = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const prefix = Buffer.alloc(8);
  prefix.writeBigUInt64LE(BigInt(text.length));
  const file = path.join(folder, 'model.safetensors');
  fs.writeFileSync(file, Buffer.concat([prefix, text, Buffer.alloc(dataBytes, 1)]));
  return new SafetensorsFile(file);
}

function checkRefused(action: () => unknown, message: RegExp): void {
  assert.throws(action, (error) => {
    assert.ok(error instanceof UserError, String(error));
    assert.match(error.message, message);
    return true;
  });
}

const pair = { dtype: 'F32', shape: [2], data_offsets: [0, 8] };

test('a header that does not describe its file is refused with the reason', async () => {
  await using folder = await temporaryFolder();
  const cases: [unknown, number, RegExp][] = [
    [{ a: pair }, 4, /cut short: 70 bytes are expected, 66 are there/],
    [{ a: pair }, 12, /4 more than its header accounts for/],
    [{ a: { ...pair, shape: [3] } }, 8, /8 bytes, but its shape \[3\] in F32 needs 12/],
    [{ a: { ...pair, shape: [2 ** 30, 2 ** 30] } }, 8, /needs 4611686018427388000/],
    [{ a: { ...pair, shape: [-2] } }, 8, /shape that is no list of sizes/],
    [{ a: { ...pair, shape: [0.5] } }, 8, /shape that is no list of sizes/],
    [{ a: { ...pair, dtype: 'F31' } }, 8, /type "F31", which is not known/],
    [{ a: { ...pair, dtype: 'toString' } }, 8, /type "toString"/],
    [{ a: { ...pair, data_offsets: [8, 0] } }, 8, /offsets that are no range/],
    [{ a: { ...pair, data_offsets: [0, 2 ** 60] } }, 8, /offsets that are no range/],
    [{ a: pair, b: pair }, 8, /overlapping/],
    [{ a: 7 }, 0, /other than an object/],
    ['[1]', 0, /does not hold a JSON object/],
    ['{"a":', 0, /not valid JSON/],
    [`{"a":${'['.repeat(50_000)}`, 0, /nested more than 8 levels/],
  ];
  for (const [header, dataBytes, message] of cases) checkRefused(() => open(folder.path, header, dataBytes), message);
});

test('a header that states more bytes than the file has, or than any header may have, is refused', async () => {
  await using folder = await temporaryFolder();
  const file = path.join(folder.path, 'x.safetensors');
  const write = (length: bigint) => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64LE(length);
    fs.writeFileSync(file, bytes);
  };
  write(50n);
  checkRefused(() => new SafetensorsFile(file), /cut short: 58 bytes are expected, 8 are there/);
  write(2n ** 63n);
  checkRefused(() => new SafetensorsFile(file), /9223372036854775808 bytes; at most 100000000/);
  fs.writeFileSync(file, 'abc');
  checkRefused(() => new SafetensorsFile(file), /cut short: 8 bytes are expected, 3 are there/);
  checkRefused(() => new SafetensorsFile(folder.path), /There is no file/);
});

test('a tensor read on another thread is the same, also when the file is closed or cut meanwhile', async () => {
  await using folder = await temporaryFolder();
  const count = 300_000;
  const opened = open(folder.path, { a: { dtype: 'F32', shape: [count], data_offsets: [0, count * 4] } }, count * 4);
  const tensor = opened.tensor('a');
  const file = opened.path;
  const values = Float32Array.from({ length: count }, (_, index) => index);
  const bytes = fs.readFileSync(file);
  const header = bytes.length - count * 4;
  for (const [index, value] of values.entries()) bytes.writeFloatLE(value, header + index * 4);
  fs.writeFileSync(file, bytes, { flag: 'r+' });
  const into = new Float32Array(count - 5);
  const reading = opened.load(tensor, new Uint8Array(into.buffer), 20);
  opened[Symbol.dispose]();
  await reading;
  assert.deepEqual(into, values.subarray(5));
  await assert.rejects(opened.load(tensor, new Uint8Array(8)), /is closed/);

  using again = new SafetensorsFile(file);
  await assert.rejects(again.load(tensor, new Uint8Array(into.buffer), 40), /bytes 40 to/);
  fs.truncateSync(file, header + 400_000);
  await assert.rejects(again.load(again.tensor('a'), new Uint8Array(into.buffer)), /is cut short/);
});

test('any damage to a file is refused or leaves tensors that lie inside it', async () => {
  await using folder = await temporaryFolder();
  const whole = fs.readFileSync(path.join(families, 'qwen2/model.safetensors'));
  const file = path.join(folder.path, 'damaged.safetensors');
  const places = fc.tuple(fc.nat(3000), fc.nat(255));
  fc.assert(
    fc.property(fc.array(places, { minLength: 1, maxLength: 4 }), fc.nat(whole.length), (changes, length) => {
      const bytes = Buffer.from(whole.subarray(0, changes.length > 2 ? length : whole.length));
      for (const [at, value] of changes) if (at < bytes.length) bytes[at] = value;
      fs.writeFileSync(file, bytes);
      try {
        using opened = new SafetensorsFile(file);
        for (const tensor of opened.tensors.values()) assert.ok(tensor.offset + tensor.bytes <= bytes.length);
      } catch (error) {
        assert.ok(error instanceof UserError, String(error));
      }
    }),
    { numRuns: 300 },
  );
});

test('float16 and bfloat16 are widened exactly, also their smallest, infinite and undefined values', async () => {
  await using folder = await temporaryFolder();
  const halves = [0x0001, 0x0400, 0x3c00, 0xc000, 0x7bff, 0x7c00, 0xfc00, 0x7e00, 0x8000];
  const brains = [0x0001, 0x3f80, 0xff80, 0x7fc0];
  using file = open(
    folder.path,
    {
      half: { dtype: 'F16', shape: [9], data_offsets: [0, 18] },
      brain: { dtype: 'BF16', shape: [4], data_offsets: [18, 26] },
    },
    26,
  );
  const bytes = fs.readFileSync(file.path);
  for (const [i, bits] of [...halves, ...brains].entries()) bytes.writeUInt16LE(bits, bytes.length - 26 + 2 * i);
  fs.writeFileSync(file.path, bytes);
  const expected = [2 ** -24, 2 ** -14, 1, -2, 65504, Infinity, -Infinity, NaN, -0];
  assert.deepEqual([...readFloats(file.tensor('half'))], expected);
  assert.deepEqual([...readFloats(file.tensor('brain'))], [2 ** -133, 1, -Infinity, NaN]);
  assert.deepEqual([...readFloats(file.tensor('half'), 2, 2)], [1, -2]);
});

test('a model folder without its files says which are missing', async () => {
  await using folder = await temporaryFolder();
  fs.cpSync(path.join(families, 'llama-shards'), folder.path, { recursive: true });
  fs.rmSync(path.join(folder.path, 'model-00002-of-00004.safetensors'));
  await assert.rejects(loadModel(folder.path), /1 of 4 weight files are missing .*model-00002-of-00004/);
  fs.rmSync(path.join(folder.path, 'model.safetensors.index.json'));
  fs.writeFileSync(path.join(folder.path, 'pytorch_model.bin'), '');
  await assert.rejects(loadModel(folder.path), /neither model.safetensors nor .* It has pytorch_model.bin/);
  fs.rmSync(path.join(folder.path, 'config.json'));
  await assert.rejects(loadModel(folder.path), /There is no file config.json/);
});

test('an index that points outside its folder is refused', async () => {
  await using folder = await temporaryFolder();
  fs.cpSync(path.join(families, 'llama-shards/config.json'), path.join(folder.path, 'config.json'));
  for (const shard of ['../x.safetensors', '/etc/passwd', 'x.bin', 7]) {
    fs.writeFileSync(
      path.join(folder.path, 'model.safetensors.index.json'),
      JSON.stringify({ weight_map: { 'model.norm.weight': shard } }),
    );
    await assert.rejects(loadModel(folder.path), /only .safetensors files of the same folder are read/);
  }
});

test('weights that are not what config.json asks for are named', async () => {
  await using folder = await temporaryFolder();
  fs.cpSync(path.join(families, 'mistral'), folder.path, { recursive: true });
  const file = path.join(folder.path, 'config.json');
  const config = JSON.parse(fs.readFileSync(file, 'utf8')) as Record<string, unknown>;
  const checkWith = async (change: Record<string, unknown>, message: RegExp) => {
    fs.writeFileSync(file, JSON.stringify({ ...config, ...change }));
    await assert.rejects(loadModel(folder.path), message);
  };
  await checkWith({ num_hidden_layers: 5 }, /lack model.layers.3.* and \d+ more/);
  await checkWith({ hidden_size: 16 }, /model.embed_tokens.weight can't be used: its shape is \[96,32\]/);
  await checkWith({ hidden_size: 1e12 }, /hidden_size is 1000000000000; a number from 1 to/);
  await checkWith({ hidden_size: 2.5 }, /hidden_size is 2.5; a whole number/);
  await checkWith({ vocab_size: 'many' }, /vocab_size is "many"/);
  await checkWith({ num_key_value_heads: 3 }, /4 attention heads, which 3 key\/value heads don't divide/);
  await checkWith({ rope_scaling: { rope_type: 'spiral', factor: 2 } }, /rope scaling of type "spiral"/);
  await checkWith({ layer_types: ['full_attention'] }, /layer_types that are no list of 3/);
  await checkWith({ hidden_act: 'relu6' }, /activation "relu6"/);
  await checkWith({ model_type: 'mamba' }, /model_type "mamba", which is not known here/);
});

test('layers slide as the family says where config.json does not', () => {
  const folders = [
    'families/qwen2',
    'families/gpt-oss-mxfp4',
    'goldens/gemma2-plt-jumprelu/model',
    'goldens/gpt-oss-clt/model',
  ];
  for (const folder of folders) {
    const config = JSON.parse(fs.readFileSync(path.join(fixtures, folder, 'config.json'), 'utf8'));
    const { windows } = parseConfig(config);
    assert.ok(windows.some((window) => window !== null) && windows.some((window) => window === null), folder);
    assert.deepEqual(parseConfig({ ...config, layer_types: null }).windows, windows, folder);
  }
});

test('a configuration of any JSON is read or refused with a reason', () => {
  const base = JSON.parse(fs.readFileSync(path.join(families, 'gpt-oss-mxfp4/config.json'), 'utf8')) as object;
  fc.assert(
    fc.property(fc.constantFrom(...Object.keys(base)), fc.jsonValue(), (key, value) => {
      try {
        parseConfig({ ...base, [key]: value });
      } catch (error) {
        assert.ok(error instanceof UserError, String(error));
      }
    }),
    { numRuns: 500 },
  );
});

test('a description counts parameters and names the family and the stored type', () => {
  const described = describeModel(path.join(families, 'gpt-oss-mxfp4'));
  assert.equal(described.family, 'GPT-OSS');
  assert.equal(described.storedType, 'BF16');
  assert.equal(describeModel(path.join(families, 'llama-shards')).storedType, 'F16');
  const wrapper = describeModel(path.join(families, 'gemma3-multimodal'));
  assert.equal(wrapper.nLayers, 7);
  // 96·32 embedding + 32 final norm + 7 layers of 2·32·64 + 2·32·16 + 3·32·48 matrices, 4·32 + 2·16 norm gains
  assert.equal(wrapper.parameters, 96 * 32 + 32 + 7 * (2 * 32 * 64 + 2 * 32 * 16 + 3 * 32 * 48 + 4 * 32 + 2 * 16));
});

test('token ids outside the vocabulary, too many of them, and none are refused', async () => {
  using model = await loadModel(path.join(families, 'mistral'));
  await assert.rejects(model.forward([1, 96], { logits: 'none' }), /Token id 96 is outside .* 96/);
  await assert.rejects(model.forward([1, 1.5], { logits: 'none' }), /Token id 1.5/);
  await assert.rejects(model.forward([], { logits: 'none' }), /no tokens/);
  await assert.rejects(
    model.forward(new Array(129).fill(1), { logits: 'none' }),
    /129 tokens; this model takes at most 128/,
  );
});

test('a prompt whose attention does not fit into memory is refused with the length that does', () => {
  const config = parseConfig(JSON.parse(fs.readFileSync(path.join(families, 'qwen2/config.json'), 'utf8')));
  const ids = new Array<number>(40).fill(1);
  checkRun(ids, 0, 2 ** 30, config, 3 * 2 ** 30);
  // Four times what is allowed: half as long a prompt would fit.
  assert.throws(
    () => checkRun(ids, 0, 4 * 2 ** 30, config, 3 * 2 ** 30),
    (error: UserError) =>
      /40 tokens takes 4.0 GB; of this machine's 3.0 GB/.test(error.message) && /to 20 tokens/.test(error.remedy),
  );
});

test('a cancelled run stops between layers, and the next one works', async () => {
  using model = await loadModel(path.join(families, 'mistral'));
  const cancel = new AbortController();
  let layers = 0;
  const run = model.forward([1, 2, 3], {
    logits: 'last',
    signal: cancel.signal,
    onProgress: () => {
      if (++layers === 2) cancel.abort();
    },
  });
  await assert.rejects(run, { name: 'AbortError' });
  assert.equal(layers, 2);
  const { logits } = await model.forward([1, 2, 3], { logits: 'last' });
  assert.equal(logits.length, 96);
});
