import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before } from 'node:test';
import { readGraph } from '../../src/graph/readGraph.ts';
import { stepsIn, Workbench } from './harness.ts';

const golden = path.resolve(import.meta.dirname, '../fixtures/goldens/llama-plt-relu/graph.json');
let workbench: Workbench;

before(
  async () => {
    const files = { 'llama.circuit.json': readFileSync(golden), 'broken.circuit.json': '{"nodes": [' };
    workbench = await Workbench.start({ files });
    await workbench.open();
    // Until the workbench has read all that extensions bring, a double-click opens the file as text.
    await workbench.page.locator('.statusbar-item', { hasText: 'Built-in Model' }).waitFor();
  },
  { timeout: 180_000 },
);
after(async () => {
  await workbench?.stop();
});

const step = stepsIn(() => workbench);

const inExplorer = (name: string) =>
  workbench.page.locator('.explorer-folders-view .monaco-list-row', { hasText: name });
const tab = (name: string) => workbench.page.locator('.tab', { hasText: name });
const savedView = () =>
  readGraph(readFileSync(path.join(workbench.workspace, 'llama.circuit.json'), 'utf8')).graph.view;

step('a double-click opens a graph of circuit-tracer with its nodes, and its features in the tree', async () => {
  const { graph } = readGraph(readFileSync(golden, 'utf8'));
  await inExplorer('llama.circuit.json').dblclick();
  const panel = workbench.webview();
  await panel.getByText('Node', { exact: true }).first().waitFor();
  const target = graph.nodes.find((node) => node.isTarget);
  assert.ok(target !== undefined);
  await panel
    .getByText(`${graph.nodes.filter((node) => node.kind === 'feature').length} features`)
    .first()
    .waitFor();
  await workbench.viewContainer('Prompt Circuits').click();
  const layers = new Set(graph.nodes.filter((node) => node.kind === 'feature').map((node) => node.layer));
  for (const layer of layers) await workbench.treeItem(`Layer ${layer}`).waitFor();
  await workbench.shot('circuit-file');
});

step('a pin makes the file dirty, undo takes it back, redo and save write it', async () => {
  const { nodes } = readGraph(readFileSync(golden, 'utf8')).graph;
  const layer = nodes.find((node) => node.kind === 'feature')?.layer;
  await workbench.treeItem(`Layer ${layer}`).click();
  const row = workbench.treeItem(/^L\d+ #\d+/).first();
  await row.click();
  await row.hover();
  await row.locator('a.action-label[aria-label^="Pin Feature"]').click();
  await workbench.page.locator('.tab.dirty', { hasText: 'llama.circuit.json' }).waitFor();
  await tab('llama.circuit.json').click();
  await workbench.webviewHasFocus();
  await workbench.page.keyboard.press('Control+Z');
  await workbench.page.locator('.tab:not(.dirty)', { hasText: 'llama.circuit.json' }).waitFor();
  // The workbench refuses a redo while its undo is still running, which no sign on screen tells.
  const dirty = workbench.page.locator('.tab.dirty', { hasText: 'llama.circuit.json' });
  for (let tries = 0; tries < 10 && (await dirty.count()) === 0; tries++) {
    await workbench.page.keyboard.press('Control+Y');
    await dirty.waitFor({ timeout: 2000 }).catch(() => {});
  }
  await dirty.waitFor();
  await workbench.page.keyboard.press('Control+S');
  await workbench.page.locator('.tab:not(.dirty)', { hasText: 'llama.circuit.json' }).waitFor();
  assert.equal(savedView().pinned.length, 1);
  const before = readGraph(readFileSync(golden, 'utf8')).graph;
  const after = readGraph(readFileSync(path.join(workbench.workspace, 'llama.circuit.json'), 'utf8')).graph;
  assert.deepEqual(after.nodes, before.nodes);
  assert.deepEqual(after.edges.weight, before.edges.weight);
});

step('a name that is being typed stays when the mouse goes elsewhere for a moment', async () => {
  await workbench
    .treeItem(/^L\d+ #\d+/)
    .first()
    .click();
  await workbench.command('Prompt Circuits: Rename Feature');
  const input = workbench.page.locator('.quick-input-widget input[type="text"]');
  await workbench.page.locator('.quick-input-title', { hasText: 'Rename' }).waitFor();
  await input.fill('half a na');
  await workbench.webview().locator('.story').click();
  await workbench.webviewHasFocus();
  assert.equal(await input.inputValue(), 'half a na');
  await input.press('End');
  await input.pressSequentially('me');
  await workbench.page.keyboard.press('Enter');
  await workbench.treeItem('half a name').waitFor();
});

step('a broken file says what is wrong with it', async () => {
  await workbench.page.locator('.activitybar .action-item a[aria-label^="Explorer"]').click();
  await inExplorer('broken.circuit.json').dblclick();
  await workbench.webview().getByText('The graph file is not JSON that can be read').first().waitFor();
  await workbench.shot('broken-file');
});
