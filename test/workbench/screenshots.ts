// Takes the README's pictures from the packaged extension in a real workbench, into media/screenshots:
//   npm run package && node test/workbench/screenshots.ts   (Node 22.18 or newer)
import { mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { Workbench } from './harness.ts';
import { root } from './setup.mjs';

const folder = path.join(root, 'media/screenshots');
const dallas = 'The capital of the state containing Dallas is';

async function picture(theme: string, name: string, steps: (workbench: Workbench) => Promise<void>): Promise<void> {
  await using workbench = await Workbench.start({
    files: { 'two-steps.md': readFileSync(path.join(root, 'media/built-in-model/prompts/two-steps.md')) },
    settings: { 'workbench.colorTheme': theme, 'editor.wordWrap': 'on', 'editor.renderWhitespace': 'none' },
    viewport: { width: 1600, height: 1000 },
  });
  await workbench.open({ openFile: 'two-steps.md' });
  const at = await workbench.selectText(dallas);
  await workbench.contextMenu(at, 'Trace Prompt');
  const panel = workbench.webview();
  await panel.getByText('“Austin”', { exact: true }).first().waitFor({ timeout: 60_000 });
  await panel.locator('.invitation [aria-label^="No tour"]').click();
  await workbench.viewContainer('Prompt Circuits').click();
  await steps(workbench);
  await panel.locator('body').evaluate(() => (window as unknown as { whenIdle: () => Promise<void> }).whenIdle());
  await workbench.page.screenshot({ path: path.join(folder, `${name}.png`) });
  console.log(`media/screenshots/${name}.png`);
}

mkdirSync(folder, { recursive: true });
await picture('Default Dark Modern', 'trace', async () => {});
await picture('Default Light Modern', 'feature', async (workbench) => {
  await workbench.treeItem(/^Layer 1/).click();
  await workbench.treeItem(/Texas/).first().click();
  const panel = workbench.webview();
  await panel.locator('.node-details .quantile').first().waitFor();
  // All of the width for the graph and its card, and all of the height for the card.
  await panel.locator('.node-details').click({ position: { x: 2, y: 2 } });
  await workbench.command('View: Toggle Maximize Editor Group');
  await panel.getByLabel('Show less of the summary').click();
  await panel.locator('.example mark').first().waitFor();
});
