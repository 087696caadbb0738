import assert from 'node:assert/strict';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { deflateRawSync } from 'node:zlib';
import fc from 'fast-check';
import { readCase } from '../../src/cli/goldenCase.ts';
import { runCase } from '../../src/cli/goldens.ts';
import { writeTensors } from '../../src/cli/tensorFile.ts';
import { describeTranscoders, loadTranscoders } from '../../src/engine/transcoders/load.ts';
import { NpzFile } from '../../src/engine/transcoders/npz.ts';
import { UserError } from '../../src/protocol/errors.ts';
import { type GoldenTensor, goldensFolder, tensorsIn } from '../support/goldens.ts';

const perLayer = path.join(goldensFolder, 'llama-plt-relu', 'transcoders');
const crossLayer = path.join(goldensFolder, 'llama-clt-relu', 'transcoders');
const nLayers = 3;

test('dense cross-layer decoders of Gemma Scope 2, with every output layer stored, give the same graph', async () => {
  await inFolder(async (folder) => {
    for (let layer = 0; layer < nLayers; layer++) {
      const encoder = tensorsIn(path.join(crossLayer, `W_enc_${layer}.safetensors`));
      const decoder = tensorsIn(path.join(crossLayer, `W_dec_${layer}.safetensors`)).get(`W_dec_${layer}`)!;
      writeTensors(
        path.join(folder, 'clt', `params_layer_${layer}.safetensors`),
        new Map([
          ['w_enc', transposed(encoder.get(`W_enc_${layer}`)!)],
          ['b_enc', encoder.get(`b_enc_${layer}`)!],
          ['w_dec', withEarlierLayers(decoder, layer)],
          ['b_dec', encoder.get(`b_dec_${layer}`)!],
        ]),
      );
    }
    writeConfig(folder, [
      'model_kind: cross_layer_transcoder',
      'feature_input_hook: hook_resid_mid',
      'feature_output_hook: hook_mlp_out',
    ]);
    const { kind, layout } = describeTranscoders(folder);
    assert.deepEqual({ kind, layout }, { kind: 'cross-layer', layout: 'Gemma Scope 2' });
    await checkSameGraph('llama-clt-relu', folder);
  });
});

test("sparsify's folders, one per hook point with a cfg.json, give the same graph without any config.yaml", async () => {
  await inFolder(async (folder) => {
    for (let layer = 0; layer < nLayers; layer++) {
      const tensors = tensorsIn(path.join(perLayer, `layer_${layer}.safetensors`));
      writeSparsify(folder, layer, { activation: 'topk', k: 64, transcode: true }, [
        ['encoder.weight', tensors.get('W_enc')!],
        ['encoder.bias', tensors.get('b_enc')!],
        ['W_dec', tensors.get('W_dec')!],
        ['b_dec', tensors.get('b_dec')!],
      ]);
    }
    // All 64 features may stay on, and sparsify clamps first: that is ReLU.
    assert.deepEqual(described(folder), { kind: 'per-layer', layout: 'sparsify', activation: 'topk' });
    await checkSameGraph('llama-plt-relu', folder);
  });
});

test("sparsify's cross-layer decoders, one tensor per target layer, give the same graph", async () => {
  await inFolder(async (folder) => {
    for (let layer = 0; layer < nLayers; layer++) {
      const encoder = tensorsIn(path.join(crossLayer, `W_enc_${layer}.safetensors`));
      const decoder = tensorsIn(path.join(crossLayer, `W_dec_${layer}.safetensors`)).get(`W_dec_${layer}`)!;
      const targets = Array.from({ length: nLayers - layer }, (_, offset) => offset);
      // Biases of one target layer add up over the layers that write to it: each gives its share.
      const share = (offset: number) => 1 / (layer + offset + 1);
      writeSparsify(folder, layer, { activation: 'topk', k: 48, transcode: true, n_targets: targets.length }, [
        ['encoder.weight', encoder.get(`W_enc_${layer}`)!],
        ['encoder.bias', encoder.get(`b_enc_${layer}`)!],
        ...targets.map((offset): [string, GoldenTensor] => [`W_decs.${offset}`, slotOf(decoder, offset)]),
        ...targets.map((offset): [string, GoldenTensor] => {
          const bias = tensorsIn(path.join(crossLayer, `W_enc_${layer + offset}.safetensors`)).get(
            `b_dec_${layer + offset}`,
          )!;
          return [
            `b_decs.${offset}`,
            { shape: bias.shape, data: (bias.data as Float32Array).map((value) => value * share(offset)) },
          ];
        }),
      ]);
    }
    writeConfig(folder, ['feature_input_hook: hook_resid_mid', 'feature_output_hook: hook_mlp_out']);
    assert.deepEqual(described(folder), { kind: 'cross-layer', layout: 'sparsify', activation: 'topk' });
    await checkSameGraph('llama-clt-relu', folder);
  });
});

test('hf:// references are found in the folder, with and without owner and repository, and in a hub cache beside it', async () => {
  await inFolder(async (folder) => {
    const snapshot = path.join(folder, 'models--me--set', 'snapshots', 'abc');
    const other = path.join(folder, 'models--you--weights');
    mkdirSync(path.join(snapshot, 'parts'), { recursive: true });
    mkdirSync(path.join(snapshot, 'you', 'weights'), { recursive: true });
    mkdirSync(path.join(other, 'snapshots', 'def', 'deep'), { recursive: true });
    mkdirSync(path.join(other, 'refs'), { recursive: true });
    writeFileSync(path.join(other, 'refs', 'main'), 'def');
    cpSync(path.join(perLayer, 'layer_0.safetensors'), path.join(snapshot, 'parts', 'a.safetensors'));
    cpSync(path.join(perLayer, 'layer_1.safetensors'), path.join(snapshot, 'you', 'weights', 'b.safetensors'));
    cpSync(path.join(perLayer, 'layer_2.safetensors'), path.join(other, 'snapshots', 'def', 'deep', 'c.safetensors'));
    const references = [
      'hf://me/set/parts/a.safetensors',
      'hf://you/weights/b.safetensors',
      'hf://you/weights/deep/c.safetensors?revision=main',
    ];
    writeConfig(snapshot, [
      'model_kind: transcoder_set',
      'feature_input_hook: mlp.hook_in',
      'feature_output_hook: mlp.hook_out',
      'transcoders:',
      ...references.map((reference) => `- ${reference}`),
    ]);
    await checkSameGraph('llama-plt-relu', snapshot);
  });
});

test('a set whose files are missing, doubled or cut says which', async () => {
  await inSet(perLayer, (folder) => rmSync(path.join(folder, 'layer_1.safetensors')), /lack layer 1 of 0 to 2/);
  await inSet(
    perLayer,
    (folder) => {
      mkdirSync(path.join(folder, 'more'));
      cpSync(path.join(folder, 'layer_1.safetensors'), path.join(folder, 'more', 'layer_1.safetensors'));
    },
    /two files for layer 1/,
  );
  await inSet(crossLayer, (folder) => rmSync(path.join(folder, 'W_dec_2.safetensors')), /no tensor W_dec_2/);
  await inSet(
    perLayer,
    (folder) => cutFile(path.join(folder, 'layer_2.safetensors'), 5000),
    /layer_2\.safetensors is cut short/,
  );
  await inSet(
    perLayer,
    (folder) => writeConfig(folder, ['transcoders:', '- layer_0.safetensors', '- gone.safetensors']),
    /"gone\.safetensors".* is not in/,
  );
  assert.throws(() => describeTranscoders('/nowhere'), { name: 'UserError', message: /no folder \/nowhere/ });
  await inFolder(async (folder) => {
    assert.throws(() => describeTranscoders(folder), { name: 'UserError', message: /hold no weights/ });
  });
});

test('tensors of a wrong shape, type or name are refused with both shapes', async () => {
  const bend = (change: (tensors: Map<string, GoldenTensor>) => void) => (folder: string) => {
    const file = path.join(folder, 'layer_1.safetensors');
    const tensors = tensorsIn(file);
    change(tensors);
    writeTensors(file, tensors);
  };
  const zeros = (...shape: number[]): GoldenTensor => ({
    shape,
    data: new Float32Array(shape.reduce((a, b) => a * b, 1)),
  });
  await inSet(
    perLayer,
    bend((tensors) => tensors.set('W_enc', zeros(64, 31))),
    /"W_enc" of shape \[64,31\].*\[64,32\]/,
  );
  await inSet(
    perLayer,
    bend((tensors) => tensors.set('b_enc', zeros(63))),
    /"b_enc" of shape \[63\].*\[64\]/,
  );
  await inSet(
    perLayer,
    bend((tensors) => tensors.set('W_dec', zeros(64, 3, 32))),
    /"W_dec" of shape \[64,3,32\]|cross-layer/,
  );
  await inSet(
    perLayer,
    bend((tensors) => tensors.set('W_skip', zeros(32, 33))),
    /"W_skip" of shape \[32,33\].*\[32,32\]/,
  );
  await inSet(
    perLayer,
    bend((tensors) => tensors.delete('b_dec')),
    /no tensor b_dec in .*layer_1/,
  );
  await inSet(
    perLayer,
    bend((tensors) => tensors.set('W_enc', { shape: [64, 32], data: new Int32Array(64 * 32) })),
    /"W_enc" as I32/,
  );
  await inSet(
    perLayer,
    (folder) => {
      for (let layer = 0; layer < nLayers; layer++)
        writeTensors(path.join(folder, `layer_${layer}.safetensors`), new Map([['other', zeros(2)]]));
    },
    /layout that is not known.*"other"/,
  );
});

test('a configuration that is damaged or asks for what is not computed is refused by name', async () => {
  const refused = (lines: string[], message: RegExp) =>
    inSet(perLayer, (folder) => writeConfig(folder, lines), message);
  await refused(['feature_input_hook: blocks.0.mlp'], /feature_input_hook: "blocks.0.mlp"; known are hook_resid_mid/);
  await refused(['model_kind: 3'], /model_kind: 3/);
  await refused(['activation: topk'], /k = nothing/);
  await refused(['activation: topk', 'k: 0'], /k = 0/);
  await refused(['activation: topk', 'k: 100'], /keep 100 features of 64/);
  await refused(['model_kind: cross_layer_transcoder'], /called cross-layer .* decoders are per-layer/);
  await refused(['- a list'], /holds no list of fields/);
  await refused(['a: [unclosed'], /not valid YAML/);
  await refused(['a: &a [x]', 'b: *a'], /not valid YAML/);
  await refused([`a: ${'['.repeat(100_000)}`], /not valid YAML/);
  await refused([`a: ${'x'.repeat(2 ** 20)}`], /at most 1048576/);
  await refused(['transcoders: []'], /no list of files/);
  await refused(['transcoders: [3]'], /names no file/);
  await refused(['transcoders: [../../secret.safetensors]'], /leads out of its folder/);
  await refused(['transcoders: [hf://a/b/../../secret.safetensors]'], /leads out of its folder/);
  await refused(['transcoders: [/etc/passwd]'], /leads out of its folder/);
  await refused(['transcoders: ["https://x/y.safetensors"]'], /leads out of its folder/);
});

test('sparsify settings that change the numbers are refused when they are not computed', async () => {
  await inFolder(async (folder) => {
    const tensors = tensorsIn(path.join(perLayer, 'layer_0.safetensors'));
    for (const [config, message] of [
      [{ activation: 'batchtopk', k: 8, transcode: true }, /activation = "batchtopk"; only "topk" and "groupmax"/],
      [{ activation: 'groupmax', k: 7, transcode: true }, /7 groups, which 64 features cannot be divided into/],
      [{ k: 8, transcode: false }, /transcode = false; only true/],
      [{ k: 8 }, /transcode = nothing/],
      [{ k: 8, transcode: true, normalize_io: true }, /have no tensor in_norm/],
      [{ k: 8, transcode: true, post_encoder_scale: true }, /have no tensor post_enc_scale/],
      [{ k: 8, transcode: true, skip_connection: true }, /have no tensor W_skip/],
      [{ k: 8, transcode: true, coalesce_topk: 'per-layer' }, /coalesce_topk = "per-layer"; only "none" and "concat"/],
      [{ k: 8, transcode: true, coalesce_topk: 'concat', topk_coalesced: true }, /topk_coalesced = true/],
      [{ k: 8, transcode: true, secondary_target_tied: true }, /secondary_target_tied = true/],
      [{ k: 8, transcode: true, n_targets: 2, divide_cross_layer: true }, /divide_cross_layer = true/],
      [{ k: 8, transcode: true, n_targets: 2 }, /write from layer 0 to 2 layers of 1/],
      [{ k: 8, transcode: true, n_targets: 1e9 }, /n_targets = 1000000000/],
      [{ k: 2 ** 40, transcode: true }, /keep 1099511627776 features of 64/],
      [{ activation: 'topk', transcode: true }, /k = nothing/],
    ] as const) {
      writeSparsify(folder, 0, config, [
        ['encoder.weight', tensors.get('W_enc')!],
        ['encoder.bias', tensors.get('b_enc')!],
        ['W_dec', tensors.get('W_dec')!],
        ['b_dec', tensors.get('b_dec')!],
      ]);
      assert.throws(() => describeTranscoders(folder), { name: 'UserError', message });
    }
  });
});

test('sparsify sets read where their training run says, and skips to other layers are refused', async () => {
  await inFolder(async (folder) => {
    const tensors = tensorsIn(path.join(perLayer, 'layer_0.safetensors'));
    const named = (more: readonly [string, GoldenTensor][]) => [
      ['encoder.weight', tensors.get('W_enc')!] as [string, GoldenTensor],
      ['encoder.bias', tensors.get('b_enc')!] as [string, GoldenTensor],
      ['W_dec', tensors.get('W_dec')!] as [string, GoldenTensor],
      ['b_dec', tensors.get('b_dec')!] as [string, GoldenTensor],
      ...more,
    ];
    const run = (names: readonly unknown[]) =>
      writeFileSync(path.join(folder, 'config.json'), JSON.stringify({ hookpoints_in: names }));
    writeSparsify(folder, 0, { k: 8, transcode: true }, named([]));
    assert.equal(describeTranscoders(folder).inputHook, 'mlp.hook_in');
    run(['layers.0.post_attention_layernorm']);
    assert.equal(describeTranscoders(folder).inputHook, 'hook_resid_mid');
    run([]);
    assert.equal(describeTranscoders(folder).inputHook, 'mlp.hook_in');
    run(['layers.0.self_attn']);
    assert.throws(() => describeTranscoders(folder), { name: 'UserError', message: /hookpoints_in/ });
    run([]);
    const square = { shape: [32, 32], data: new Float32Array(32 * 32) };
    for (const layer of [0, 1]) {
      const lists = named([
        ['W_decs.1', tensors.get('W_dec')!],
        ['b_decs.1', tensors.get('b_dec')!],
        ['W_skips.0', square],
        ['W_skips.1', square],
      ]);
      writeSparsify(folder, layer, { k: 8, transcode: true, skip_connection: true, n_targets: 2 - layer }, lists);
    }
    assert.throws(() => describeTranscoders(folder), { name: 'UserError', message: /W_skips\.1 .* not computed/ });
  });
});

test('a damaged .npz is refused or read, never more: cut anywhere, or with any byte changed', async () => {
  const bytes = readFileSync(
    path.join(goldensFolder, 'gemma2-plt-npz', 'transcoders', 'layer_0', 'width_64', 'average_l0_5', 'params.npz'),
  );
  await inFolder(async (folder) => {
    const file = path.join(folder, 'params.npz');
    const check = (damaged: Uint8Array) => {
      writeFileSync(file, damaged);
      try {
        using npz = new NpzFile(file);
        for (const tensor of npz.tensors.values()) tensor.floats(0, tensor.size);
      } catch (error) {
        assert.ok(error instanceof UserError, String(error));
      }
    };
    for (let length = 0; length < bytes.length; length += 173) check(bytes.subarray(0, length));
    const end = bytes.length - 400;
    const place = fc.oneof(fc.nat(200), fc.integer({ min: end, max: bytes.length - 1 }), fc.nat(bytes.length - 1));
    fc.assert(
      fc.property(fc.array(fc.tuple(place, fc.nat(255)), { minLength: 1, maxLength: 6 }), (changes) => {
        const damaged = Uint8Array.from(bytes);
        for (const [at, value] of changes) damaged[at] = value;
        check(damaged);
      }),
      { numRuns: 300 },
    );
  });
});

test('a compressed array is unpacked when it is small and honest, and refused when it lies about its size', async () => {
  await inFolder(async (folder) => {
    const file = path.join(folder, 'params.npz');
    const array = npyOf([4], Float32Array.of(1, 2, 3, 4));
    writeFileSync(file, zipOf('W', array, array.length));
    {
      using npz = new NpzFile(file);
      assert.deepEqual(npz.tensors.get('W')?.floats(0, 4), Float32Array.of(1, 2, 3, 4));
    }
    const bomb = Buffer.alloc(8 * 2 ** 20);
    writeFileSync(file, zipOf('W', bomb, 1000));
    assert.throws(() => new NpzFile(file), { name: 'UserError', message: /does not unpack to 1000 bytes/ });
    writeFileSync(file, zipOf('W', bomb, 2 ** 31));
    assert.throws(() => new NpzFile(file), { name: 'UserError', message: /at most 67108864 are unpacked/ });
  });
});

async function checkSameGraph(name: string, transcoders: string): Promise<void> {
  const golden = { ...readCase(path.join(goldensFolder, name)), transcoders, interventions: [] };
  const { passed, line } = await runCase(golden, { dump: null, provider: 'cpu' });
  assert.ok(passed, line);
}

function described(folder: string) {
  const { kind, layout, activation } = describeTranscoders(folder);
  return { kind, layout, activation };
}

async function inFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(path.join(tmpdir(), 'prompt-circuits-'));
  try {
    await work(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Copies a set, changes it, and expects that loading it says what is wrong. */
async function inSet(original: string, change: (folder: string) => void, message: RegExp): Promise<void> {
  await inFolder(async (folder) => {
    cpSync(original, folder, { recursive: true });
    change(folder);
    assert.throws(
      () => loadTranscoders(folder, null),
      (error) => {
        assert.ok(error instanceof UserError, String(error));
        assert.match(error.message, message);
        assert.ok(error.remedy.length > 0);
        return true;
      },
    );
  });
}

function writeConfig(folder: string, lines: readonly string[]): void {
  writeFileSync(path.join(folder, 'config.yaml'), `${lines.join('\n')}\n`);
}

function writeSparsify(
  folder: string,
  layer: number,
  config: object,
  tensors: readonly (readonly [string, GoldenTensor])[],
): void {
  const own = path.join(folder, `layers.${layer}.mlp`);
  mkdirSync(own, { recursive: true });
  writeFileSync(path.join(own, 'cfg.json'), JSON.stringify(config));
  writeTensors(path.join(own, 'sae.safetensors'), new Map(tensors));
}

function cutFile(file: string, length: number): void {
  writeFileSync(file, readFileSync(file).subarray(0, length));
}

function transposed({ shape: [rows, columns], data }: GoldenTensor): GoldenTensor {
  const result = new Float32Array(data.length);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) result[column * rows + row] = data[row * columns + column];
  }
  return { shape: [columns, rows], data: result };
}

/** [F, L − layer, d] with slots for the earlier layers put in front; what stands in them must not count. */
function withEarlierLayers({ shape: [nFeatures, nSlots, dModel], data }: GoldenTensor, layer: number): GoldenTensor {
  const result = new Float32Array(nFeatures * nLayers * dModel).fill(7);
  for (let feature = 0; feature < nFeatures; feature++) {
    const own = (data as Float32Array).subarray(feature * nSlots * dModel, (feature + 1) * nSlots * dModel);
    result.set(own, (feature * nLayers + layer) * dModel);
  }
  return { shape: [nFeatures, nLayers, dModel], data: result };
}

function slotOf({ shape: [nFeatures, nSlots, dModel], data }: GoldenTensor, slot: number): GoldenTensor {
  const result = new Float32Array(nFeatures * dModel);
  for (let feature = 0; feature < nFeatures; feature++) {
    const start = (feature * nSlots + slot) * dModel;
    result.set((data as Float32Array).subarray(start, start + dModel), feature * dModel);
  }
  return { shape: [nFeatures, dModel], data: result };
}

function npyOf(shape: readonly number[], data: Float32Array): Buffer {
  const literal = `{'descr': '<f4', 'fortran_order': False, 'shape': (${shape.join(', ')},), }`;
  const header = `${literal.padEnd(117)}\n`;
  const prefix = Buffer.from('\x93NUMPY\x01\x00\x00\x00', 'latin1');
  prefix.writeUInt16LE(header.length, 8);
  return Buffer.concat([prefix, Buffer.from(header), Buffer.from(data.buffer)]);
}

/** A zip archive of one deflated entry that states `statedBytes` as its size. */
function zipOf(name: string, data: Buffer, statedBytes: number): Buffer {
  const packed = deflateRawSync(data);
  const file = Buffer.from(`${name}.npy`);
  const local = Buffer.alloc(30);
  local.writeUInt32LE(0x04034b50, 0);
  local.writeUInt16LE(8, 8);
  local.writeUInt16LE(file.length, 26);
  const entry = Buffer.alloc(46);
  entry.writeUInt32LE(0x02014b50, 0);
  entry.writeUInt16LE(8, 10);
  entry.writeUInt32LE(packed.length, 20);
  entry.writeUInt32LE(statedBytes, 24);
  entry.writeUInt16LE(file.length, 28);
  const offset = local.length + file.length + packed.length;
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(1, 8);
  end.writeUInt16LE(1, 10);
  end.writeUInt32LE(entry.length + file.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([local, file, packed, entry, file, end]);
}
