import { existsSync } from 'node:fs';
import path from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { chromium } from 'playwright-core';
import type { ToComparison } from '../../src/protocol/comparison.ts';
import type { ToPanel } from '../../src/protocol/panel.ts';
import type { PageCase } from './page.ts';
import { outFolder, packed, writePage } from './page.ts';

declare global {
  interface Window {
    whenIdle: () => Promise<void>;
    placeOfNode: (id: string) => { x: number; y: number } | null;
    placeInPane: (pane: 'left' | 'right' | 'one', id: string) => { x: number; y: number } | null;
    posted: readonly { readonly type: string }[];
    deliverPacked: (text: string) => void;
  }
}

/** Starts the system's Chromium without a window. */
export async function launch(): Promise<Browser> {
  const known = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
  const executablePath = process.env.CHROMIUM_PATH ?? known.find((file) => existsSync(file));
  if (!executablePath) throw new Error('Chromium was not found; install it or set CHROMIUM_PATH.');
  return chromium.launch({
    executablePath,
    args: ['--no-sandbox', '--allow-file-access-from-files'],
    timeout: 120_000,
  });
}

export type CasePage = Page & { errors: string[] };

/** The page that is left open, by browser: a page that already has the panel's code shows the next case in half the time. */
const openPages = new WeakMap<Browser, CasePage>();

/**
 * Opens a case and waits until the page rests; errors on the page fail the test. The case comes into the page of the one
 * before unless that was closed: each is a document of its own.
 */
export async function open(
  browser: Browser,
  pageCase: PageCase,
  size = { width: 1200, height: 820 },
): Promise<CasePage> {
  const before = openPages.get(browser);
  const page = before && !before.isClosed() ? before : await newPage(browser);
  page.errors = [];
  await page.setViewportSize(size);
  await page.mouse.move(0, 0);
  await page.goto(writePage(pageCase));
  await rest(page);
  return page;
}

async function newPage(browser: Browser): Promise<CasePage> {
  const page = Object.assign(await browser.newPage(), { errors: [] as string[] });
  // On a machine that is busy with other things a page may take its time; what is wrong fails at once all the same.
  page.setDefaultTimeout(120_000);
  page.on('pageerror', (error) => page.errors.push(String(error)));
  page.on('console', (message) => {
    if (message.type() === 'error') page.errors.push(message.text());
  });
  openPages.set(browser, page);
  return page;
}

/** Waits until nothing on the page is pending. */
export async function rest(page: Page): Promise<void> {
  await page.evaluate(() => window.whenIdle());
}

/** Keeps a picture of the page in test/screens/out, to be looked at. */
export async function picture(page: Page, name: string): Promise<void> {
  await page.screenshot({ path: path.join(outFolder, `${name}.png`) });
}

/** Says something to the page as the extension would, and waits until it has been drawn. */
export async function deliver(page: Page, message: ToPanel | ToComparison): Promise<void> {
  await page.evaluate((text) => window.deliverPacked(text), JSON.stringify(packed(message)));
  await rest(page);
}

/** Where a node is drawn; fails when it is not on screen. */
export async function placeOf(page: Page, id: string): Promise<{ x: number; y: number }> {
  const place = await page.evaluate((node) => window.placeOfNode(node), id);
  if (!place) throw new Error(`Node ${id} is not on screen.`);
  return place;
}
