import assert from 'node:assert/strict';
import type { Page } from 'playwright-core';
import { comparedTraces } from '../support/comparedTraces.ts';
import { rest } from './browser.ts';
import type { State } from './states.ts';

const traces = comparedTraces();
const script = 'comparison.js';
const messages = [{ type: 'showComparison', traces }] as const;
const { nodes } = traces.left.graph;
const texas = nodes.find(({ label, layer, pos }) => label === 'Texas' && layer === 3 && pos === 10)!;
const saysCapital = nodes.find(({ label, layer }) => label === 'say a capital' && layer === 4)!;

const placeIn = (page: Page, pane: 'left' | 'right' | 'one', id: string) =>
  page.evaluate(([name, node]) => window.placeInPane(name, node), [pane, id] as const);

async function choose(page: Page, pane: 'left' | 'right' | 'one', id: string): Promise<void> {
  const place = await placeIn(page, pane, id);
  assert.ok(place, `${id} is not on screen`);
  await page.mouse.click(place.x, place.y);
  await rest(page);
}

const figures = (page: Page) => page.locator('.pair-card .both-sides').first().locator('tr').allInnerTexts();

/** The comparison of two traces: beside each other, as one picture, narrow, and when one of them is gone. */
export const comparisonStates: readonly State[] = [
  {
    name: 'compared side by side',
    size: { width: 1280, height: 860 },
    script,
    messages,
    async act(page) {
      await choose(page, 'left', saysCapital.id);
    },
    async check(page) {
      // What is chosen on the left is chosen on the right, in the same column.
      const [left, right] = await Promise.all(
        (['left', 'right'] as const).map(async (pane) => {
          const frame = await page.locator(`.pane.${pane}`).boundingBox();
          const place = await placeIn(page, pane, pane === 'left' ? saysCapital.id : `${saysCapital.id} there`);
          return { x: (place?.x ?? 0) - (frame?.x ?? 0), y: place?.y };
        }),
      );
      assert.ok(Math.abs(left.x - right.x) < 3 && left.y === right.y, JSON.stringify({ left, right }));
      assert.deepEqual(
        (await figures(page)).map((row) => row.trim().split(/\s+/)),
        [
          ['Dallas', 'Francisco', 'change'],
          ['Activation', '1.38', '2.21', '+0.828'],
          ['Influence', '16', '%', '16', '%', '±0'],
        ],
      );
      // A token that only the right prompt has leaves a gap on the left.
      assert.ok(!(await page.locator('.pane.left .axis-token').allInnerTexts()).includes('·San'));
      assert.ok((await page.locator('.pane.right .axis-token').allInnerTexts()).includes('·San'));
      assert.match(await page.locator('.compared-side').nth(1).innerText(), /“Sacramento”\s*81 %/);
      assert.deepEqual(await page.locator('.compared-prompt mark').allInnerTexts(), [' Dallas', ' San', ' Francisco']);
      assert.deepEqual(await page.evaluate(() => window.posted.filter(({ type }) => type === 'selectNode')), [
        { type: 'selectNode', side: 'left', node: saysCapital.id },
      ]);
      await checkTogether(page);
      await checkTable(page);
    },
  },
  {
    name: 'compared as one picture',
    size: { width: 1280, height: 860 },
    script,
    messages,
    remembered: { left: 'trace 1', right: 'trace 2', mode: 'one', tableHeight: 160 },
    async check(page) {
      assert.ok(await page.locator('.pane.left').isHidden());
      await choose(page, 'one', texas.id);
      assert.match(await page.locator('.pair-card').innerText(), /The graph of Francisco has no such node/);
      assert.match((await page.locator('.axis-token').allInnerTexts()).join(' '), /Dallas·\|·Fr/);
      await page.getByText('Open as one graph').click();
      assert.deepEqual((await page.evaluate(() => window.posted)).at(-1), { type: 'openMerged' });
    },
  },
  {
    name: 'compared beside a text',
    size: { width: 480, height: 900 },
    isDarkOnly: true,
    script,
    messages,
    async check(page) {
      const [left, right] = await Promise.all(
        ['left', 'right'].map((pane) => page.locator(`.pane.${pane}`).boundingBox()),
      );
      assert.ok(left && right && right.y >= left.y + left.height, 'the pictures lie one above the other');
      assert.ok(left.height > 200);
    },
  },
  {
    name: 'compared with what is gone',
    isDarkOnly: true,
    script,
    messages: [{ type: 'failed', message: 'One of the two is not there any more.', remedy: 'Trace it.', action: null }],
    async check(page) {
      assert.match(await page.locator('.messages').innerText(), /not there any more\.\s*Trace it\./);
    },
  },
];

/** Zoom and the share that is shown change on both sides. */
async function checkTogether(page: Page): Promise<void> {
  const distance = async (pane: 'left' | 'right') => {
    const first = traces[pane].graph.nodes.filter(({ kind }) => kind === 'token');
    const [a, b] = await Promise.all([first[2], first[8]].map(({ id }) => placeIn(page, pane, id)));
    return (b?.x ?? 0) - (a?.x ?? 0);
  };
  const before = await distance('right');
  const graph = (await page.locator('.pane.left .graph').boundingBox())!;
  await page.mouse.move(graph.x + graph.width / 2, graph.y + graph.height / 2);
  await page.mouse.wheel(0, -300);
  await rest(page);
  const after = await distance('right');
  assert.ok(after > before * 1.2, `${before} → ${after}`);
  assert.ok(Math.abs(after - (await distance('left'))) < 1);
  await page.getByLabel('Fit (0)').click();
  await rest(page);
  const shown = async (pane: string) =>
    Number(/(\d+) nodes/.exec((await page.locator(`.pane.${pane} .graph`).getAttribute('aria-label')) ?? '')?.[1]);
  const [fewLeft, fewRight] = [await shown('left'), await shown('right')];
  await page.locator('.toolbar input[type=range]').focus();
  await page.keyboard.press('End');
  await rest(page);
  assert.ok((await shown('left')) > fewLeft && (await shown('right')) > fewRight);
}

/** The table is sorted by a click or a key on its head, filtered, walked with the arrows, and leads to its nodes. */
async function checkTable(page: Page): Promise<void> {
  const rows = page.locator('.differences tbody tr');
  assert.match(await rows.first().innerText(), /“Austin”[\s\S]*−86 %/);
  await page.getByRole('button', { name: 'Activation' }).focus();
  await page.keyboard.press('Enter');
  await rest(page);
  assert.equal(await page.locator('.differences th[aria-sort]').innerText(), 'Activation');
  await page.getByRole('radio', { name: 'Changed' }).click();
  await rest(page);
  const changed = await rows.allInnerTexts();
  assert.equal(changed.length, 3);
  assert.ok(changed.every((row) => /say a capital[\s\S]*both, changed/.test(row)));
  const changes = changed.map((row) => Number(/\+([\d.]+)\s/.exec(row)?.[1]));
  assert.deepEqual(
    changes,
    [...changes].sort((a, b) => b - a),
  );
  await page.locator('.differences tbody [tabindex="0"]').focus();
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Enter');
  await rest(page);
  assert.equal(await page.locator('.differences tr.selected').count(), 1);
  assert.ok(await rows.nth(1).evaluate((row) => row.classList.contains('selected')));
  await page.keyboard.press('Escape');
  await rest(page);
  assert.equal(await page.locator('.differences tr.selected').count(), 0);
}
