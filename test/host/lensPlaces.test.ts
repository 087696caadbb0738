import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findPrompt } from '../../src/host/editor/findPrompt.ts';
import { lensPlaces } from '../../src/host/editor/lensPlaces.ts';
import { tokensBetween } from '../../src/host/editor/tokenPlaces.ts';

/** The prompts behind the lenses of a document, as *Trace Prompt* finds them there. */
function prompts(text: string, languageId: string, fileName = 'file'): string[] {
  const document = { text, languageId, fileName };
  return lensPlaces(document).map((offset) => {
    const found = findPrompt(document, offset);
    assert.ok(found, `nothing at ${offset}`);
    return found.parts.map(({ content }) => content.text).join('|');
  });
}

test('strings of a program that are called prompts have a lens, and other strings have none', () => {
  const python = `"""Docstring of the module, with many words in it."""
PROMPT = "The capital of the state containing Dallas is"
greeting = "Hello there, this is no prompt"
system_prompt: str = f"""
    You are a careful assistant of {name}.
"""
joined_prompt = ("The capital of France" +
                 " is the city of")
messages = [{"role": "user", "content": "Who wrote the Iliad?"}]
key = "prompt"
option(prompt="two words")
`;
  assert.deepEqual(prompts(python, 'python'), [
    'The capital of the state containing Dallas is',
    'You are a careful assistant of {name}.',
    'The capital of France is the city of',
    'Who wrote the Iliad?',
  ]);
  const typescript = `import x from 'a prompt of sorts';
const prompts = [
  'The first of the prompts',
  \`The second, with \${value} in it\`,
];
const other = ['not a prompt at all'];
export const instructions: string = 'Answer in one word.';
ask({ prompt: 'What is the capital of Peru?' });
`;
  assert.deepEqual(prompts(typescript, 'typescript'), [
    'The first of the prompts',
    ['The second, with ', '{value} in it'].join('$'),
    'Answer in one word.',
    'What is the capital of Peru?',
  ]);
});

test('prompt files and blocks of YAML files have one, prose and data have none', () => {
  const prompty = '---\nname: x\n---\nsystem:\nYou are terse.\n\nuser:\nHello\n';
  assert.deepEqual(prompts(prompty, 'prompty', 'a.prompty'), ['You are terse.|Hello']);
  assert.deepEqual(prompts('Fix the bug.', 'markdown', 'fix.prompt.md'), ['Fix the bug.']);
  assert.deepEqual(prompts('The capital of France is', 'markdown', 'notes.md'), []);
  assert.deepEqual(prompts('{"prompt": "The capital of France is"}', 'json', 'data.json'), []);
  const yaml =
    'tests: 3\nprompts:\n  - id: a\n    system_prompt: |\n      You are terse.\n      Very.\nnote: |\n  Not this.\n';
  assert.deepEqual(prompts(yaml, 'yaml', 'promptfoo.yaml'), ['You are terse.\nVery.']);
});

test('a document of a megabyte, and one of a thousand prompts, are looked at quickly', () => {
  assert.deepEqual(lensPlaces({ text: 'x'.repeat(600_000), languageId: 'python', fileName: 'a.py' }), []);
  const many = 'prompt = "one two three four"\n'.repeat(1000);
  const started = performance.now();
  assert.equal(lensPlaces({ text: many, languageId: 'python', fileName: 'a.py' }).length, 200);
  const hostile = `prompt${' '.repeat(200_000)}`;
  assert.deepEqual(
    lensPlaces({ text: `${hostile}"a b c d"`, languageId: 'python', fileName: 'a.py' }).length <= 1,
    true,
  );
  assert.ok(performance.now() - started < 2000);
});

test('a selection touches the tokens under it; the whole prompt and nothing are no choice', () => {
  const ranges: [number, number][][] = [
    [],
    [[10, 13]],
    [[13, 20]],
    [
      [20, 24],
      [30, 31],
    ],
  ];
  assert.deepEqual(tokensBetween(ranges, [[14, 15]]), [2]);
  assert.deepEqual(tokensBetween(ranges, [[12, 14]]), [1, 2]);
  assert.deepEqual(tokensBetween(ranges, [[30, 31]]), [3]);
  assert.deepEqual(tokensBetween(ranges, [[13, 13]]), [], 'a cursor selects nothing');
  assert.deepEqual(tokensBetween(ranges, [[10, 24]]), []);
  assert.deepEqual(tokensBetween(ranges, [[0, 9]]), []);
  assert.deepEqual(
    tokensBetween(ranges, [
      [10, 11],
      [22, 23],
    ]),
    [1, 3],
  );
});
