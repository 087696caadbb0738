import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { readAssertionFile } from '../src/graph/assertionFile.ts';

const root = path.join(import.meta.dirname, '..');
const table = path.join(root, 'media', 'docs', 'features.md');

function text(file: string): string {
  // Names in single quotes may hold escaped ones.
  return readFileSync(file, 'utf8').replaceAll("\\'", "'");
}

test('every test and screen that the table of features names is there', () => {
  const states = 'test/screens/states.ts';
  let count = 0;
  for (const row of text(table)
    .split('\n')
    .filter((line) => line.startsWith('|'))) {
    let file = '';
    // A link or the word “screen” says where the names after it are.
    for (const [, link, screen, name] of row.matchAll(/\]\(([^)]+)\)|(\bscreens? )(?=“)|“([^”]+)”/g)) {
      if (link) file = path.join('media', 'docs', link);
      if (screen) file = states;
      if (!name) continue;
      assert.ok(text(path.join(root, file)).includes(name), `${file} has no “${name}”`);
      count += 1;
    }
  }
  assert.ok(count >= 80, `only ${count} names were found`);
});

test('the circuit test in the documentation is one that can be run', () => {
  const [, example] = /```json\n([\s\S]*?)```/.exec(text(path.join(root, 'media', 'docs', 'files.md'))) ?? [];
  const [dallas] = readAssertionFile(example ?? '').tests;
  assert.equal(dallas.statements.length, 4);
});
