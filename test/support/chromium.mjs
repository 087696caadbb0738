// The Chromium that the workbench's tests drive. Plain JavaScript: `npm test` on Node 20 starts one for all files.
import { chromium } from 'playwright-core';
import { findChromium } from '../workbench/setup.mjs';

const launchOptions = () => ({
  executablePath: findChromium(),
  args: [
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    '--disable-dev-shm-usage',
    '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1',
  ],
});

/** The environment variable with the address of a Chromium that several test files share. */
const shared = 'CHROMIUM_ENDPOINT';

/**
 * The shared Chromium where there is one, otherwise a new one. Closing it ends what was opened through it.
 * @returns {Promise<import('playwright-core').Browser>}
 */
export function startChromium() {
  const endpoint = process.env[shared];
  return endpoint ? chromium.connect(endpoint) : chromium.launch(launchOptions());
}

/**
 * Starts a Chromium for all test files that this process starts from now on. In its first seconds a browser holds back
 * the service workers that every webview waits for: shared, that is waited for once and beside other work.
 * @returns {Promise<() => Promise<void>>} ends it
 */
export async function shareChromium() {
  const server = await chromium.launchServer(launchOptions());
  process.env[shared] = server.wsEndpoint();
  const browser = await chromium.connect(server.wsEndpoint());
  const page = await browser.newPage();
  await page.goto('data:text/html,<p>A page at rest.');
  return async () => {
    delete process.env[shared];
    await server.close();
  };
}
