// Starts a real VS Code workbench (code-server) with the packaged extension, and a Chromium to drive it.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { type TestContext, test } from 'node:test';
import type { Browser, FrameLocator, Locator, Page } from 'playwright-core';
import { startChromium } from '../support/chromium.mjs';
import { quietSettings, serverArguments, workbenchEnvironment } from './settings.mjs';
import { codeServerEntry, node24, remove, root, temporaryFolder } from './setup.mjs';

export const extensionId = 'prompt-circuits.prompt-circuits';
const screenshots = path.join(import.meta.dirname, 'out');

export type WorkbenchOptions = {
  /** Files of the workspace by relative path. */
  readonly files?: Readonly<Record<string, string | Buffer>>;
  readonly settings?: Readonly<Record<string, unknown>>;
  readonly environment?: Readonly<Record<string, string>>;
  readonly viewport?: { readonly width: number; readonly height: number };
};

/** The .vsix that `npm run package` wrote for this platform. */
export const vsix = path.join(root, `prompt-circuits-${process.platform}-${process.arch}.vsix`);

export class Workbench implements AsyncDisposable {
  readonly folder: string;
  readonly workspace: string;
  readonly page: Page;
  readonly base: string;
  /** Requests that went anywhere but to this workbench: a test asserts that there are none. */
  readonly external: string[] = [];
  readonly #server: ChildProcess;
  readonly #browser: Browser;

  private constructor(
    folder: string,
    workspace: string,
    base: string,
    server: ChildProcess,
    browser: Browser,
    page: Page,
  ) {
    this.folder = folder;
    this.workspace = workspace;
    this.base = base;
    this.#server = server;
    this.#browser = browser;
    this.page = page;
    page.on('request', (request) => {
      const url = request.url();
      const isOurs = url.startsWith(base) || url.includes('vscode-resource.vscode-cdn.net');
      if (url.startsWith('http') && !isOurs && !request.serviceWorker()) this.external.push(url);
    });
  }

  static async start(options: WorkbenchOptions = {}): Promise<Workbench> {
    if (!existsSync(vsix)) throw new Error(`${vsix} is not there: run \`npm run package\`.`);
    const folder = temporaryFolder('wb-');
    for (const name of ['user/User', 'ext', 'ws', 'home', 't']) mkdirSync(path.join(folder, name), { recursive: true });
    const workspace = path.join(folder, 'ws');
    for (const [name, content] of Object.entries(options.files ?? {})) {
      mkdirSync(path.dirname(path.join(workspace, name)), { recursive: true });
      writeFileSync(path.join(workspace, name), content);
    }
    const settings = { ...quietSettings, ...options.settings };
    writeFileSync(path.join(folder, 'user/User/settings.json'), JSON.stringify(settings));
    writeFileSync(path.join(folder, 'config.yaml'), 'auth: none\ncert: false\n');
    const env = workbenchEnvironment({
      HOME: path.join(folder, 'home'),
      TMPDIR: path.join(folder, 't'),
      ...options.environment,
    });
    const folders = [
      ...['--config', path.join(folder, 'config.yaml')],
      ...['--user-data-dir', path.join(folder, 'user')],
      ...['--extensions-dir', path.join(folder, 'ext')],
    ];
    const install = spawnSync(node24, [codeServerEntry, ...folders, '--install-extension', vsix], {
      env,
      encoding: 'utf8',
    });
    if (install.status !== 0 || !/successfully installed/.test(install.stdout)) {
      throw new Error(`install failed: ${install.stdout}${install.stderr}`);
    }
    const server = spawn(node24, [codeServerEntry, ...folders, '--bind-addr', '127.0.0.1:0', ...serverArguments], {
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true, // its own process group, so that stop() ends extension hosts and workers too
    });
    const base = await addressOf(server);
    const browser = await startChromium();
    const page = await browser.newPage({ viewport: options.viewport ?? { width: 1400, height: 900 } });
    page.setDefaultTimeout(30_000);
    return new Workbench(folder, workspace, base, server, browser, page);
  }

  /** Loads the workbench; `openFile` opens a workspace file at once. Resolves when the extension's icon is there. */
  async open(
    options: { readonly openFile?: string; readonly payload?: readonly (readonly string[])[] } = {},
  ): Promise<void> {
    const host = new URL(this.base).host;
    const payload: (readonly string[])[] = [
      ['skipWelcome', 'true'],
      ['skipReleaseNotes', 'true'],
      ...(options.payload ?? []),
    ];
    if (options.openFile)
      payload.push(['openFile', `vscode-remote://${host}${path.join(this.workspace, options.openFile)}`]);
    const query = `folder=${encodeURIComponent(this.workspace)}&payload=${encodeURIComponent(JSON.stringify(payload))}`;
    await this.page.goto(`${this.base}/?${query}`, { waitUntil: 'commit' });
    await this.page.locator('.monaco-workbench .part.statusbar').waitFor({ timeout: 60_000 });
    if (options.openFile) await this.page.locator('.editor-instance .view-line').first().waitFor();
    await this.viewContainer('Prompt Circuits').waitFor();
  }

  /**
   * Resolves when the browser serves webviews: in its first seconds it holds back their service worker, which has
   * nothing to do with the extension whose time is taken.
   */
  async browserIsUp(): Promise<void> {
    await this.page.evaluate(async () => {
      const worker = await navigator.serviceWorker.ready;
      await worker.update();
    });
  }

  /** Resolves when the keyboard goes to the extension's visible webview. */
  async webviewHasFocus(): Promise<void> {
    await this.page.waitForFunction(() => document.activeElement?.classList.contains('webview'));
  }

  /** The activity bar icon of a contributed view container: there once extension manifests are read. */
  viewContainer(title: string): Locator {
    return this.page.locator(`.activitybar .action-item a[aria-label^="${title}"]`);
  }

  /** *Developer: Reload Window*; resolves when the extension's icon is there again. */
  async reload(): Promise<void> {
    await this.page.evaluate(() => document.body.setAttribute('data-before-reload', ''));
    await this.command('Developer: Reload Window');
    await this.page.locator('body:not([data-before-reload]) .part.statusbar').waitFor({ timeout: 60_000 });
    await this.viewContainer('Prompt Circuits').waitFor();
  }

  /** Runs a command through the command palette. */
  async command(title: string): Promise<void> {
    await this.page.keyboard.press('F1');
    const input = this.page.locator('.quick-input-widget input[type="text"]');
    await input.fill(`>${title}`);
    await this.page.locator('.quick-input-list .monaco-list-row', { hasText: title }).first().click();
  }

  /** Selects a piece of one editor line by dragging the mouse over it; resolves when it is selected. Returns a place inside. */
  async selectText(text: string): Promise<{ x: number; y: number }> {
    const box = await this.#boxOf(text);
    const y = box.y + box.height / 2;
    await this.page.mouse.move(box.x + 0.5, y);
    await this.page.mouse.down();
    await this.page.mouse.move(box.x + box.width - 0.5, y, { steps: 4 });
    await this.page.mouse.up();
    await this.page.locator('.statusbar-item', { hasText: `(${text.length} selected)` }).waitFor();
    return { x: box.x + Math.min(20, box.width / 2), y };
  }

  /** Puts the cursor into a piece of one editor line. Returns the place. */
  async clickText(text: string): Promise<{ x: number; y: number }> {
    const box = await this.#boxOf(text);
    const at = { x: box.x + box.width / 2, y: box.y + box.height / 2 };
    await this.page.mouse.click(at.x, at.y);
    return at;
  }

  async #boxOf(text: string): Promise<{ x: number; y: number; width: number; height: number }> {
    const line = this.page.locator('.editor-group-container .view-line', { hasText: text }).first();
    await line.waitFor();
    // Measured with a DOM range over all text nodes: lines are split into spans by token colour.
    const box = await line.evaluate((element, wanted) => {
      const nodes: Text[] = [];
      const walk = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
      for (let node = walk.nextNode(); node; node = walk.nextNode()) nodes.push(node as Text);
      const whole = nodes
        .map((node) => node.data)
        .join('')
        .replaceAll('\u00a0', ' ');
      const start = whole.indexOf(wanted);
      if (start < 0) return null;
      const range = document.createRange();
      let offset = 0;
      for (const node of nodes) {
        const end = offset + node.data.length;
        if (start >= offset && start < end) range.setStart(node, start - offset);
        if (start + wanted.length > offset && start + wanted.length <= end)
          range.setEnd(node, start + wanted.length - offset);
        offset = end;
      }
      const { x, y, width, height } = range.getBoundingClientRect();
      return { x, y, width, height };
    }, text);
    if (!box) throw new Error(`no editor line holds ${text}`);
    return box;
  }

  /** Right-clicks and picks a context menu item. */
  async contextMenu(at: { readonly x: number; readonly y: number }, item: string): Promise<void> {
    await this.page.mouse.click(at.x, at.y, { button: 'right' });
    const labels = this.page.locator('.monaco-menu .action-item');
    const entry = labels.getByText(item, { exact: true });
    await entry.waitFor();
    // Menus take no click in their first tenth of a second, so that the one that opened them does not choose.
    await entry.click({ delay: 150 });
    await this.page.locator('.monaco-menu').first().waitFor({ state: 'detached' });
  }

  /** The document of the extension's visible webview in the editor area. */
  webview(): FrameLocator {
    return this.#webview(':not([src*="purpose=webviewView"])');
  }

  /** The document of its webview in the side bar. */
  sideView(): FrameLocator {
    return this.#webview('[src*="purpose=webviewView"]');
  }

  /** Of several webviews on screen the one whose tab is called so. */
  async webviewCalled(title: string): Promise<FrameLocator> {
    const inner = `iframe#active-frame[title*="${title}"]`;
    const outer = this.page.locator(outerFrame(''));
    for (let tries = 0; tries < 300; tries++) {
      for (const frame of await outer.all()) {
        if ((await frame.contentFrame().locator(inner).count()) > 0) return frame.contentFrame().frameLocator(inner);
      }
      await this.page.waitForTimeout(100);
    }
    throw new Error(`no webview is called ${title}`);
  }

  #webview(condition: string): FrameLocator {
    return this.page.frameLocator(outerFrame(condition)).frameLocator('iframe#active-frame');
  }

  treeItem(text: string | RegExp): Locator {
    return this.page.locator('.pane-body .monaco-list-row', { hasText: text });
  }

  notification(text: string | RegExp): Locator {
    return this.page.locator('.notification-list-item', { hasText: text });
  }

  /** What the workbench has told in notifications that are not cleared, those that have faded too. Opens their list. */
  async notifications(): Promise<readonly string[]> {
    await this.command('Notifications: Show Notifications');
    const center = this.page.locator('.notifications-center');
    await center.waitFor({ timeout: 5000 });
    return center.locator('.notification-list-item-message').allInnerTexts();
  }

  /** Saves a screenshot below test/workbench/out for people to look at. */
  async shot(name: string): Promise<void> {
    mkdirSync(screenshots, { recursive: true });
    await this.page.screenshot({ path: path.join(screenshots, `${name}.png`) });
  }

  /** The text of the extension's output channel, from its log files. */
  output(channel = 'Prompt Circuits'): string {
    const files = readdirSync(path.join(this.folder, 'user/logs'), { recursive: true, encoding: 'utf8' });
    const own = files.filter((file) => file.endsWith(`${channel}.log`));
    return own.map((file) => readFileSync(path.join(this.folder, 'user/logs', file), 'utf8')).join('');
  }

  async stop(): Promise<void> {
    await this.#browser.close();
    if (this.#server.exitCode === null && this.#server.pid) {
      const pid = this.#server.pid;
      const gone = new Promise((resolve) => this.#server.once('exit', resolve));
      const signal = (name: NodeJS.Signals) => {
        try {
          process.kill(-pid, name);
        } catch {
          // the group is gone already
        }
      };
      signal('SIGTERM');
      const hard = setTimeout(() => signal('SIGKILL'), 5000);
      await gone;
      clearTimeout(hard);
      signal('SIGKILL');
    }
    if (!process.env.KEEP_WORKBENCH) remove(this.folder);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

function outerFrame(condition: string): string {
  return `iframe.webview.ready[src*="extensionId=${extensionId}"]${condition}:visible`;
}

/** Resolves with the address that the server prints; rejects with its log when it ends or says nothing for a minute. */
function addressOf(server: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let log = '';
    const timer = setTimeout(() => reject(new Error(`the workbench did not start: ${log}`)), 60_000);
    const read = (data: Buffer) => {
      log += data.toString();
      const match = /HTTP server listening on (http:\/\/127\.0\.0\.1:\d+)/.exec(log);
      if (!match?.[1]) return;
      clearTimeout(timer);
      resolve(match[1]);
    };
    server.stdout?.on('data', read);
    server.stderr?.on('data', read);
    server.once('exit', (code) => reject(new Error(`the workbench ended with ${code}: ${log}`)));
  });
}

/** `test` for one workbench: a failure leaves a picture below test/workbench/out, the end of the extension's log and the notifications. */
export function stepsIn(workbench: () => Workbench, timeout = 120_000) {
  return (name: string, run: (context: TestContext) => Promise<void>): void => {
    test(name, { timeout }, async (context) => {
      try {
        await run(context);
      } catch (error) {
        await workbench().shot(`failed-${name.replace(/\W+/g, '-')}`);
        context.diagnostic(workbench().output().slice(-3000));
        const told = await workbench()
          .notifications()
          .catch((reason) => [`not known: ${reason}`]);
        context.diagnostic(`Notifications: ${told.join(' | ') || 'none'}`);
        throw error;
      }
    });
  };
}
