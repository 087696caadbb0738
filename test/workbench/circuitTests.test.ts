import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before } from 'node:test';
import { readAssertionFile } from '../../src/graph/assertionFile.ts';
import { stepsIn, Workbench } from './harness.ts';

const prompt = 'The capital of the state containing Dallas is';
const tests = [
  { name: 'Dallas leads to Austin', prompt, expect: [{ topToken: ' Austin' }, { score: 'replacement', atLeast: 0.5 }] },
  { name: 'Dallas leads to Boston', prompt, expect: [{ topToken: ' Boston' }] },
];
let workbench: Workbench;

before(
  async () => {
    const files = {
      'prompt.md': `${prompt}\n`,
      'dallas.circuit-test.json': JSON.stringify({ version: 1, tests }, null, 2),
      'broken.circuit-test.json':
        '{"version": 1, "tests": [{"name": "x", "prompt": "x", "expect": [{"topTokn": "x"}]}]}',
    };
    workbench = await Workbench.start({ files });
    await workbench.open({ openFile: 'dallas.circuit-test.json' });
  },
  { timeout: 180_000 },
);
after(async () => {
  await workbench?.stop();
});

const step = stepsIn(() => workbench, 180_000);

const inTestingView = (label: RegExp) => workbench.page.locator('.test-explorer .monaco-list-row', { hasText: label });

step('the Testing view runs the tests of a file: one passes, one fails with what the model says', async () => {
  await workbench.viewContainer('Testing').click();
  await inTestingView(/dallas\.circuit-test\.json/).waitFor();
  await workbench.command('Test: Run All Tests');
  const failed = workbench.page.locator('.test-explorer .codicon-testing-failed-icon').first();
  await failed.waitFor();
  await workbench.shot('testing-view');
  const rows = await workbench.page.locator('.test-explorer .monaco-list-row').allTextContents();
  assert.ok(
    rows.some((row) => row.includes('dallas.circuit-test.json')),
    rows.join('\n'),
  );
  // The message stands at its statement in the file.
  await workbench.page.getByText('The most likely token is " Austin"').first().waitFor();
});

step('a file that cannot be read says why in the Testing view', async () => {
  const row = inTestingView(/broken\.circuit-test\.json/);
  // Opened, the file says below itself where in it the fault is.
  await row.click();
  if ((await row.getAttribute('aria-expanded')) === 'false') await workbench.page.keyboard.press('ArrowRight');
  await workbench.page.getByText('must have one of topToken').first().waitFor();
});

step('a trace becomes a file of circuit tests, which the Testing view lists and runs', async () => {
  await workbench.page.locator('.activitybar .action-item a[aria-label^="Explorer"]').click();
  await workbench.page.locator('.explorer-folders-view .monaco-list-row', { hasText: 'prompt.md' }).dblclick();
  await workbench.contextMenu(await workbench.selectText(prompt), 'Trace Prompt');
  await workbench.webview().getByText('“Austin”', { exact: true }).first().waitFor();
  await workbench.command('Prompt Circuits: Create Circuit Test');
  // The save dialog stands in the same box as the palette before it, and takes Enter only when its files are listed.
  const dialog = workbench.page.locator('.quick-input-widget', { hasText: 'Create Circuit Test' });
  await dialog.locator('.monaco-list-row', { hasText: 'dallas.circuit-test.json' }).waitFor();
  await dialog.locator('.monaco-button', { hasText: 'OK' }).click();
  await workbench.page.locator('.tab.active', { hasText: '.circuit-test.json' }).waitFor();
  const names = readdirSync(workbench.workspace).filter((name) => name.endsWith('.circuit-test.json'));
  const made = names.find((name) => name !== 'dallas.circuit-test.json' && name !== 'broken.circuit-test.json');
  assert.ok(made !== undefined, names.join(' '));
  const [first] = readAssertionFile(readFileSync(path.join(workbench.workspace, made), 'utf8')).tests;
  assert.deepEqual(first.prompt, { type: 'text', text: prompt });
  assert.ok(first.statements.length >= 2);
  assert.match(made, /^[\w-]+\.circuit-test\.json$/);
  await workbench.command('Testing: Focus on Test Explorer View');
  await inTestingView(new RegExp(made.replaceAll('.', '\\.'))).waitFor();
  await workbench.shot('circuit-test-of-a-trace');
});
