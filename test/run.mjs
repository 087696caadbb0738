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
  installNode,
  installProject,
  installWorkbench,
  nodeForTypeScript,
  npm,
  root,
} from './workbench/setup.mjs';

/** What fails fastest first. The first group needs neither a browser nor the package: it runs while these are installed. */
const plain = { folders: ['', 'graph', 'protocol', 'webview', 'model', 'engine', 'cli', 'host'], atOnce: 2 };
/**
 * Then both of these beside each other, each one file at a time: two browsers keep a small machine busy. Files are
 * run one by one so that each can be run again on its own; whoever is done first takes over from the end of the other.
 * The workbench's come in reverse order: traces, whose pauses are measured, beside the pages and not beside a workbench.
 */
const driven = [{ folders: ['screens'] }, { folders: ['workbench'] }];

const say = (line) => console.log(line);

/** Runs a command; resolves with the exit code and the output, which is passed on as it comes or, `atEnd`, in one piece. */
function pass(command, args, atEnd = false) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] });
    let output = '';
    child.stdout.on('data', (data) => {
      output += data;
      if (!atEnd) process.stdout.write(data);
    });
    child.on('error', reject);
    child.on('exit', (code) => {
      if (atEnd) process.stdout.write(output);
      resolve({ code: code ?? 1, output });
    });
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

async function runTests(files, atOnce, atEnd = false) {
  const runner = ['--test', `--test-concurrency=${atOnce}`, '--test-reporter=spec', ...files];
  const { code, output } = await pass(nodeForTypeScript(), runner, atEnd);
  // A file that cannot be loaded, or a crashed runner, is a failure even where no test says so.
  const failed = Math.max(count(output, 'fail') + count(output, 'cancelled'), code === 0 ? 0 : 1);
  return { passed: count(output, 'pass'), failed };
}

/**
 * File after file, then those of other lanes from the end; resolves with what passed and failed in those that count, and
 * the files that are to run again.
 */
async function runDriven(files, lanes) {
  const total = { passed: 0, failed: 0 };
  const again = [];
  const next = () => files.shift() ?? lanes.find((lane) => lane.length > 0)?.pop();
  for (let file = next(); file !== undefined; file = next()) {
    const result = await runTests([file], 1, true);
    if (result.failed > 0) again.push(file);
    else add(total, result);
  }
  return { total, again };
}

/**
 * Browsers and workbenches on a busy machine can miss a key or a second, so their files that failed run once more, one by
 * one with nothing beside them; nothing else gets a second chance.
 */
async function runLanes(lanes) {
  const total = { passed: 0, failed: 0 };
  const results = await Promise.all(lanes.map((files) => runDriven(files, lanes)));
  for (const lane of results) add(total, lane.total);
  for (const file of results.flatMap(({ again }) => again)) {
    say(`\n${file} failed. A browser is driven there, so it runs once more before that counts.\n`);
    add(total, await runTests([file], 1));
  }
  return total;
}

function add(total, { passed, failed }) {
  total.passed += passed;
  total.failed += failed;
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
  const filesOf = ({ folders }) => folders.filter(isNamed).flatMap(testFiles);
  const [plainFiles, ...drivenFiles] = [plain, ...driven].map(filesOf);
  drivenFiles.at(-1)?.reverse();
  if (plainFiles.length + drivenFiles.flat().length === 0) {
    console.error(`No folder of tests is called ${named.join(' or ')}.`);
    process.exit(2);
  }
  const needsWorkbench = isNamed('workbench');
  const needsChromium = drivenFiles.flat().length > 0;
  // One waits for the network while the other computes.
  const building = build(say);
  const node = installNode(say);
  const total = { passed: 0, failed: 0 };
  const preparing = Promise.all([
    named.length === 0 ? building.then(check) : { passed: 0, failed: 0 },
    needsWorkbench ? building.then(makePackage) : building,
    needsWorkbench ? node.then(() => installWorkbench(say)) : node,
    needsChromium ? node.then(() => installChromium(say)) : null,
  ]);
  // Whoever waits for it below hears of a failure; until then it is not an unheard one.
  preparing.catch(() => {});
  await Promise.all([building, node]);
  if (plainFiles.length > 0) add(total, await runTests(plainFiles, plain.atOnce));
  const [checked] = await preparing;
  add(total, checked);
  const closeChromium = needsWorkbench ? await (await import('./support/chromium.mjs')).shareChromium() : null;
  add(total, await runLanes(drivenFiles));
  await closeChromium?.();
  console.log(`${total.passed} passed, ${total.failed} failed`);
  process.exit(total.failed === 0 && total.passed > 0 ? 0 : 1);
}

await main();
