import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import type { GraphNode } from '../../src/graph/node.ts';
import { readGraph } from '../../src/graph/readGraph.ts';
import { stepsIn, Workbench } from './harness.ts';

const dallas = 'The capital of the state containing Dallas is';
const japan = 'The currency of Japan is the';
const cell = { cell_type: 'code', execution_count: null, metadata: {}, outputs: [] };
const notebook = JSON.stringify({
  cells: [
    { ...cell, source: ['english = "The opposite of small is"'] },
    { ...cell, source: ['france = "The capital of France is"'] },
  ],
  metadata: { language_info: { name: 'python' } },
  nbformat: 4,
  nbformat_minor: 4,
});
let workbench: Workbench;

before(
  async () => {
    const python = `ask("${'The capital of the state containing {city} is'}")\n`;
    const lens = 'SYSTEM_PROMPT = "The capital of Italy is"\nOTHER = "no prompt, just some words"\n';
    workbench = await Workbench.start({
      files: {
        'prompts.md': `# Prompts\n\n${dallas}\n\n${japan}\n`,
        'ask.py': python,
        'cells.ipynb': notebook,
        'lens.py': lens,
      },
    });
    await workbench.open({ openFile: 'prompts.md' });
    await workbench.browserIsUp();
  },
  { timeout: 180_000 },
);
after(async () => {
  await workbench?.stop();
});

const step = stepsIn(() => workbench);

/** The graphs that the extension keeps on disk, newest first. */
function keptGraphs() {
  const files = readdirSync(path.join(workbench.folder, 'user'), { recursive: true, encoding: 'utf8' });
  const own = files.filter((file) => /traces\/[\w-]+\.circuit\.json$/.test(file)).sort((a, b) => b.localeCompare(a));
  return own.map((file) => readGraph(readFileSync(path.join(workbench.folder, 'user', file), 'utf8')).graph);
}

function mostInfluential(nodes: readonly GraphNode[]): GraphNode {
  const features = nodes.filter((node) => node.kind === 'feature');
  return features.reduce((a, b) => ((b.influence ?? 2) < (a.influence ?? 2) ? b : a));
}

/** Where a node is drawn, on the workbench's page. */
async function placeOf(node: GraphNode): Promise<{ x: number; y: number }> {
  const body = workbench.webview().locator('body');
  const box = await body.boundingBox();
  const place = await body.evaluate((_, id) => window.placeOfNode(id), node.id as string);
  assert.ok(box !== null && place !== null, `node ${node.id} is not drawn`);
  return { x: box.x + place.x, y: box.y + place.y };
}

async function whenIdle(): Promise<void> {
  await workbench
    .webview()
    .locator('body')
    .evaluate(() => window.whenIdle());
}

declare global {
  interface Window {
    whenIdle: () => Promise<void>;
    placeOfNode: (id: string) => { x: number; y: number } | null;
  }
}

step('right-click, Trace Prompt: the graph opens beside the text and says Austin', async (context) => {
  const at = await workbench.selectText(dallas);
  const started = performance.now();
  await workbench.contextMenu(at, 'Trace Prompt');
  await workbench.webview().getByText('“Austin”', { exact: true }).first().waitFor();
  await whenIdle();
  context.diagnostic(`cold: ${Math.round(performance.now() - started)} ms from the right-click to the drawn graph`);
  const [graph] = keptGraphs();
  assert.equal(graph.metadata.prompt, dallas);
  assert.deepEqual(graph.metadata.promptTokens.slice(-2), [' Dallas', ' is']);
  const [answer] = graph.nodes.filter((node) => node.kind === 'logit' && node.isTarget);
  assert.match(answer.label, /Austin/);
  assert.ok((answer.probability ?? 0) > 0.9);
  assert.ok(graph.nodes.some((node) => node.kind === 'feature' && graph.metadata.promptTokens[node.pos] === ' Dallas'));
  assert.ok((graph.metadata.scores?.replacement ?? 0) > 0.8);
  await workbench.shot('trace');
});

step(
  'the feature tree lists the graph by layer; a row selects the node, its card and its token in the text',
  async () => {
    await workbench.viewContainer('Prompt Circuits').click();
    const [graph] = keptGraphs();
    const node = mostInfluential(graph.nodes);
    await workbench.treeItem(`Layer ${node.layer}`).click();
    const label = node.label.slice(0, 20);
    await workbench.treeItem(label).first().click();
    const panel = workbench.webview();
    await panel.getByText(`Feature ${node.feature} · layer ${node.layer} · `).waitFor();
    await panel.getByText(node.label).first().waitFor();
    const token = graph.metadata.promptTokens[node.pos].trim();
    const decorated = workbench.page.locator('.view-overlays [class*="ced-"]');
    await decorated.first().waitFor();
    assert.ok(token.length > 0);
    await workbench.shot('feature-tree');
  },
);

step('a click on a node in the graph selects its row in the tree', async () => {
  const [graph] = keptGraphs();
  const first = mostInfluential(graph.nodes);
  const node = mostInfluential(graph.nodes.filter(({ layer }) => layer !== first.layer));
  const at = await placeOf(node);
  await workbench.page.mouse.click(at.x, at.y);
  await workbench.webview().getByText(`Feature ${node.feature} · layer ${node.layer} · `).waitFor();
  const selected = workbench.page.locator('.pane-body .monaco-list-row.selected', { hasText: node.label.slice(0, 20) });
  await selected.waitFor();
});

step('words that are selected in the text are the columns that the graph shows', async () => {
  const chosen = workbench.webview().locator('.prompt-token.chosen');
  // A drag on what is selected would move it.
  await workbench.clickText(japan);
  await workbench.selectText('Dallas');
  await chosen.first().waitFor();
  assert.deepEqual(await chosen.allInnerTexts(), ['·Dallas']);
  await workbench.clickText(japan);
  await chosen.first().waitFor({ state: 'detached' });
});

step('the layers show how the answer comes about, and lead to the features of a token', async () => {
  await workbench.command('Prompt Circuits: Inspect Activations');
  await workbench.page.locator('.quick-input-list .monaco-list-row', { hasText: '·is' }).first().click();
  const panel = workbench.webview();
  const last = keptGraphs()[0].metadata.promptTokens.length - 1;
  const cell = (layer: number) => panel.locator(`.layers-table td[data-pos="${last}"][data-layer="${layer}"]`);
  await cell(3).waitFor();
  assert.equal(await cell(3).innerText(), '·Austin');
  assert.notEqual(await cell(0).innerText(), '·Austin');
  // The strongest of the answer's layer may be too weak for the graph; one that is in it leads to its node.
  await cell(1).click();
  const feature = panel.locator('.layer-features button:enabled').first();
  const number = (await feature.locator('.connection-token').innerText()).slice(1);
  await feature.click();
  await panel.getByText(`Feature ${number} · layer 1 · `).waitFor();
  await workbench.shot('layers');
  await panel.getByRole('radio', { name: 'Graph' }).click();
});

step('examples are found in files of the workspace, and the card says in which', async () => {
  await workbench.command('Prompt Circuits: Find Feature Examples');
  await workbench.page.locator('.quick-input-list .monaco-list-row', { hasText: 'This Workspace' }).click();
  const panel = workbench.webview();
  await panel.getByText(/^Computed from 4 files of your workspace, \d+ tokens/).waitFor();
  assert.ok((await panel.locator('.example mark').count()) > 0);
  await workbench.shot('own-text');
});

step('pinning a feature in the tree reaches the graph and the file', async () => {
  const row = workbench.page.locator('.pane-body .monaco-list-row.selected', { hasText: '%' }).first();
  await row.hover();
  await row.locator('a.action-label[aria-label^="Pin Feature"]').click();
  await row.locator('.codicon-pinned').first().waitFor();
  // The file is written a moment later.
  for (let tries = 0; keptGraphs()[0].view.pinned.length === 0; tries++) {
    assert.ok(tries < 100, 'the pin was not written');
    await workbench.page.waitForTimeout(50);
  }
  assert.equal(keptGraphs()[0].view.pinned.length, 1);
});

step('ablating the features of the tree says what the model answers without them', async () => {
  const row = workbench.page.locator('.pane-body .monaco-list-row.selected', { hasText: '%' }).first();
  await row.hover();
  await row.locator('a.action-label[aria-label^="Ablate Feature"]').click();
  await workbench.notification(/Without .*“Austin” .* →/).waitFor();
});

step(
  'a second trace is warm: the log has its phases, and the extension host did not stop for long',
  async (context) => {
    const at = await workbench.selectText(japan);
    const started = performance.now();
    await workbench.contextMenu(at, 'Trace Prompt');
    await workbench.webview().getByText('“yen”', { exact: true }).first().waitFor();
    await whenIdle();
    context.diagnostic(`warm: ${Math.round(performance.now() - started)} ms from the right-click to the drawn graph`);
    const log = workbench.output();
    const traced = [...log.matchAll(/traced .* ms: .* host \d+ ms, own work at most (\d+) ms at a time/g)];
    assert.equal(traced.length, 2);
    for (const [line, ownWork] of traced) {
      context.diagnostic(line);
      // Processor time, not the clock: how long the host waited for a processor depends on what else runs here.
      assert.ok(Number(ownWork) < 50, line);
    }
    assert.match(log, /phases: load model .*, forward .*, direct effects /);
    assert.equal([...log.matchAll(/engine: loaded /g)].length, 1);
    const [graph] = keptGraphs();
    assert.match(graph.nodes.find((node) => node.isTarget)?.label ?? '', /yen/);
  },
);

step('the history lists both traces with their answers and opens the older one', async () => {
  await workbench
    .treeItem(/Dallas is/)
    .filter({ hasText: 'Austin' })
    .waitFor();
  await workbench
    .treeItem(/Japan is the/)
    .filter({ hasText: 'yen' })
    .waitFor();
  await workbench
    .treeItem(/Dallas is/)
    .filter({ hasText: 'Austin' })
    .click();
  await workbench.webview().getByText('“Austin”', { exact: true }).first().waitFor();
});

step('a hidden panel comes back with its graph', async () => {
  const tab = workbench.page.locator('.tab', { hasText: 'Dallas is' });
  await workbench.command('View: New Untitled Text File'.replace('View: ', 'File: '));
  await workbench.page.locator('.editor-group-container.active .tab.active', { hasText: 'Untitled' }).waitFor();
  await workbench.page.locator('.tab', { hasText: 'Untitled' }).waitFor();
  await tab.click();
  await workbench.webview().getByText('“Austin”', { exact: true }).first().waitFor();
});

step('after Reload Window the panel, the pin and the history are there', async () => {
  await workbench.reload();
  await workbench.webview().getByText('“Austin”', { exact: true }).first().waitFor();
  await workbench.command('Prompt Circuits: Focus on Traces View');
  await workbench
    .treeItem(/Japan is the/)
    .filter({ hasText: 'yen' })
    .waitFor();
  const graph = keptGraphs().find(({ view }) => view.pinned.length > 0);
  const pinned = graph?.nodes.find(({ id }) => id === graph.view.pinned[0]);
  await workbench.treeItem(`Layer ${pinned?.layer}`).click();
  await workbench.page.locator('.pane-body .monaco-list-row .codicon-pinned').first().waitFor();
  await workbench.shot('after-reload');
});

step('without a selection the string around the cursor is traced, its placeholder asked for', async () => {
  await workbench.clickText(japan);
  await workbench.page.keyboard.press('Control+P');
  const input = workbench.page.locator('.quick-input-widget input[type="text"]');
  await input.fill('ask.py');
  await workbench.page.locator('.quick-input-list .monaco-list-row', { hasText: 'ask.py' }).first().click();
  // It lies over the first line until it is gone.
  await workbench.page.locator('.quick-input-widget').waitFor({ state: 'hidden' });
  // A click while the editor is still opening puts the cursor at the start of the line.
  const inString = workbench.page.locator('.statusbar-item', { hasText: /^Ln 1, Col (?!1$)\d+$/ });
  for (let tries = 0; tries === 0 || (tries < 3 && (await inString.count()) === 0); tries++) {
    await workbench.clickText('{city}');
    await inString.waitFor({ timeout: 3000 }).catch(() => {});
  }
  await inString.waitFor();
  await workbench.page.keyboard.press('Control+Alt+G');
  await workbench.page.locator('.quick-input-title', { hasText: 'Value for city' }).waitFor();
  await input.fill('Oakland');
  await workbench.page.keyboard.press('Enter');
  await workbench.webview().getByText('“Sacramento”', { exact: true }).first().waitFor();
  assert.equal(keptGraphs()[0].metadata.prompt, 'The capital of the state containing Oakland is');
  await workbench.shot('placeholder');
});

/** Groups the features of the graph on screen whose labels hold a word. */
async function groupByLabel(word: string): Promise<void> {
  await workbench.command('Prompt Circuits: Group Features as Supernode');
  const widget = workbench.page.locator('.quick-input-widget');
  await widget.locator('.quick-input-title', { hasText: 'Group Features' }).waitFor();
  await widget.locator('input[type="text"]').fill(word);
  await widget.locator('.monaco-list-row', { hasText: word }).first().waitFor();
  await widget.getByRole('checkbox').first().click();
  await widget.locator('.quick-input-count', { hasText: /[1-9]\d* Selected/ }).waitFor();
  await widget.locator('.monaco-button', { hasText: 'OK' }).click();
  await widget.locator('.quick-input-title', { hasText: 'Name of the Group' }).waitFor();
  await widget.locator('input[type="text"]').fill(`the ${word} group`);
  await workbench.page.keyboard.press('Enter');
  await workbench.webview().getByText(`the ${word} group`).first().waitFor();
}

step('the Texas group turned off and the California group on, by mouse, move the answer to Sacramento', async () => {
  const inDialog = (text: string | RegExp) =>
    workbench.page.locator('.quick-input-list .monaco-list-row', { hasText: text }).first();
  await workbench.command('Prompt Circuits: Focus on Traces View');
  await workbench.treeItem(/Oakland is/).waitFor();
  await groupByLabel('California');
  await workbench
    .treeItem(/Dallas is/)
    .filter({ hasText: 'Austin' })
    .click();
  await workbench.webview().getByText('“Austin”', { exact: true }).first().waitFor();
  await groupByLabel('Texas');
  await workbench.webview().locator('.box', { hasText: 'the Texas group' }).first().hover();
  await workbench.webview().getByLabel('Change these features and run again').first().click();
  await workbench.command('Prompt Circuits: Focus on Interventions View');
  const side = workbench.sideView();
  await side.getByText('From another trace…').click();
  await inDialog(/Oakland is/).click();
  await inDialog('the California group').click();
  const slider = side.getByLabel(/^Strength of the California group/);
  const track = await slider.boundingBox();
  assert.ok(track !== null);
  await slider.click({ position: { x: 0.8 * track.width, y: track.height / 2 } });
  await side.getByText('Run', { exact: true }).click();
  // One state: what was made in the side bar stands in the panel, and both show what came of it.
  for (const view of [side, workbench.webview()]) {
    await view.locator('.outcome-headline strong', { hasText: 'Sacramento' }).waitFor();
    assert.equal(await view.locator('.edit').count(), 2);
  }
  await side.getByLabel('Keep these edits under a name').click();
  await side.locator('.set-name input').fill('Texas to California');
  await side.getByLabel('Keep under this name').click();
  const kept = workbench.webview().locator('.set-list vscode-option', { hasText: 'Texas to California' });
  await kept.first().waitFor({ state: 'attached' });
  await workbench.shot('interventions');
  for (let tries = 0; !keptGraphs().some((graph) => graph.interventions?.sets.length === 1); tries++) {
    assert.ok(tries < 100, 'the set of edits was not written');
    await workbench.page.waitForTimeout(50);
  }
});

step('the lens above a prompt in a program traces it', async () => {
  await workbench.clickText('ask(');
  await workbench.page.keyboard.press('Control+P');
  await workbench.page.locator('.quick-input-widget input[type="text"]').fill('lens.py');
  await workbench.page.locator('.quick-input-list .monaco-list-row', { hasText: 'lens.py' }).first().click();
  await workbench.page.locator('.codelens-decoration a', { hasText: 'Trace Prompt' }).click();
  await workbench.webview().getByText('“Rome”', { exact: true }).first().waitFor();
  assert.equal(keptGraphs()[0].metadata.prompt, 'The capital of Italy is');
});

step('a notebook cell is traced from its toolbar', async () => {
  await workbench.clickText('OTHER');
  await workbench.page.keyboard.press('Control+P');
  await workbench.page.locator('.quick-input-widget input[type="text"]').fill('cells.ipynb');
  await workbench.page.locator('.quick-input-list .monaco-list-row', { hasText: 'cells.ipynb' }).first().click();
  const cell = workbench.page.locator('.cell-list-container .monaco-list-row', { hasText: 'France' });
  await cell.locator('.view-line').first().click();
  await cell.locator('a.action-label[aria-label^="Trace Prompt in Cell"]').first().click();
  await workbench.webview().getByText('“Paris”', { exact: true }).first().waitFor();
  assert.equal(keptGraphs()[0].metadata.prompt, 'The capital of France is');
  await workbench.shot('notebook');
});

step('two traces are compared in one picture that says what only one of them has', async () => {
  await workbench.command('Prompt Circuits: Compare With');
  await workbench.page.locator('.quick-input-list .monaco-list-row', { hasText: 'Dallas is' }).first().click();
  // It opens where the text was, beside the graph.
  const comparison = await workbench.webviewCalled(' | ');
  await comparison.getByText('only France').first().waitFor();
  await comparison.getByText('only Dallas').first().waitFor();
  assert.match(await comparison.locator('.compared-side').nth(0).innerText(), /“Paris”/);
  assert.match(await comparison.locator('.compared-side').nth(1).innerText(), /“Austin”/);
  await workbench.shot('comparison');
});

test('nothing went wrong unseen', () => {
  assert.doesNotMatch(workbench.output(), /\[error\]/);
});

test('nothing asked for the internet', () => {
  assert.deepEqual(workbench.external, []);
});
