import type { Page } from 'playwright-core';
import type { PanelTrace } from '../../src/protocol/panel.ts';
import { rest } from './browser.ts';
import { packed } from './page.ts';

/** Milliseconds, as the page itself measures them, and bytes. */
export type DrawingTimes = {
  /** From the trace's message to the frame after its first drawing. */
  readonly first: number;
  /** Frames while panning and zooming by turns. */
  readonly median: number;
  readonly slowest5Percent: number;
  /** What the page's scripts hold afterwards. */
  readonly heapBytes: number;
};

const nFrames = 120;

/** Shows a trace on a page that shows nothing yet, then pans and zooms. */
export async function drawingTimes(page: Page, trace: PanelTrace): Promise<DrawingTimes> {
  const message = JSON.stringify(packed({ type: 'showGraph', trace }));
  await page.evaluate((text) => {
    const parsed = (window as unknown as { unpack(text: string): unknown }).unpack(text);
    Object.assign(window, { parsed });
  }, message);
  const first = await page.evaluate(async () => {
    const page = window as unknown as { deliver(message: unknown): void; parsed: unknown };
    const begin = performance.now();
    page.deliver(page.parsed);
    await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
    return performance.now() - begin;
  });
  await rest(page);
  const frames = await page.evaluate(async (count) => {
    const graph = document.querySelector('.graph')!;
    const { x, y } = graph.getBoundingClientRect();
    const times: number[] = [];
    let last = performance.now();
    for (let step = 0; step < count; step++) {
      const wheel = {
        deltaY: step % 40 < 20 ? -40 : 40,
        shiftKey: step % 2 === 1,
        clientX: x + 300,
        clientY: y + 200,
        cancelable: true,
      };
      graph.dispatchEvent(new WheelEvent('wheel', wheel));
      await new Promise((resolve) => requestAnimationFrame(resolve));
      times.push(performance.now() - last);
      last = performance.now();
    }
    return times.sort((a, b) => a - b);
  }, nFrames);
  const heapBytes = await page.evaluate(() => {
    const { memory } = performance as unknown as { memory?: { readonly usedJSHeapSize: number } };
    return memory?.usedJSHeapSize ?? 0;
  });
  return { first, median: frames[nFrames / 2], slowest5Percent: frames[Math.floor(nFrames * 0.95)], heapBytes };
}
