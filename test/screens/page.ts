import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import type { ToComparison } from '../../src/protocol/comparison.ts';
import type { ToPanel } from '../../src/protocol/panel.ts';
import type { Theme } from './themes.ts';

const root = path.resolve(import.meta.dirname, '../..');
export const outFolder = path.join(root, 'test/screens/out');

/** What a page starts with: the theme, what VS Code remembers, and what the extension says once the page is ready. */
export type PageCase = {
  readonly name: string;
  readonly theme: Theme;
  readonly messages: readonly (ToPanel | ToComparison)[];
  readonly remembered?: unknown;
  /** The page's built entry: the graph panel's when absent. */
  readonly script?: 'main.js' | 'comparison.js' | 'interventions.js';
};

/**
 * Writes a page that can be opened by hand: the built webview, a theme, and a stand-in for VS Code's side of the channel
 * that keeps what the page posts in `window.posted` and answers `ready` with the case's messages.
 * @returns the page's address
 */
export function writePage({ name, theme, messages, remembered, script = 'main.js' }: PageCase): string {
  const folder = path.join(outFolder, 'pages');
  mkdirSync(folder, { recursive: true });
  const built = (file: string) => pathToFileURL(path.join(root, 'dist/webview', file)).href;
  const variables = Object.entries(theme.variables).map(([key, value]) => `--vscode-${key}: ${value};`);
  const html = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<title>${name} · ${theme.name}</title>
<style>html { ${variables.join(' ')} }</style>
<link rel="stylesheet" href="${built('style.css')}">
<script id="prompt-circuits-config" type="application/json">${inScript({ elkWorker: built('elk-worker.js') })}</script>
<script id="messages" type="application/json">${inScript(messages.map(packed))}</script>
<script nonce="${nonce}">
  window.posted = [];
  let kept = ${inScript(remembered ?? { panels: {}, isTourDone: true })};
  const revive = (key, value) => value && value.typed ? new globalThis[value.typed](value.data) : value;
  window.deliver = (message) => window.dispatchEvent(new MessageEvent('message', { data: message }));
  window.unpack = (text) => JSON.parse(text, revive);
  window.deliverPacked = (text) => window.deliver(window.unpack(text));
  window.acquireVsCodeApi = () => ({
    postMessage(message) {
      window.posted.push(message);
      if (message.type !== 'ready') return;
      const all = JSON.parse(document.getElementById('messages').textContent, revive);
      for (const each of all) window.deliver(each);
    },
    getState: () => kept,
    setState: (next) => { kept = next; return next; },
  });
</script>
</head>
<body class="${theme.bodyClass}">
<div id="app"></div>
<script nonce="${nonce}" src="${built(script)}"></script>
</body>
</html>
`;
  const file = path.join(folder, `${name}-${theme.name}.html`);
  writeFileSync(file, html);
  return pathToFileURL(file).href;
}

/** A message with its typed arrays spelled out, so that it passes through JSON; the page brings them back. */
export function packed(message: ToPanel | ToComparison): unknown {
  return JSON.parse(
    JSON.stringify(message, (_, value: unknown) => {
      if (value instanceof Uint32Array) return { typed: 'Uint32Array', data: Array.from(value) };
      if (value instanceof Float32Array) return { typed: 'Float32Array', data: Array.from(value) };
      if (value instanceof Uint8Array) return { typed: 'Uint8Array', data: Array.from(value) };
      return value;
    }),
  );
}

const nonce = 'page';

/** What the extension's page allows (src/host/panel/html.ts), with files in place of the webview's own addresses. */
const policy = `default-src 'none'; script-src 'nonce-${nonce}'; style-src file: 'unsafe-inline'; font-src file:; img-src file: data: blob:; connect-src file:; worker-src blob:`;

function inScript(value: unknown): string {
  return JSON.stringify(value).replace(/</g, '\\u003c');
}
