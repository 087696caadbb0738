import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Browser } from 'playwright-core';
import { readGraphBytes } from '../../src/graph/readGraph.ts';
import { largeGraphFile, nLargeFeatures } from '../support/largeGraphFile.ts';
import { launch, picture } from './browser.ts';
import { openLargeGraph } from './largeGraph.ts';

let browser: Browser;
before(async () => {
  browser = await launch();
});
after(() => browser.close());

test('a graph of 60 MB comes in parts, is prepared in slices and is drawn', async (t) => {
  const { graph } = readGraphBytes(largeGraphFile());
  const { page, opening } = await openLargeGraph(browser, graph);
  t.diagnostic(
    `drawn ${(opening.untilDrawn / 1000).toFixed(1)} s after the first of ${opening.parts} parts; ` +
      `tasks of the page above 50 ms: ${opening.longTasks.join(', ') || 'none'} ms`,
  );
  assert.ok(opening.parts >= 9);
  await picture(page, 'large file dark');
  assert.match(await page.locator('.counts').innerText(), new RegExp(`of ${nLargeFeatures.toLocaleString('en')}`));
  // Far above what was seen, so that only a page that prepares everything in one go fails.
  assert.ok((opening.longTasks[0] ?? 0) < 1500, `one task took ${opening.longTasks[0]} ms`);
  assert.deepEqual(page.errors, []);
  await page.close();
});
