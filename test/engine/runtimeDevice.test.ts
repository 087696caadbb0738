import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { test } from 'node:test';
import { chooseDevice } from '../../src/engine/runtime/device.ts';

/** A software adapter for WebGPU comes with Debian's Chromium. */
const chromium = '/usr/lib/chromium';
const softwareAdapter = path.join(chromium, 'vk_swiftshader_icd.json');
const isThere = process.platform === 'linux' && process.arch === 'x64' && fs.existsSync(softwareAdapter);
const withAdapter = { skip: isThere ? false : `no software adapter for WebGPU at ${softwareAdapter}` };

/** Runs a module's text in a Node process that finds the software adapter. */
function runWithAdapter(source: string): unknown {
  const { stdout, stderr, status } = spawnSync(process.execPath, ['--input-type=module', '-e', source], {
    cwd: path.join(import.meta.dirname, '../..'),
    env: { ...process.env, LD_LIBRARY_PATH: chromium, VK_ICD_FILENAMES: softwareAdapter },
    encoding: 'utf8',
  });
  assert.equal(status, 0, stderr);
  return JSON.parse(stdout);
}

test('the CPU is always there, and says why it was taken', async () => {
  assert.deepEqual(await chooseDevice('cpu'), { provider: 'cpu', reason: 'The CPU was chosen in the settings.' });
  const { provider, reason } = await chooseDevice('auto');
  assert.match(reason, provider === 'cpu' ? /^CPU: ./ : /ms against the CPU's/);
});

test('a device that is named and not there is refused with what is missing', async () => {
  const unlikely = process.platform === 'linux' ? (['dml', 'coreml'] as const) : [];
  for (const choice of unlikely) await assert.rejects(chooseDevice(choice), /can't be used: this platform has none/);
});

test('a software adapter is refused by its time, and taken when it is named', withAdapter, () => {
  const chosen = runWithAdapter(`
    import { chooseDevice } from './src/engine/runtime/device.ts';
    console.log(JSON.stringify([await chooseDevice('auto'), await chooseDevice('webgpu')]));
  `) as [{ provider: string; reason: string }, { provider: string }];
  assert.equal(chosen[0].provider, 'cpu');
  assert.match(chosen[0].reason, /WebGPU: [\d.]+ ms against the CPU's [\d.]+ ms .* software adapter or no gain/);
  assert.equal(chosen[1].provider, 'webgpu');
});

test('the forward pass on WebGPU gives the numbers of the CPU', withAdapter, () => {
  const models = ['llama-plt-bf16', 'gemma2-plt-jumprelu'];
  const differences = runWithAdapter(`
    import { loadModel } from './src/engine/model/loadModel.ts';
    const differences = {};
    for (const name of ${JSON.stringify(models)}) {
      const folder = 'test/fixtures/goldens/' + name + '/model';
      using cpu = await loadModel(folder);
      using gpu = await loadModel(folder, { device: 'webgpu' });
      const ids = [5, 80, 200, 7, 33, 90];
      const expected = (await cpu.forward(ids, { logits: 'all' })).logits;
      const got = (await gpu.forward(ids, { logits: 'all' })).logits;
      differences[name] = Math.max(...expected.map((value, i) => Math.abs(value - got[i])));
    }
    console.log(JSON.stringify(differences));
  `) as Record<string, number>;
  assert.deepEqual(Object.keys(differences), models);
  for (const [name, difference] of Object.entries(differences)) assert.ok(difference < 1e-4, `${name}: ${difference}`);
});
