import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';
import type { Browser, Page } from 'playwright-core';
import { launch, open, picture, rest } from './browser.ts';
import { comparisonStates } from './comparisonStates.ts';
import { dialogStates } from './dialogStates.ts';
import { states } from './states.ts';
import { dark, themes } from './themes.ts';

let browser: Browser;
before(async () => {
  browser = await launch();
});
after(() => browser.close());

const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

for (const theme of themes) {
  for (const state of [...states, ...comparisonStates, ...dialogStates]) {
    if (state.isDarkOnly && theme !== dark) continue;
    test(`${state.name} in ${theme.name} shows what it must, without errors or serious barriers`, async () => {
      const page = await open(browser, { ...state, theme }, state.size);
      await state.act?.(page);
      await rest(page);
      await picture(page, `${state.name} ${theme.name}`);
      await state.check(page);
      assert.deepEqual(await barriers(page), []);
      assert.deepEqual(page.errors, []);
    });
  }
}

/** What axe-core finds serious or worse. */
async function barriers(page: Page): Promise<string[]> {
  await page.evaluate(axeSource);
  return page.evaluate(async () => {
    const axe = (window as unknown as { axe: { run(): Promise<{ violations: AxeViolation[] }> } }).axe;
    type AxeViolation = { id: string; impact: string; nodes: { html: string; failureSummary: string }[] };
    const { violations } = await axe.run();
    return violations
      .filter(({ impact }) => impact === 'serious' || impact === 'critical')
      .flatMap(({ id, nodes }) =>
        nodes.slice(0, 3).map(({ html, failureSummary }) => `${id}: ${html.slice(0, 160)} ${failureSummary}`),
      );
  });
}
