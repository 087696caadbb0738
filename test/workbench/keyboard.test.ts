import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, type TestContext, test } from 'node:test';
import { readGraph } from '../../src/graph/readGraph.ts';
import { Workbench } from './harness.ts';

const dallas = 'The capital of the state containing Dallas is';
let workbench: Workbench;

before(
  async () => {
    workbench = await Workbench.start({ files: { 'prompts.md': `${dallas}\n` } });
    await workbench.open({ openFile: 'prompts.md' });
  },
  { timeout: 180_000 },
);
after(async () => {
  await workbench?.stop();
});

/** Runs a command by keys alone. */
async function palette(title: string): Promise<void> {
  await workbench.page.keyboard.press('F1');
  await workbench.page.locator('.quick-input-widget input[type="text"]').waitFor();
  await workbench.page.keyboard.insertText(title);
  await workbench.page.locator('.quick-input-list .monaco-list-row.focused', { hasText: title }).waitFor();
  await workbench.page.keyboard.press('Enter');
}

const quickTitle = (text: string | RegExp) => workbench.page.locator('.quick-input-title', { hasText: text });

test('a whole session by keyboard: trace, find the Texas features, group, name, look inside, export', {
  timeout: 180_000,
}, async (context: TestContext) => {
  const { keyboard } = workbench.page;
  try {
    // No mouse from here on. The editor has the focus when its file was opened with the window.
    await palette('View: Focus Active Editor Group');
    await keyboard.press('Control+Home');
    await keyboard.press('Shift+End');
    await keyboard.press('Control+Alt+G');
    await workbench.webview().getByText('“Austin”', { exact: true }).first().waitFor();

    await palette('Prompt Circuits: Group Features as Supernode');
    await quickTitle('Group Features').waitFor();
    await keyboard.insertText('Texas');
    await workbench.page.locator('.quick-input-list .monaco-list-row', { hasText: 'Texas' }).first().waitFor();
    await keyboard.press('Shift+Tab');
    await keyboard.press('Space');
    await workbench.page.locator('.quick-input-count', { hasText: /[1-9]\d* Selected/ }).waitFor();
    await keyboard.press('Tab');
    await keyboard.press('Enter');
    await quickTitle(/Name of the Group of \d+/).waitFor();
    await keyboard.press('Control+A');
    await keyboard.insertText('say Austin');
    await keyboard.press('Enter');
    await workbench.webview().getByText('say Austin').first().waitFor();

    await palette('Prompt Circuits: Group Features By');
    await quickTitle('Group Features By').waitFor();
    await keyboard.press('Enter');
    await palette('Prompt Circuits: Focus on Features View');
    await workbench.treeItem('say Austin').waitFor();
    await workbench.shot('keyboard-group');

    await palette('Prompt Circuits: Search Features');
    await quickTitle('Search Features').waitFor();
    await keyboard.insertText('Dallas');
    await workbench.page.locator('.quick-input-list .monaco-list-row.focused', { hasText: 'Dallas' }).waitFor();
    await keyboard.press('Enter');
    await workbench
      .webview()
      .getByText(/Feature \d+ · layer \d+ · /)
      .first()
      .waitFor();

    await palette('Prompt Circuits: Inspect Activations');
    await quickTitle('Inspect Activations').waitFor();
    await keyboard.press('Enter');
    const answer = workbench.webview().locator('.layers-table tr:has(td[data-layer="3"]) td').last();
    await answer.waitFor();
    assert.equal(await answer.innerText(), '·Austin');
    await workbench.shot('activations');

    await palette('Prompt Circuits: Export Graph');
    await quickTitle('Export').waitFor();
    await keyboard.insertText('circuit-tracer');
    await workbench.page.locator('.quick-input-list .monaco-list-row.focused', { hasText: 'circuit-tracer' }).waitFor();
    await keyboard.press('Enter');
    await workbench.page.locator('.quick-input-widget .monaco-button', { hasText: 'OK' }).waitFor();
    await keyboard.press('Enter');
    await workbench.notification(/Saved .*\.json/).waitFor();
    const [saved] = readdirSync(workbench.workspace).filter((name) => name.endsWith('.json'));
    const { graph } = readGraph(readFileSync(path.join(workbench.workspace, saved), 'utf8'));
    const [group] = graph.view.supernodes;
    assert.equal(group.label, 'say Austin');
    const labels = group.members.map((id) => graph.nodes.find((node) => node.id === id)?.label);
    assert.ok(labels.length > 1 && labels.every((label) => label?.includes('Texas')), String(labels));
    assert.doesNotMatch(workbench.output(), /\[error\]/);
  } catch (error) {
    await workbench.shot(`failed-${context.name.slice(0, 30).replace(/\W+/g, '-')}`);
    context.diagnostic(workbench.output());
    throw error;
  }
});
