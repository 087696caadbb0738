/** Half-open range of UTF-16 units in the file's text. */
export type TextRange = readonly [start: number, end: number];

/** Where a circuit test and its statements stand in the text of their file. */
export type TestPlace = { readonly test: TextRange; readonly statements: readonly TextRange[] };

/**
 * Finds the tests and statements in the text of a file that `readAssertionFile` accepts, in the file's order, so that an
 * editor can show a result where it was stated.
 */
export function assertionPlaces(text: string): TestPlace[] {
  const tests: { test: TextRange; statements: TextRange[] }[] = [];
  let statements: TextRange[] = [];
  walk(text, (path, range) => {
    if (path[0] !== 'tests') return;
    if (path.length === 4 && path[2] === 'expect') statements.push(range);
    if (path.length === 2) {
      tests.push({ test: range, statements });
      statements = [];
    }
  });
  return tests;
}

type Step = string | number;
type Visit = (path: readonly Step[], range: TextRange) => void;
type Level = { readonly start: number; key: Step; readonly isList: boolean };

/** Calls `visit` for every object and list of valid JSON text, inner ones first, with its keys from the outermost in. */
function walk(text: string, visit: Visit): void {
  const levels: Level[] = [];
  let lastString = '';
  for (let at = 0; at < text.length; at++) {
    const mark = text[at];
    const level = levels[levels.length - 1];
    if (mark === '"') {
      const end = stringEnd(text, at);
      lastString = text.slice(at, end);
      at = end - 1;
    } else if (mark === '{' || mark === '[') {
      levels.push({ start: at, key: mark === '[' ? 0 : '', isList: mark === '[' });
    } else if (mark === ':' && level) {
      level.key = String(JSON.parse(lastString));
    } else if (mark === ',' && level?.isList) {
      level.key = Number(level.key) + 1;
    } else if (mark === '}' || mark === ']') {
      const closed = levels.pop();
      if (closed)
        visit(
          levels.map(({ key }) => key),
          [closed.start, at + 1],
        );
    }
  }
}

/** The place after the closing quote of the string that opens at `start`. */
function stringEnd(text: string, start: number): number {
  let at = start + 1;
  while (at < text.length && text[at] !== '"') at += text[at] === '\\' ? 2 : 1;
  return at + 1;
}
