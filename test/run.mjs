// `npm test`: installs what is missing, builds, packages and runs every test. Plain JavaScript on Node 20.
//   npm test                     everything
//   npm test -- graph engine     only the folders named (test/graph, test/engine), without packaging if none needs it
//   npm run bench [-- options]   the benchmark instead of the tests; without options the panel's too (--panel: only that)
import { spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { packageExtension } from './workbench/package.mjs';
import {
  build,
  installChromium,
  installProject,
  installWorkbench,
  nodeForTypeScript,
  npm,
  root,
} from './workbench/setup.mjs';

/** In the order they run: what fails fastest first. Workbenches share the machine, so their files run one by one. */
const groups = [
  { folders: ['', 'graph', 'protocol', 'webview', 'model', 'engine', 'cli', 'host'], atOnce: 2 },
  { folders: ['screens'], atOnce: 2 },
  { folders: ['workbench'], atOnce: 1 },
];

const say = (line) => console.log(line);

/** Runs a command with its output passed on; resolves with the exit code and the output. */
function pass(command, args) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] });
    let output = '';
    child.stdout.on('data', (data) => {
      output += data;
      process.stdout.write(data);
    });
    child.on('error', reject);
    child.on('exit', (code) => resolve({ code: code ?? 1, output }));
  });
}

function testFiles(folder) {
  const directory = path.join(root, 'test', folder);
  if (!existsSync(directory)) return [];
  const names = readdirSync(directory).filter((name) => name.endsWith('.test.ts'));
  return names.sort().map((name) => path.join('test', folder, name));
}

/** The number that Node's test runner prints for `pass` or `fail` in its summary. */
function count(output, what) {
  return Number(new RegExp(`^(?:ℹ|#) ${what} (\\d+)$`, 'm').exec(output)?.[1] ?? 0);
}

/** Browsers and workbenches on a busy machine can miss a key or a second; nothing else gets a second chance. */
function isDriven(file) {
  return ['screens', 'workbench'].includes(path.basename(path.dirname(file)));
}

async function runTests(files, atOnce) {
  const runner = ['--test', `--test-concurrency=${atOnce}`, '--test-reporter=spec', ...files];
  const { code, output } = await pass(nodeForTypeScript(), runner);
  // A file that cannot be loaded, or a crashed runner, is a failure even where no test says so.
  const failed = Math.max(count(output, 'fail') + count(output, 'cancelled'), code === 0 ? 0 : 1);
  return { passed: count(output, 'pass'), failed };
}

/** Measures the engine, and the panel where nothing else was asked for. Resolves with whether both could be. */
async function bench(options) {
  const isPanelOnly = options[0] === '--panel';
  const engine = isPanelOnly ? 0 : (await pass(process.execPath, ['dist/cli.cjs', 'bench', ...options])).code;
  if (options.length > 0 && !isPanelOnly) return engine === 0;
  await installWorkbench(say); // also brings the Node that runs TypeScript as it is
  say('\nThe panel: layout, first drawing, frames while panning and zooming (headless Chromium, software rendering)');
  const panel = await pass(nodeForTypeScript(), ['test/bench/panel.ts', ...options.slice(1)]);
  return engine === 0 && panel.code === 0;
}

/** Types and style; counted as one test. */
async function check() {
  say('Checking types and style …');
  try {
    await npm(['run', '--silent', 'check']);
    return { passed: 1, failed: 0 };
  } catch (error) {
    say(error.message);
    return { passed: 0, failed: 1 };
  }
}

async function makePackage() {
  say('Packaging the extension …');
  await packageExtension();
}

async function main() {
  const named = process.argv.slice(2);
  await installProject(say);
  if (named[0] === '--bench') {
    await build(say);
    process.exit((await bench(named.slice(1))) ? 0 : 1);
  }
  const isNamed = (folder) => named.length === 0 || named.includes(folder === '' ? '.' : folder);
  const chosen = groups.map((group) => ({ ...group, folders: group.folders.filter(isNamed) }));
  const all = chosen.flatMap((group) => group.folders);
  if (all.length === 0) {
    console.error(`No folder of tests is called ${named.join(' or ')}.`);
    process.exit(2);
  }
  const needsWorkbench = all.includes('workbench');
  const needsChromium = needsWorkbench || all.includes('screens');
  // One waits for the network while the other computes.
  const building = build(say);
  const [checked] = await Promise.all([
    named.length === 0 ? building.then(check) : { passed: 0, failed: 0 },
    needsWorkbench ? building.then(makePackage) : building,
    // It also brings the Node that runs TypeScript as it is.
    installWorkbench(say).then(() => needsChromium && installChromium(say)),
  ]);
  let { passed, failed } = checked;
  const closeChromium = needsWorkbench ? await (await import('./support/chromium.mjs')).shareChromium() : null;
  for (const { folders, atOnce } of chosen) {
    const files = folders.flatMap(testFiles);
    // One by one where they share the machine, so that a file can be run again on its own.
    for (const part of atOnce === 1 ? files.map((file) => [file]) : [files]) {
      if (part.length === 0) continue;
      let result = await runTests(part, atOnce);
      if (result.failed > 0 && isDriven(part[0])) {
        say(`\n${part.join(' and ')} failed. A browser is driven there, so it runs once more before that counts.\n`);
        result = await runTests(part, atOnce);
      }
      passed += result.passed;
      failed += result.failed;
    }
  }
  await closeChromium?.();
  console.log(`${passed} passed, ${failed} failed`);
  process.exit(failed === 0 && passed > 0 ? 0 : 1);
}

await main();
