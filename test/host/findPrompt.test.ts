// biome-ignore-all lint/suspicious/noTemplateCurlyInString: placeholders of the languages that prompts are written in
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { findPrompt, promptOfFile, promptOfSelection } from '../../src/host/editor/findPrompt.ts';
import {
  dedented,
  type PlacedText,
  placedSlice,
  rangesInDocument,
  segmentsOf,
} from '../../src/host/editor/placedText.ts';
import { fillPlaceholders } from '../../src/host/editor/placeholders.ts';

const names: Readonly<Record<string, string>> = {
  python: 'a.py',
  typescript: 'a.ts',
  typescriptreact: 'a.tsx',
  json: 'a.json',
  yaml: 'promptfooconfig.yaml',
  markdown: 'a.md',
  plaintext: 'a.txt',
};

/** The prompt found at `|` in the source, as [kind, texts of its parts, names of its placeholders]. */
function at(languageId: string, marked: string, fileName = names[languageId]) {
  const offset = marked.indexOf('|');
  const text = marked.slice(0, offset) + marked.slice(offset + 1);
  const found = findPrompt({ text, languageId, fileName }, offset);
  if (found === null) return null;
  for (const { content } of found.parts) checkPlaces(text, content);
  return {
    kind: found.kind,
    texts: found.parts.map((part) => part.content.text),
    roles: found.parts.map((part) => part.role),
    placeholders: found.parts.flatMap((part) =>
      part.placeholders.map(({ start, end, name }) => [name, part.content.text.slice(start, end)]),
    ),
  };
}

/** A unit stands where its place says, or is what an escape there means. */
function checkPlaces(document: string, { text, places }: PlacedText): void {
  assert.equal(places.length, text.length + 1);
  for (let i = 0; i < text.length; i++) {
    assert.ok(
      document[places[i]] === text[i] || document[places[i]] === '\\' || document[places[i]] === '{',
      `unit ${i}`,
    );
    assert.ok(places[i + 1] >= places[i]);
  }
}

function checkText(languageId: string, marked: string, expected: string): void {
  assert.deepEqual(at(languageId, marked)?.texts, [expected]);
}

test('a Python string under the cursor is unescaped', () => {
  checkText('python', `run("Say \\"hi\\"\\nto |Bob\\x21 \\u00e9", 1)`, 'Say "hi"\nto Bob! é');
  checkText('python', `x = 'one'; y = 'two|'`, 'two');
  checkText('python', `p = r"C:\\n|ew"`, 'C:\\new');
});

test('a triple-quoted string is dedented and loses its empty first and last lines', () => {
  checkText(
    'python',
    `def f():\n    p = """\n    The capital of\n      France is|\n    """\n`,
    'The capital of\n  France is',
  );
  checkText('python', `p = """The capital\n    of France|"""`, 'The capital\nof France');
});

test('Python strings beside each other are one prompt', () => {
  checkText('python', `p = ("The capital "\n     "of |France ")\nq = "other"`, 'The capital of France ');
  checkText('python', `p = "The capital " + \\\n  "of |France"`.replace('\\\n', '\n'), 'The capital of France');
  checkText('python', `f("a", "b|")`, 'b');
});

test('quotes in comments and hashes in strings do not mislead', () => {
  checkText('python', `# don't\np = "a # b|"`, 'a # b');
  checkText('typescript', `// don't\nconst p = "it's |here"; /* " */`, "it's here");
  checkText('typescript', `const r = /["'\`]/g; const p = 'found|';`, 'found');
  checkText('typescript', `const half = n / 2; const p = "x|"; const q = n / 3;`, 'x');
});

test('expressions of f-strings and templates are placeholders, doubled braces are not', () => {
  const python = at('python', `p = f"Hi {user.name!r:>10}, {{literal}} |{count}"`);
  assert.deepEqual(python?.texts, ['Hi {user.name!r:>10}, {literal} {count}']);
  assert.deepEqual(python?.placeholders, [
    ['user.name', '{user.name!r:>10}'],
    ['count', '{count}'],
  ]);
  const template = at('typescript', 'ask(`The capital of ${place({a: "}"})} |is`)');
  assert.deepEqual(template?.placeholders, [['place({a: "}"})', '${place({a: "}"})}']]);
});

test('placeholders of a dedented template keep their places', () => {
  const found = at('typescript', 'const p = `\n    Name: ${name}\n    Answer|: ${x}\n  `;');
  assert.deepEqual(found?.texts, ['Name: ${name}\nAnswer: ${x}']);
  assert.deepEqual(found?.placeholders, [
    ['name', '${name}'],
    ['x', '${x}'],
  ]);
});

test('a TSX prompt and a JSON message are found; a JSON key is not taken for the value on its line', () => {
  checkText('typescriptreact', `<Prompt text="The capital of |Texas" other={1} />`, 'The capital of Texas');
  checkText(
    'json',
    `{"role": "user", "con|tent": "x"}`.replace('"con|tent": "x"', '"content": "Say \\"hi\\"|"'),
    'Say "hi"',
  );
  checkText('json', `{\n  |  "content": "Hello"\n}`, 'Hello');
});

test('code outside a string has no prompt', () => {
  assert.equal(at('python', 'x = 1\nfor i in |range(3): pass'), null);
  assert.equal(at('typescript', 'const a |= 1;'), null);
});

test('a paragraph ends at empty lines, headings, rules and fences', () => {
  checkText('markdown', '# Title\nThe capital of\nTexas |is\n\nOther', 'The capital of\nTexas is');
  checkText('plaintext', 'first prompt\n---\nsecond |prompt\n---\nthird', 'second prompt');
  checkText('markdown', '```\nThe capital is|\n```', 'The capital is');
  assert.equal(at('markdown', 'a\n|\nb'), null);
  assert.equal(at('markdown', '|'), null);
});

test('the body of a prompt file is the prompt, with its variables asked for', () => {
  const file = '---\nname: x\n---\nExplain ${input:topic:what?} to |{{ reader }}.\n';
  const found = at('prompt', file, 'explain.prompt.md');
  assert.deepEqual(found?.texts, ['Explain ${input:topic:what?} to {{ reader }}.']);
  assert.deepEqual(found?.placeholders, [
    ['topic', '${input:topic:what?}'],
    ['reader', '{{ reader }}'],
  ]);
});

test('role lines of prompty and role helpers of dotprompt become messages', () => {
  const prompty = at('prompty', '---\nname: x\n---\nsystem:\nBe brief.\n\nuser:\nHi |{{name}}\n', 'a.prompty');
  assert.deepEqual(
    [prompty?.roles, prompty?.texts],
    [
      ['system', 'user'],
      ['Be brief.', 'Hi {{name}}'],
    ],
  );
  const dot = at('prompt', '{{role "system"}}Be brief.{{role "model"}}Ok.{{role "user"}}Go|', 'a.prompt');
  assert.deepEqual(
    [dot?.roles, dot?.texts],
    [
      ['system', 'assistant', 'user'],
      ['Be brief.', 'Ok.', 'Go'],
    ],
  );
});

test('a prompty for completion is plain text, and brings the values of its inputs', () => {
  const text =
    '---\nmodel:\n  api: completion\ninputs:\n  first: Mary\n  second:\n    type: string\n    default: "John"\n---\nuser:\nWhen {{first}} met {{second}}';
  const found = findPrompt({ text, languageId: 'prompty', fileName: 'a.prompty' }, 0);
  assert.deepEqual(
    found?.parts.map((part) => [part.role, part.content.text]),
    [[null, 'When {{first}} met {{second}}']],
  );
  assert.deepEqual(
    [...(found?.samples ?? [])],
    [
      ['first', 'Mary'],
      ['second', 'John'],
    ],
  );
});

test('the variables of a promptfoo test fill its placeholders', () => {
  const text =
    "prompts:\n  - 'The capital of {{state}} is'\ntests:\n  - vars:\n      state: Texas # a comment\n  - vars:\n      state: Ohio\n";
  const found = findPrompt({ text, languageId: 'yaml', fileName: 'a.yaml' }, text.indexOf('capital'));
  assert.equal(found?.samples?.get('state'), 'Texas');
  assert.equal(found?.parts[0].content.text, 'The capital of {{state}} is');
});

test('a block of a YAML file is dedented; a value on its line is taken without its quotes', () => {
  checkText(
    'yaml',
    'prompts:\n  - |\n    The capital of\n    {{state}} is|\n  - other\n'.replace('- |\n', '- >\n'),
    'The capital of\n{{state}} is',
  );
  checkText('yaml', 'prompts:\n  - "The capital of |Texas is"\n', 'The capital of Texas is');
  checkText('yaml', 'prompt: The capital of |Texas is\n', 'The capital of Texas is');
});

test('a selection inside a string is unescaped; elsewhere it is taken as it is; blank is refused', () => {
  const text = 'p = "one\\ntwo three"';
  const source = { text, languageId: 'python', fileName: 'a.py' };
  const select = (part: string): string | undefined => {
    const start = text.indexOf(part);
    return promptOfSelection(source, start, start + part.length)?.parts[0].content.text;
  };
  assert.equal(select('one\\ntwo'), 'one\ntwo');
  assert.equal(select('"one\\ntwo three"'), 'one\ntwo three');
  assert.equal(select('p = "one'), 'p = "one');
  assert.equal(promptOfSelection(source, 1, 2), null);
  const markdown = { text: ' two words ', languageId: 'markdown', fileName: 'a.md' };
  assert.equal(promptOfSelection(markdown, 0, 11)?.parts[0].content.text, ' two words ');
  const line = { text: '# Title\r\n\r\ntwo words \r\nmore', languageId: 'markdown', fileName: 'a.md' };
  assert.equal(
    promptOfSelection(line, 7, 23)?.parts[0].content.text,
    'two words ',
    'a line break at an end is no prompt',
  );
});

test('of a file without a cursor the longest string, the body or the whole text is taken', () => {
  const file = (languageId: string, fileName: string, text: string) =>
    promptOfFile({ text, languageId, fileName })?.parts[0].content.text;
  assert.equal(file('python', 'a.py', 'a = "x"; b = "the longer one"; c = "y"'), 'the longer one');
  assert.equal(file('markdown', 'a.prompt.md', '---\nx: 1\n---\nBody\n'), 'Body');
  assert.equal(file('plaintext', 'a.txt', '\n All of it.\n'), 'All of it.');
  assert.equal(file('plaintext', 'a.txt', ' \n'), undefined);
});

test('filling placeholders keeps every other unit at its place', () => {
  const text = 'Hi {a}, {b}!';
  const filled = fillPlaceholders(
    placedSlice(text, 0, text.length),
    [
      { name: 'a', start: 3, end: 6 },
      { name: 'b', start: 8, end: 11 },
    ],
    new Map([['a', 'Ann Lee']]),
  );
  assert.equal(filled.text, 'Hi Ann Lee, {b}!');
  assert.equal(text[filled.places[filled.text.length - 1]], '!');
});

test('segments lead from any part of a prompt to its ranges in the document', () => {
  const document = 'p = "a\\nbc"';
  const found = findPrompt({ text: document, languageId: 'python', fileName: 'a.py' }, 6);
  assert.ok(found);
  const segments = segmentsOf(found.parts[0].content);
  const words = (start: number, end: number): string[] =>
    rangesInDocument(segments, start, end).map(([a, b]) => document.slice(a, b));
  assert.deepEqual(words(0, 1), ['a']);
  assert.deepEqual(words(2, 4), ['bc']);
});

test('finding a prompt in any text neither fails nor leaves the document', () => {
  const piece = fc.constantFrom(
    '"',
    "'",
    '`',
    '"""',
    '\\',
    '\n',
    '{',
    '}',
    '${',
    '#',
    '//',
    '/*',
    'f"',
    ' ',
    'a',
    '- |\n',
    ':',
    '---\n',
    '/',
    'é',
  );
  fc.assert(
    fc.property(
      fc.array(piece, { maxLength: 30 }).map((pieces) => pieces.join('')),
      fc.constantFrom(...Object.keys(names)),
      fc.nat(60),
      (text, languageId, offset) => {
        const document = { text, languageId, fileName: names[languageId] };
        for (const found of [findPrompt(document, Math.min(offset, text.length)), promptOfFile(document)]) {
          if (found === null) continue;
          assert.ok(found.range[0] >= 0 && found.range[1] <= text.length && found.range[0] <= found.range[1]);
          for (const { content, placeholders } of found.parts) {
            assert.equal(content.places.length, content.text.length + 1);
            assert.ok(content.places.every((place) => place >= 0 && place <= text.length));
            assert.ok(placeholders.every(({ start, end }) => start >= 0 && start < end && end <= content.text.length));
          }
        }
      },
    ),
    { numRuns: 2000 },
  );
});

test('dedenting takes from each line what all of them share', () => {
  fc.assert(
    fc.property(fc.array(fc.constantFrom('a', '  b', '    c', '', ' d'), { minLength: 1, maxLength: 6 }), (lines) => {
      const text = `\n${lines.map((line) => `  ${line}`).join('\n')}\n`;
      const { text: out } = dedented(placedSlice(text, 0, text.length));
      const full = out.split('\n').filter((line) => line.trim() !== '');
      if (full.length > 0) assert.ok(full.some((line) => !line.startsWith(' ')));
      assert.equal(out.replace(/\s/g, ''), text.replace(/\s/g, ''));
    }),
  );
});
