import assert from 'node:assert/strict';
import { after, before, type TestContext, test } from 'node:test';
import { Workbench } from './harness.ts';

const prompt = 'The capital of the state containing Dallas is';
const tests = [
  { name: 'Dallas leads to Austin', prompt, expect: [{ topToken: ' Austin' }, { score: 'replacement', atLeast: 0.5 }] },
  { name: 'Dallas leads to Boston', prompt, expect: [{ topToken: ' Boston' }] },
];
let workbench: Workbench;

before(
  async () => {
    const files = {
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

/** A test that leaves a picture of the workbench when it fails. */
function step(name: string, run: (context: TestContext) => Promise<void>): void {
  test(name, { timeout: 120_000 }, async (context) => {
    try {
      await run(context);
    } catch (error) {
      await workbench.shot(`failed-${name.replace(/\W+/g, '-')}`);
      throw error;
    }
  });
}

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
  await inTestingView(/broken\.circuit-test\.json/).waitFor();
  await inTestingView(/The circuit test cannot be read: tests\[0\]/).waitFor();
  // Run with the others, it fails with the same reason.
  await workbench.page.getByText('must have one of topToken').first().waitFor();
});
