/**
 * How fast SmolLM2-135M goes on with two edits, and without any:
 *
 *     node test/bench/decode.ts [TOKENS] [REPEATS]
 *
 * Its weights come from the package registry (`test/support/smolLm2.ts`); the set is random, 1,024 features a layer:
 * what an edit costs does not depend on what it means. Both edits are open-ended, so every token has them.
 */
import { randomInt } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { writeTensors } from '../../src/cli/tensorFile.ts';
import { Intervener } from '../../src/engine/interventions/intervene.ts';
import { loadModel } from '../../src/engine/model/loadModel.ts';
import { loadTokenizer } from '../../src/engine/model/tokenizer.ts';
import { Encoder } from '../../src/engine/transcoders/encode.ts';
import { loadTranscoders } from '../../src/engine/transcoders/load.ts';
import type { InterveneRequest, Progress } from '../../src/protocol/engine.ts';
import { smolLm2 } from '../support/smolLm2.ts';

const nFeatures = 1024;
const [tokens, repeats] = [Number(process.argv[2] ?? 20), Number(process.argv[3] ?? 3)];
const found = smolLm2();
if ('missing' in found) throw new Error(found.missing);
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'decode-'));
try {
  using model = await loadModel(found.folder);
  const { nLayers, dModel } = model.dimensions;
  writeRandomSet(folder, nLayers, dModel);
  using set = loadTranscoders(folder, model.dimensions);
  using encoder = new Encoder(set);
  const intervener = new Intervener({ model, set, encoder }, await loadTokenizer(found.folder));
  const request: InterveneRequest = {
    pair: { model: found.folder, transcoders: folder },
    prompt: { type: 'text', text: 'The capital of the state containing Dallas is a large city that' },
    interventions: [
      { layer: 10, feature: 5, pos: { start: 1, stop: null }, kind: 'add', value: 0.5 },
      { layer: 20, feature: 9, pos: { start: 1, stop: null }, kind: 'scale', value: 2 },
    ],
    freezeAttention: false,
    constrainedLayers: null,
    topTokens: 5,
    newTokens: tokens,
    sampling: null,
    device: 'cpu',
  };
  for (let repeat = 0; repeat < repeats; repeat++) {
    const times: Record<'before' | 'after', number[]> = { before: [], after: [] };
    const onProgress = ({ token }: Progress) => {
      if (token) times[token.run].push(performance.now());
    };
    // Another seed each time: the text without edits is remembered otherwise.
    const sampling = { temperature: 0, topP: 1, seed: randomInt(2 ** 31) };
    const started = performance.now();
    await intervener.intervene({ ...request, sampling }, { onProgress });
    const rate = (list: readonly number[]) => (1000 * (list.length - 1)) / (list.at(-1)! - list[0]!);
    console.log(
      `${times.after.length} tokens with two edits: ${rate(times.after).toFixed(1)} a second, without: ${rate(times.before).toFixed(1)}; first token after ${Math.round(times.before[0]! - started)} ms, all ${Math.round(performance.now() - started)} ms`,
    );
  }
} finally {
  fs.rmSync(folder, { recursive: true });
}

function writeRandomSet(into: string, nLayers: number, dModel: number): void {
  fs.writeFileSync(
    path.join(into, 'config.yaml'),
    'model_kind: transcoder_set\nmodel_name: bench\nscan: bench\nfeature_input_hook: mlp.hook_in\nfeature_output_hook: mlp.hook_out\n',
  );
  let state = 1;
  const random = (size: number) =>
    Float32Array.from({ length: size }, () => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return (state / 2 ** 32 - 0.5) * 0.05;
    });
  const tensor = (data: Float32Array, ...shape: number[]) => ({ shape, data });
  for (let layer = 0; layer < nLayers; layer++) {
    writeTensors(
      path.join(into, `layer_${layer}.safetensors`),
      new Map([
        ['W_enc', tensor(random(nFeatures * dModel), nFeatures, dModel)],
        ['W_dec', tensor(random(nFeatures * dModel), nFeatures, dModel)],
        ['b_enc', tensor(new Float32Array(nFeatures), nFeatures)],
        ['b_dec', tensor(new Float32Array(dModel), dModel)],
      ]),
    );
  }
}
