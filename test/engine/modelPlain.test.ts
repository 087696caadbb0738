import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { writeTensors } from '../../src/cli/tensorFile.ts';
import { parseConfig } from '../../src/engine/model/config.ts';
import { families } from '../../src/engine/model/families.ts';
import { loadModel } from '../../src/engine/model/loadModel.ts';
import { plainForward } from '../support/plainForward.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';
import { checkClose } from '../support/tensors.ts';

/** Sizes and settings that config.json may hold, small. */
const settings = fc.record({
  num_hidden_layers: fc.integer({ min: 1, max: 7 }),
  num_key_value_heads: fc.constantFrom(1, 2, 4),
  head_dim: fc.constantFrom(2, 6, 8),
  hidden_size: fc.constantFrom(8, 12),
  intermediate_size: fc.constantFrom(4, 10),
  sliding_window: fc.option(fc.integer({ min: 1, max: 5 })),
  use_sliding_window: fc.boolean(),
  max_window_layers: fc.integer({ min: 1, max: 3 }),
  tie_word_embeddings: fc.boolean(),
  attention_bias: fc.boolean(),
  mlp_bias: fc.boolean(),
  attn_logit_softcapping: fc.option(fc.constantFrom(2, 20)),
  final_logit_softcapping: fc.option(fc.constantFrom(3, 30)),
  query_pre_attn_scalar: fc.option(fc.constantFrom(4, 24)),
  num_experts_per_tok: fc.integer({ min: 1, max: 3 }),
});

/** Small reproducible numbers around 0. */
function numbers(count: number, seed: number): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => {
    const wave = Math.sin((seed * 7919 + i + 1) * 12.9898) * 43758.5453;
    return wave - Math.floor(wave) - 0.5;
  });
}

for (const family of families) {
  test(`graphs and plain loops agree on ${family.name} models of any shape`, async () => {
    await using folder = await temporaryFolder();
    await fc.assert(
      fc.asyncProperty(settings, fc.array(fc.nat(19), { minLength: 1, maxLength: 7 }), async (own, ids) => {
        const config = {
          model_type: family.modelTypes[0],
          vocab_size: 20,
          num_attention_heads: 4,
          num_local_experts: 3,
          max_position_embeddings: 32,
          rms_norm_eps: 1e-5,
          swiglu_limit: 0.5,
          ...own,
        };
        fs.writeFileSync(path.join(folder.path, 'config.json'), JSON.stringify(config));
        const parsed = parseConfig(config);
        const tensors = new Map(
          shapesOf(config, family.names).map(([name, shape], i) => {
            const data = numbers(
              shape.reduce((product, size) => product * size, 1),
              i,
            );
            return [name, { shape, data }] as const;
          }),
        );
        writeTensors(path.join(folder.path, 'model.safetensors'), tensors);
        using model = await loadModel(folder.path);
        const run = await model.forward(ids, { logits: 'all' });
        const plain = plainForward(
          { config: parsed, tensors: new Map([...tensors].map(([k, { data }]) => [k, data])) },
          ids,
        );
        for (const [layer, rows] of plain.residMid.entries()) {
          checkSame(`residMid of layer ${layer}`, run.layers[layer].residMid, rows.flat());
        }
        checkSame('logits', run.logits, plain.logits.flat());
      }),
      { numRuns: 25 },
    );
  });
}

/** Float32 against float64: the rounding of a sum grows with the largest of its terms. */
function checkSame(name: string, actual: Float32Array, expected: readonly number[]): void {
  const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 1);
  checkClose(name, actual, expected, 1e-4 * largest);
}

/** Every tensor that any configuration of these sizes may ask for; those that are not asked for are passed over. */
function shapesOf(
  config: {
    num_hidden_layers: number;
    num_key_value_heads: number;
    head_dim: number;
    hidden_size: number;
    intermediate_size: number;
  },
  names: Readonly<Record<string, string>>,
): [string, number[]][] {
  const { hidden_size: d, head_dim: h, intermediate_size: m, num_key_value_heads: kv } = config;
  const ofRole: Record<string, number[]> = {
    query: [4 * h, d],
    queryBias: [4 * h],
    key: [kv * h, d],
    keyBias: [kv * h],
    value: [kv * h, d],
    valueBias: [kv * h],
    attnOutput: [d, 4 * h],
    queryNorm: [h],
    keyNorm: [h],
    sinks: [4],
    gate: [m, d],
    gateBias: [m],
    up: [m, d],
    upBias: [m],
    down: [d, m],
    router: [3, d],
    routerBias: [3],
  };
  const layers = Array.from({ length: config.num_hidden_layers }, (_, layer) => `model.layers.${layer}.`);
  const experts: [string, number[]][] = [
    ['gate_up_proj', [3, d, 2 * m]],
    ['gate_up_proj_bias', [3, 2 * m]],
    ['down_proj', [3, m, d]],
    ['down_proj_bias', [3, d]],
  ];
  assert.ok(names.query);
  return [
    ['model.embed_tokens.weight', [20, d]],
    ['model.norm.weight', [d]],
    ['lm_head.weight', [20, d]],
    ...layers.flatMap((start): [string, number[]][] => [
      ...Object.entries(names).map(([role, name]): [string, number[]] => [start + name, ofRole[role] ?? [d]]),
      ...experts.map(([name, shape]): [string, number[]] => [`${start}mlp.experts.${name}`, shape]),
    ]),
  ];
}
