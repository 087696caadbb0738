import type { Browser, Page } from 'playwright-core';
import type { CircuitGraph } from '../../src/graph/circuitGraph.ts';
import { postInParts } from '../../src/host/panel/graphParts.ts';
import type { ToPanel } from '../../src/protocol/panel.ts';
import { asTrace } from '../support/sampleTrace.ts';
import { open, rest } from './browser.ts';
import { dark } from './themes.ts';

/** How a large graph came onto a page: how many messages, and for how long the page was busy with one thing. */
export type Opening = {
  readonly parts: number;
  /** Milliseconds from the first message to the picture. */
  readonly untilDrawn: number;
  /** The longest tasks of the page, in milliseconds, longest first; a browser tells those above 50. */
  readonly longTasks: readonly number[];
};

type Watched = Window & { readonly longTasks: number[] };

/** Sends a graph to a fresh page as the extension does, in parts, and waits until it is drawn. */
export async function openLargeGraph(
  browser: Browser,
  graph: CircuitGraph,
): Promise<{ readonly page: Page & { errors: string[] }; readonly opening: Opening }> {
  const page = await open(browser, { name: 'large-file', theme: dark, messages: [] });
  await page.evaluate(() => {
    const longTasks: number[] = [];
    Object.assign(window, { longTasks });
    new PerformanceObserver((list) => {
      for (const { duration } of list.getEntries()) longTasks.push(Math.round(duration));
    }).observe({ entryTypes: ['longtask'] });
  });
  const begin = performance.now();
  let parts = 0;
  const post = async (message: ToPanel): Promise<void> => {
    if (message.type !== 'graphPart')
      return page.evaluate((text) => window.deliverPacked(text), JSON.stringify(message));
    parts++;
    const { bytes, ...rest } = message;
    await page.evaluate(
      ([text, base64]) => {
        const letters = atob(base64);
        const part = new Uint8Array(letters.length);
        for (let i = 0; i < letters.length; i++) part[i] = letters.charCodeAt(i);
        window.dispatchEvent(new MessageEvent('message', { data: { ...JSON.parse(text), bytes: part } }));
      },
      [JSON.stringify(rest), Buffer.from(bytes).toString('base64')] as const,
    );
  };
  await postInParts(asTrace(graph), post, () => true);
  await rest(page);
  const untilDrawn = performance.now() - begin;
  const longTasks = await page.evaluate(() => (window as unknown as Watched).longTasks);
  return { page, opening: { parts, untilDrawn, longTasks: longTasks.sort((a, b) => b - a) } };
}
