import assert from 'node:assert/strict';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before } from 'node:test';
import { gzipSync } from 'node:zlib';
import { servedRepo } from '../support/hubPlace.ts';
import { type HubServer, startHubServer } from '../support/hubServer.ts';
import { temporaryFolder } from '../support/temporaryFolder.ts';
import { stepsIn, Workbench } from './harness.ts';

const golden = path.resolve(import.meta.dirname, '../fixtures/goldens/llama-plt-relu');
const prompt = 'the capital of the state is';
let workbench: Workbench;
let hub: HubServer;
let cache: Awaited<ReturnType<typeof temporaryFolder>>;

/** Files of a folder as a hub serves them; the weights as large ones. */
function repoOf(folder: string) {
  const names = readdirSync(folder);
  return servedRepo(
    Object.fromEntries(
      names.map((name) => {
        const bytes = readFileSync(path.join(folder, name));
        return [name, name.endsWith('.safetensors') ? bytes : bytes.toString()];
      }),
    ),
  );
}

/** Examples of every feature of three layers of 64, as makers host them: packed one after the other, with an index. */
function hostedExamples(): Record<string, Buffer> {
  const text = { examples_quantiles: [{ quantile_name: 'Top', examples: [hostedExample] }], top_logits: [] };
  const packed = gzipSync(JSON.stringify(text));
  const record = Buffer.concat([Buffer.alloc(4), packed]);
  record.writeUInt32LE(packed.length);
  const offsets = Array.from({ length: 65 }, (_, feature) => feature * record.length);
  const layers = [0, 1, 2].map((layer) => [String(layer), { filename: `layer_${layer}.bin`, offsets }]);
  const bytes = Buffer.concat(Array.from({ length: 64 }, () => record));
  return {
    'features/index.json.gz': gzipSync(JSON.stringify(Object.fromEntries(layers))),
    ...Object.fromEntries([0, 1, 2].map((layer) => [`features/layer_${layer}.bin`, bytes])),
  };
}

const hostedExample = { tokens: ['from ', 'the-hub'], tokens_acts_list: [0, 1], train_token_ind: 1 };

before(
  async () => {
    hub = await startHubServer();
    hub.repos.set('example/tiny-llama', repoOf(path.join(golden, 'model')));
    const sets = repoOf(path.join(golden, 'transcoders'));
    hub.repos.set('example/llama-sets', {
      ...sets,
      files: new Map([...sets.files, ...servedRepo(hostedExamples()).files]),
    });
    cache = await temporaryFolder();
    workbench = await Workbench.start({
      files: { 'prompts.md': `${prompt}\n` },
      environment: { HF_ENDPOINT: hub.endpoint, HF_HOME: cache.path },
    });
    const shards = path.join(workbench.workspace, 'shards');
    cpSync(path.join(golden, 'model'), path.join(workbench.workspace, 'own', 'model'), { recursive: true });
    cpSync(path.join(golden, 'transcoders'), path.join(workbench.workspace, 'own', 'transcoders'), { recursive: true });
    mkdirSync(shards);
    for (const name of ['config.json', 'tokenizer.json'])
      cpSync(path.join(golden, 'model', name), path.join(shards, name));
    cpSync(path.join(golden, 'model/model.safetensors'), path.join(shards, 'model-00001-of-00002.safetensors'));
    const weight_map = { a: 'model-00001-of-00002.safetensors', b: 'model-00002-of-00002.safetensors' };
    writeFileSync(path.join(shards, 'model.safetensors.index.json'), JSON.stringify({ weight_map }));
    await workbench.open({ openFile: 'prompts.md' });
    await workbench.viewContainer('Prompt Circuits').click();
  },
  { timeout: 180_000 },
);
after(async () => {
  await workbench?.stop();
  await hub?.[Symbol.asyncDispose]();
  await cache?.[Symbol.asyncDispose]();
});

const step = stepsIn(() => workbench, 240_000);

const modelsView = () =>
  workbench.page.locator('.pane', { has: workbench.page.locator('[aria-label^="Models Section"]') });
const row = (text: string | RegExp) => modelsView().locator('.monaco-list-row', { hasText: text });
const statusBar = (text: string | RegExp) => workbench.page.locator('.statusbar-item', { hasText: text });
const quickInput = () => workbench.page.locator('.quick-input-widget:visible input[type="text"]');
const pick = (text: string) => workbench.page.locator('.quick-input-list .monaco-list-row', { hasText: text }).first();
const dialogButton = (text: string) => workbench.page.locator('.monaco-dialog-box .monaco-button', { hasText: text });

/** A selected row keeps its buttons, also when the tree is drawn anew under the mouse. */
async function inline(label: string, text: string | RegExp): Promise<void> {
  await row(text).first().click();
  await row(text).first().hover();
  await row(text).first().locator(`a.action-label[aria-label^="${label}"]`).click();
}

/** Answers the folder dialog, which asks in a quick input here and may still be listing where it began. */
async function giveFolder(folder: string): Promise<void> {
  const title = workbench.page.locator('.quick-input-widget:visible .quick-input-title', {
    hasText: 'Choose the Folder',
  });
  await title.waitFor();
  for (let attempt = 0; attempt < 5 && (await title.isVisible()); attempt += 1) {
    await quickInput().fill(`${folder}/`);
    await workbench.page.locator('.quick-input-list .monaco-list-row', { hasText: '..' }).first().waitFor();
    await workbench.page.locator('.quick-input-widget .monaco-button', { hasText: 'Choose' }).click();
    await title.waitFor({ state: 'hidden', timeout: 5000 }).catch(() => {});
  }
}

/** Traces the prompt and sees the reference's probability of the most likely token. */
async function traceAndCheck(): Promise<void> {
  const { nodes } = JSON.parse(readFileSync(path.join(golden, 'graph.json'), 'utf8')) as {
    nodes: { readonly is_target_logit: boolean; readonly token_prob: number }[];
  };
  const best = nodes.find((node) => node.is_target_logit)?.token_prob ?? 0;
  const at = await workbench.selectText(prompt);
  await workbench.contextMenu(at, 'Trace Prompt');
  const panel = workbench.webview();
  await panel.locator('body', { hasText: 'The model would say' }).waitFor();
  await panel.locator('body', { hasText: `${Math.round(100 * best)} %` }).waitFor();
}

step('the Models view shows the built-in model in use and what can be had, with sizes', async () => {
  await workbench.page.locator('[aria-label^="Models Section"]').first().click();
  if (!(await row('Built-in Model').isVisible()))
    await workbench.page.locator('[aria-label^="Models Section"]').first().click();
  await row(/Built-in Model.*in use/).waitFor();
  await row('Available').click();
  await row(/Gemma 3 270M.*2\.1 GB/)
    .first()
    .waitFor();
  await workbench.shot('models');
  await row('Available').click();
});

step('a folder with one missing shard says which', async () => {
  await workbench.command('Prompt Circuits: Choose Model');
  await pick('From a Folder').click();
  await giveFolder(path.join(workbench.workspace, 'shards'));
  const notice = workbench.notification('model-00002-of-00002.safetensors');
  await notice.waitFor();
  await notice.hover();
  await workbench.shot('missing-shard');
  await notice.locator('a.codicon-notifications-clear').first().click();
});

step('a folder of a model and its transcoders is recognised, said, used, and traced with', async () => {
  await workbench.command('Prompt Circuits: Choose Model');
  await pick('From a Folder').click();
  await giveFolder(path.join(workbench.workspace, 'own'));
  await pick('transcoders').click();
  await workbench.notification(/3 layers, 48 thousand parameters.*Transcoders: per-layer, relu/).waitFor();
  await statusBar('model').waitFor();
  await row(/^model.*in use/).waitFor();
  await traceAndCheck();
  await row('Loaded').waitFor();
  await workbench.shot('own-folder');
});

step('a pair of the hub is downloaded with its progress, paused, there after a restart, and resumed', async () => {
  const cut = readFileSync(path.join(golden, 'model/model.safetensors')).length / 2;
  let release = () => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  let sayCut = () => {};
  const isCut = new Promise<void>((resolve) => {
    sayCut = resolve;
  });
  let reads = 0;
  hub.fault = async ({ kind }) => {
    if (kind !== 'signed') return null;
    reads += 1;
    if (reads === 1) return { cutAt: cut };
    sayCut();
    await held;
    return null;
  };
  await workbench.command('Prompt Circuits: Choose Model');
  await pick('From the Hub by Name').click();
  await quickInput().fill('example');
  await workbench.page.locator('.quick-input-message', { hasText: 'owner/name' }).waitFor();
  await quickInput().fill('example/tiny-llama');
  await quickInput().press('Enter');
  await workbench.page.locator('.quick-input-title', { hasText: 'Transcoder Set' }).waitFor();
  await quickInput().fill('example/llama-sets');
  await quickInput().press('Enter');
  await workbench.page.locator('.monaco-dialog-box', { hasText: 'Download 2' }).waitFor();
  await workbench.shot('download-question');
  await dialogButton('Download').click();
  await row(/example\/tiny-llama.* % of/).waitFor();
  await isCut;
  await inline('Pause', 'example/tiny-llama');
  await row(/example\/tiny-llama.*paused/).waitFor();
  await workbench.shot('download-paused');
  hub.fault = () => null;
  release();
  await workbench.open({ openFile: 'prompts.md' });
  await workbench.viewContainer('Prompt Circuits').click();
  await row(/example\/tiny-llama.*paused at 42 %/).waitFor();
  const asked = hub.seen.length;
  await inline('Resume', 'example/tiny-llama');
  const arrived = workbench.notification('example/tiny-llama is on this machine');
  await arrived.waitFor();
  const ranges = hub.seen.slice(asked).flatMap(({ headers }) => headers.range ?? []);
  assert.equal(ranges.length, 1, 'the cut file goes on where it was');
  await arrived.locator('.monaco-button', { hasText: 'Use It' }).click();
  await statusBar('example/tiny-llama').waitFor();
  await row(/example\/tiny-llama.*in use/).waitFor();
  await workbench.notification(/Transcoders: per-layer, relu/).waitFor();
  await traceAndCheck();
  await workbench.shot('downloaded');
});

step('the examples of a feature come from the hub, after a question and by range', async () => {
  const asked = hub.seen.length;
  await workbench
    .treeItem(/^Layer 0/)
    .first()
    .click();
  const feature = workbench.treeItem(/^L0 #\d+/).first();
  await feature.hover();
  await feature.locator('a.action-label[aria-label^="Open Feature Card"]').click();
  const question = workbench.notification('examples of these features are on the hub');
  await question.waitFor();
  assert.equal(hub.seen.length, asked, 'nothing is asked before the answer');
  await question.locator('.monaco-button', { hasText: 'Read' }).click();
  await workbench.webview().locator('body', { hasText: 'the-hub' }).waitFor();
  const ranges = hub.seen.slice(asked).filter(({ headers }) => headers.range !== undefined);
  assert.ok(ranges.length >= 1);
  await workbench.shot('hosted-examples');
});

step('a model behind terms asks for a token, which only the hub is told', async () => {
  hub.repos.set('example/gated', { ...repoOf(path.join(golden, 'model')), gate: 'hf_right' });
  const byName = () => workbench.page.locator('.quick-input-title:visible', { hasText: 'Model on the Hub' });
  const ask = async () => {
    // Typed, not clicked: a dialog that closes meanwhile takes the keyboard from the list, and the list with it.
    for (let tries = 0; !(await byName().isVisible()); tries++) {
      assert.ok(tries < 3, 'the hub’s models cannot be asked for by name');
      await workbench.command('Prompt Circuits: Choose Model');
      await quickInput().fill('From the Hub by Name');
      await workbench.page.keyboard.press('Enter');
      await byName()
        .waitFor({ timeout: 5000 })
        .catch(() => {});
    }
    await quickInput().fill('example/gated');
    await quickInput().press('Enter');
    await workbench.page.locator('.quick-input-title', { hasText: 'Transcoder Set' }).waitFor();
    await quickInput().press('Enter');
  };
  await ask();
  const notice = workbench.notification('terms must be accepted');
  await notice.waitFor();
  await notice.locator('.monaco-button', { hasText: 'Set Access Token' }).click();
  await workbench.page.locator('.quick-input-title', { hasText: 'Hub Access Token' }).waitFor();
  await workbench.page.locator('.quick-input-widget:visible input').first().fill('hf_right');
  await workbench.page.keyboard.press('Enter');
  await workbench.notification('The token is kept').waitFor();
  await ask();
  await dialogButton('Download').click();
  await workbench.notification('example/gated is on this machine').waitFor();
  const told = hub.seen.filter(({ headers }) => headers.authorization !== undefined);
  assert.ok(
    told.length > 0 &&
      told.every(({ kind, headers }) => kind !== 'signed' && headers.authorization === 'Bearer hf_right'),
  );
  assert.ok(!workbench.output().includes('hf_right'), 'the log holds no token');
});

step('a downloaded model is deleted after a question, and the built-in one is used again', async () => {
  await row('example/gated').waitFor();
  await inline('Use Model', 'Built-in Model');
  await row(/Built-in Model.*in use/).waitFor();
  await inline('Delete Model', 'example/gated');
  await dialogButton('Delete').click();
  await row('example/gated').waitFor({ state: 'detached' });
  assert.ok(!existsSync(path.join(cache.path, 'hub/models--example--gated')));
  assert.ok(existsSync(path.join(cache.path, 'hub/models--example--tiny-llama')));
  assert.deepEqual(workbench.external, []);
});
