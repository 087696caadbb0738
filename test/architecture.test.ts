import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';

const root = path.join(import.meta.dirname, '..');

type Row = readonly [files: RegExp, imports: RegExp];

/** A file may import what any row whose first pattern fits it allows; src/README.md explains the table. */
const folders: readonly Row[] = [
  [/^src\/graph\//, /^src\/graph\//],
  [/^src\/protocol\//, /^src\/(protocol|graph)\//],

  // The engine, from the bottom up: each folder sees itself and those before it.
  [/^src\/engine\//, /^(node:.*|src\/(graph|protocol)\/.*)$/],
  [/^src\/engine\/runtime\//, /^src\/engine\/runtime\//],
  [/^src\/engine\/model\//, /^src\/engine\/(runtime|model)\//],
  [/^src\/engine\/transcoders\//, /^src\/engine\/(runtime|model|transcoders)\//],
  [/^src\/engine\/attribution\//, /^src\/engine\/(runtime|model|transcoders|attribution)\//],
  [/^src\/engine\/interventions\//, /^src\/engine\/(runtime|model|transcoders|attribution|interventions)\//],
  [/^src\/engine\/[^/]+\.ts$/, /^src\/engine\/(?!main\.ts)/],
  [/^src\/engine\/main\.ts$/, /^src\/engine\//],
  [/^src\/cli\//, /^(node:.*|src\/(cli|engine|graph|protocol)\/.*)$/],

  [/^src\/host\//, /^(node:.*|vscode|src\/(host|graph|protocol)\/.*)$/],
  [/^src\/extension\.ts$/, /^(node:path|vscode|src\/host\/.*)$/],
  [/^webview\//, /^(webview|src\/graph|src\/protocol)\//],
];

const single: readonly Row[] = [
  // Packages, each in one file, so that another one can take its place there.
  [/^src\/engine\/runtime\/session\.ts$/, /^onnxruntime-node$/],
  [/^src\/engine\/model\/tokenizer\.ts$/, /^@huggingface\/transformers$/],
  [/^src\/engine\/transcoders\/setConfig\.ts$/, /^yaml$/],
  [/^webview\/layout\/elk\.ts$/, /^elkjs\//],
  [/^webview\/controls\.ts$/, /^@vscode\/webview-ui-toolkit$/],

  // Exceptions, each with its reason and the way out.
  // What refuses a file must say why. Way out: none wanted; errors.ts imports nothing.
  [/^src\/graph\//, /^src\/protocol\/errors\.ts$/],
  // VS Code replaces the modules `http` and `https` by name with ones that know its proxy settings, not `node:http`.
  [/^src\/host\/remote\/http\.ts$/, /^https?$/],
];

function sourceFiles(folder: string): readonly string[] {
  return readdirSync(path.join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !name.includes('node_modules'))
    .map((name) => path.posix.join(folder, name.replaceAll(path.sep, '/')));
}

function text(file: string): string {
  return readFileSync(path.join(root, file), 'utf8');
}

/** What a file imports, exports from or loads later: packages by name, files by their place in the repository. */
function importsOf(file: string): readonly string[] {
  const found = text(file).matchAll(/(?:^|[\s;}])(?:from|import)\s*\(?\s*'([^'\n]+)'/g);
  return Array.from(found, ([, name]) =>
    name.startsWith('.') ? path.posix.normalize(path.posix.join(path.posix.dirname(file), name)) : name,
  );
}

test('each file imports only what its folder may', () => {
  const files = [...sourceFiles('src'), ...sourceFiles('webview')];
  const imports = files.flatMap((file) => importsOf(file).map((name) => ({ file, name })));
  assert.ok(files.length >= 100, `only ${files.length} files were found`);
  assert.ok(imports.length >= 400, `only ${imports.length} imports were found`);
  const forbidden = imports.filter(
    ({ file, name }) => ![...folders, ...single].some(([from, to]) => from.test(file) && to.test(name)),
  );
  assert.deepEqual(
    forbidden.map(({ file, name }) => `${file} imports ${name}`),
    [],
  );
});

test('packages and exceptions are listed only while something needs them', () => {
  const files = [...sourceFiles('src'), ...sourceFiles('webview')];
  const imports = files.flatMap((file) => importsOf(file).map((name) => ({ file, name })));
  const unused = single.filter(([from, to]) => !imports.some(({ file, name }) => from.test(file) && to.test(name)));
  assert.deepEqual(unused.map(String), []);
});

test('the commands of the manifest are those that the extension registers', () => {
  const manifest: { contributes: { commands: { command: string }[] } } = JSON.parse(text('package.json'));
  const declared = manifest.contributes.commands.map(({ command }) => command);
  const registered = Array.from(text('src/extension.ts').matchAll(/^ {4}'(promptCircuits\.\w+)':/gm), ([, id]) => id);
  assert.ok(registered.length > 10, `only ${registered.length} commands were found`);
  assert.deepEqual(registered.toSorted(), declared.toSorted());
});

test('nothing has the type that turns checking off', () => {
  const files = [...sourceFiles('src'), ...sourceFiles('webview'), ...sourceFiles('test')];
  const found = files.filter((file) =>
    /(?::|\bas|<|\|)\s*any\b(?!['`])/.test(text(file).replace(/(\/\/.*|^\s*\*.*)$/gm, '')),
  );
  assert.deepEqual(found, []);
});

test('no buffer is moved between threads: every loop over typed arrays would be slower from then on', () => {
  const posting = [...sourceFiles('src'), ...sourceFiles('webview')].filter((file) => /postMessage\(/.test(text(file)));
  assert.ok(posting.length >= 4, `only ${posting.length} files post messages`);
  const moving = posting.filter((file) => /postMessage\([^;]*,\s*(\[|moved|transfer)|transfer:/.test(text(file)));
  assert.deepEqual(moving, []);
});
