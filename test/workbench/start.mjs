// `npm start`: from a fresh clone to a VS Code workbench with the extension and a folder of sample prompts.
// Uses the `code` on the PATH with an extensions folder and a profile of its own, otherwise code-server on 127.0.0.1.
import { spawn, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';
import { packageExtension } from './package.mjs';
import { quietSettings, serverArguments, workbenchEnvironment } from './settings.mjs';
import { build, codeServerEntry, installProject, installWorkbench, node24, root, run } from './setup.mjs';

const usage = `npm start [-- --home DIR] [--port N] [--code-server]
  --home DIR      where the profile, extensions and sample prompts are kept (default ~/.prompt-circuits)
  --port N        port of code-server on 127.0.0.1 (default: any free one)
  --code-server   use code-server even where \`code\` is installed`;

function readOptions(args) {
  const options = { home: path.join(homedir(), '.prompt-circuits'), port: 0, codeServer: false };
  for (let i = 0; i < args.length; i++) {
    if (args[i] === '--home' && args[i + 1]) options.home = path.resolve(args[++i]);
    else if (args[i] === '--port' && /^\d{1,5}$/.test(args[i + 1] ?? '')) options.port = Number(args[++i]);
    else if (args[i] === '--code-server') options.codeServer = true;
    else {
      console.error(`Unknown or incomplete option ${args[i]}.\n${usage}`);
      process.exit(2);
    }
  }
  return options;
}

const instructions = `
  1. Open a sample prompt (two-steps.md is open already).
  2. Highlight a prompt, for example:  The capital of the state containing Dallas is
  3. Right-click → Trace Prompt. The attribution graph opens beside the text.
  4. Click a node for its card; the Prompt Circuits icon in the activity bar holds traces, features and models.
`;

const say = (line) => console.log(line);
const options = readOptions(process.argv.slice(2));
const samples = path.join(options.home, 'prompts');
const first = path.join(samples, 'two-steps.md');

try {
  await installProject(say);
  const hasCode =
    !options.codeServer && spawnSync('code', ['--version'], { shell: process.platform === 'win32' }).status === 0;
  const [vsix] = await Promise.all([makePackage(), hasCode ? null : installWorkbench(say)]);
  mkdirSync(samples, { recursive: true });
  // Prompts that were changed by hand are kept.
  cpSync(path.join(root, 'media/built-in-model/prompts'), samples, { recursive: true, force: false });
  if (hasCode) await openInCode(vsix);
  else await openInCodeServer(vsix);
} catch (error) {
  console.error(`\nnpm start stopped: ${error.message}`);
  process.exit(1);
}

async function makePackage() {
  await build(say);
  say('Packaging the extension …');
  return packageExtension();
}

async function openInCode(vsix) {
  const profile = [
    '--extensions-dir',
    path.join(options.home, 'ext'),
    '--user-data-dir',
    path.join(options.home, 'user'),
  ];
  const shell = process.platform === 'win32';
  await run('code', [...profile, '--install-extension', vsix, '--force'], { shell });
  await run('code', [...profile, '--new-window', samples, first], { shell });
  say(`\nA VS Code window with Prompt Circuits is open (its own profile in ${options.home}).${instructions}`);
}

async function openInCodeServer(vsix) {
  mkdirSync(path.join(options.home, 'user/User'), { recursive: true });
  const settings = path.join(options.home, 'user/User/settings.json');
  if (!existsSync(settings)) writeFileSync(settings, JSON.stringify(quietSettings, null, 2));
  writeFileSync(path.join(options.home, 'config.yaml'), 'auth: none\ncert: false\n');
  const folders = [
    ...['--config', path.join(options.home, 'config.yaml')],
    ...['--user-data-dir', path.join(options.home, 'user')],
    ...['--extensions-dir', path.join(options.home, 'ext')],
  ];
  const env = workbenchEnvironment({});
  await run(node24, [codeServerEntry, ...folders, '--install-extension', vsix, '--force'], { env });
  const bind = ['--bind-addr', `127.0.0.1:${options.port}`];
  const server = spawn(node24, [codeServerEntry, ...folders, ...bind, ...serverArguments], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let log = '';
  let isUp = false;
  server.stdout.on('data', (data) => {
    if (isUp) return;
    log += data;
    const address = /HTTP server listening on (http:\/\/127\.0\.0\.1:\d+)/.exec(log)?.[1];
    if (!address) return;
    isUp = true;
    const payload = JSON.stringify([
      ['skipWelcome', 'true'],
      ['openFile', `vscode-remote://${new URL(address).host}${first}`],
    ]);
    const query = `folder=${encodeURIComponent(samples)}&payload=${encodeURIComponent(payload)}`;
    say(
      `\nA VS Code workbench with Prompt Circuits is running. Open this address in a browser:\n\n  ${address}/?${query}\n${instructions}\n  Ctrl+C ends it.`,
    );
  });
  server.on('exit', (code) => {
    if (!isUp) console.error(`The workbench ended with ${code}: ${log}`);
    process.exit(isUp ? 0 : 1);
  });
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => server.kill('SIGTERM'));
}
