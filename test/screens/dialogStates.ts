import assert from 'node:assert/strict';
import type { Page } from 'playwright-core';
import { defaultAttribution } from '../../src/protocol/engine.ts';
import type { FromPanel, ToPanel } from '../../src/protocol/panel.ts';
import { draftOf, type TraceCheck, type TraceDraft } from '../../src/protocol/traceDialog.ts';
import { deliver } from './browser.ts';
import { dallas, type State } from './states.ts';

const defaults = draftOf(defaultAttribution);
const promptTokens = dallas.graph.metadata.promptTokens;

/** Opens the dialog on the Dallas prompt. */
export function traceDialog(draft: Partial<TraceDraft>): ToPanel {
  const model = 'built-in-model, per-layer transcoders of 512 features a layer';
  const suggestions = [' Austin', ' Texas', ' Houston'];
  return {
    type: 'traceDialog',
    setup: { promptTokens, model, suggestions, draft: { ...defaults, ...draft }, defaults },
  };
}

const fits = { words: 'about 1 s, 0.3 GB of memory', verdict: 'fits', advice: '' } as const;

function checked(check: Partial<TraceCheck>): ToPanel {
  const usual: TraceCheck = { number: 1, errors: {}, pieces: {}, directions: [], estimate: fits };
  return { type: 'traceChecked', check: { ...usual, ...check }, isRefused: false };
}

/** The drafts that the page asked about, oldest first. */
export async function draftsOf(page: Page): Promise<readonly Extract<FromPanel, { type: 'checkTrace' }>[]> {
  const posted = (await page.evaluate(() => window.posted)) as readonly FromPanel[];
  return posted.filter((message) => message.type === 'checkTrace');
}

const showDallas: ToPanel = { type: 'showGraph', trace: dallas };

/** The trace dialog over a graph, over an empty page, narrow, and with everything wrong. */
export const dialogStates: readonly State[] = [
  {
    name: 'trace dialog',
    messages: [showDallas, traceDialog({ target: 'difference', a: ' Austin' })],
    async act(page) {
      await page.getByLabel('B', { exact: true }).fill(' Sacramento');
      await deliver(
        page,
        checked({ number: 2, pieces: { a: [{ id: 41, text: ' Austin' }], b: [{ id: 97, text: ' Sacramento' }] } }),
      );
    },
    async check(page) {
      const asked = await draftsOf(page);
      assert.equal(asked.at(-1)?.draft.b, ' Sacramento');
      assert.equal(asked.at(-1)?.number, 2);
      assert.deepEqual(await page.locator('.trace-dialog .field .piece').allInnerTexts(), ['·Austin', '·Sacramento']);
      assert.match(await page.locator('.estimate').innerText(), /^This trace takes about 1 s, 0\.3 GB of memory\.$/);
      assert.equal(await page.locator('.dialog-token.chosen').innerText(), await lastToken(page));
    },
  },
  {
    name: 'trace dialog with errors',
    size: { width: 420, height: 760 },
    messages: [traceDialog({ target: 'tokens', tokens: ['Paris', ' of France'], nodeThreshold: '2' })],
    async act(page) {
      const advice = 'Set Max Features to 1,024, or shorten the prompt to 40 tokens.';
      await deliver(
        page,
        checked({
          errors: {
            'tokens.0': 'These are 2 tokens; with a space before it, it is one.',
            'tokens.1': 'These are 2 tokens to this model, and a target is one. Write only the first.',
            nodeThreshold: 'A share above 0 and at most 1 is needed, such as 0.8.',
          },
          pieces: {
            'tokens.0': [
              { id: 5, text: 'Par' },
              { id: 6, text: 'is' },
            ],
            'tokens.1': [
              { id: 7, text: ' of' },
              { id: 8, text: ' France' },
            ],
          },
          estimate: { words: 'about 31 min, 29.4 GB of memory; this machine has 24.0 GB', verdict: 'over', advice },
        }),
      );
    },
    async check(page) {
      assert.equal(await page.locator('.trace-dialog [aria-invalid="true"]').count(), 3);
      assert.match(await page.locator('.estimate').innerText(), /That is too much\. Set Max Features to 1,024/);
      assert.equal(await page.locator('.dialog-actions vscode-button').last().innerText(), 'Trace Anyway');
      const { clientWidth, scrollWidth } = await page
        .locator('.dialog-body')
        .evaluate(({ clientWidth, scrollWidth }) => ({ clientWidth, scrollWidth }));
      assert.ok(scrollWidth <= clientWidth, `${scrollWidth} in ${clientWidth}`);
    },
  },
  {
    name: 'trace dialog with directions',
    isDarkOnly: true,
    messages: [
      showDallas,
      traceDialog({ target: 'directions', directionsFile: '/home/me/truth.safetensors', features: 'number' }),
    ],
    async act(page) {
      await deliver(page, checked({ directions: ['truth', 'lie'] }));
    },
    async check(page) {
      assert.equal(await page.locator('.file-field p').innerText(), '2 directions: truth, lie.');
      assert.equal(await page.getByLabel('Features', { exact: true }).inputValue(), '1000');
    },
  },
];

async function lastToken(page: Page): Promise<string> {
  return page.locator('.dialog-token').last().innerText();
}
