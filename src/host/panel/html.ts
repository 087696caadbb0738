import { randomBytes } from 'node:crypto';
import * as vscode from 'vscode';

/** Where the built webview lies, below the extension's folder. */
export function webviewFolder(extensionUri: vscode.Uri): vscode.Uri {
  return vscode.Uri.joinPath(extensionUri, 'dist', 'webview');
}

export function webviewOptions(extensionUri: vscode.Uri): vscode.WebviewOptions {
  return { enableScripts: true, localResourceRoots: [webviewFolder(extensionUri)] };
}

/**
 * The page around the picture. Only our own script runs, by its nonce; workers start from a blob (a worker at an
 * extension's address does not load), whose source the page fetches; nothing else is reached.
 */
export function panelHtml(webview: vscode.Webview, extensionUri: vscode.Uri, script = 'main.js'): string {
  const nonce = randomBytes(16).toString('base64url');
  const address = (name: string): string =>
    webview.asWebviewUri(vscode.Uri.joinPath(webviewFolder(extensionUri), name)).toString();
  const policy = [
    `default-src 'none'`,
    `script-src 'nonce-${nonce}'`,
    `style-src ${webview.cspSource} 'unsafe-inline'`,
    `font-src ${webview.cspSource}`,
    `img-src ${webview.cspSource} data: blob:`,
    `connect-src ${webview.cspSource}`,
    'worker-src blob:',
  ].join('; ');
  const config = JSON.stringify({ elkWorker: address('elk-worker.js') }).replaceAll('<', '\\u003c');
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Prompt Circuits</title>
<link rel="stylesheet" href="${address('style.css')}">
<script id="prompt-circuits-config" type="application/json" nonce="${nonce}">${config}</script>
</head>
<body>
<div id="app"></div>
<script nonce="${nonce}" src="${address(script)}"></script>
</body>
</html>`;
}
