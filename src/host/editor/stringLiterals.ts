import type { PlacedText } from './placedText.ts';

export type LiteralLanguage = 'python' | 'javascript' | 'json';

export type StringLiteral = {
  /** With prefix and quotes. */
  readonly start: number;
  readonly end: number;
  /** Between the quotes. */
  readonly contentStart: number;
  readonly contentEnd: number;
  readonly language: LiteralLanguage;
  readonly isRaw: boolean;
  /** Spans lines by its own quotes: Python's triple quotes, JavaScript's backticks. */
  readonly isBlock: boolean;
  /** Holds expressions: `{…}` of an f-string, `${…}` of a template. */
  readonly isTemplate: boolean;
};

/** An expression in a decoded text, by its units. */
export type Expression = { readonly start: number; readonly end: number; readonly name: string };

/** Every string literal of a source text, in order. Comments and regular expressions are passed over. */
export function scanLiterals(source: string, language: LiteralLanguage): StringLiteral[] {
  return language === 'python' ? scanPython(source) : scanJavaScript(source, language);
}

function scanPython(source: string): StringLiteral[] {
  const literals: StringLiteral[] = [];
  const opening = /#[^\n]*|(?<![\w])([rRbBuUfF]{0,2})("""|'''|"|')/g;
  for (let match = opening.exec(source); match !== null; match = opening.exec(source)) {
    const [whole, prefix, quote] = match;
    if (quote === undefined) continue;
    const contentStart = match.index + whole.length;
    const contentEnd = closing(source, contentStart, quote, quote.length === 1);
    const end = Math.min(source.length, contentEnd + quote.length);
    opening.lastIndex = end;
    literals.push({
      start: match.index,
      end,
      contentStart,
      contentEnd,
      language: 'python',
      isRaw: /r/i.test(prefix),
      isBlock: quote.length === 3,
      isTemplate: /f/i.test(prefix),
    });
  }
  return literals;
}

/** Where the closing quote stands; the end of the line or of the source where it is missing. */
function closing(source: string, from: number, quote: string, endsWithLine: boolean): number {
  for (let i = from; i < source.length; i++) {
    if (source[i] === '\\') i++;
    else if (endsWithLine && source[i] === '\n') return i;
    else if (source.startsWith(quote, i)) return i;
  }
  return source.length;
}

function scanJavaScript(source: string, language: LiteralLanguage): StringLiteral[] {
  const literals: StringLiteral[] = [];
  const scan = (from: number, stopAtBrace: boolean): number => {
    let depth = 0;
    let before = '';
    for (let i = from; i < source.length; i++) {
      const c = source[i];
      if (c === '/' && source[i + 1] === '/') i = lineEnd(source, i) - 1;
      else if (c === '/' && source[i + 1] === '*') {
        const end = source.indexOf('*/', i + 2);
        i = end < 0 ? source.length : end + 1;
      } else if (c === '/' && language === 'javascript' && startsExpression(before)) {
        i = regularExpressionEnd(source, i);
        before = ')';
      } else if (c === '"' || (c === "'" && language === 'javascript')) {
        const contentEnd = closing(source, i + 1, c, true);
        const end = Math.min(source.length, contentEnd + 1);
        const fixed = { language, isRaw: false, isBlock: false, isTemplate: false };
        literals.push({ start: i, end, contentStart: i + 1, contentEnd, ...fixed });
        i = end - 1;
        before = ')';
      } else if (c === '`' && language === 'javascript') {
        const at = literals.length;
        const contentEnd = templateEnd(i + 1);
        const end = Math.min(source.length, contentEnd + 1);
        const fixed = { language, isRaw: false, isBlock: true, isTemplate: true };
        literals.splice(at, 0, { start: i, end, contentStart: i + 1, contentEnd, ...fixed });
        i = end - 1;
        before = ')';
      } else if (c === '{') {
        depth++;
        before = c;
      } else if (c === '}') {
        if (stopAtBrace && depth === 0) return i;
        depth--;
        before = c;
      } else if (/\S/.test(c)) before = /\w/.test(c) && /\w/.test(source[i - 1] ?? '') ? before + c : c;
    }
    return source.length;
  };
  const templateEnd = (from: number): number => {
    for (let i = from; i < source.length; i++) {
      if (source[i] === '\\') i++;
      else if (source[i] === '`') return i;
      else if (source[i] === '$' && source[i + 1] === '{') i = scan(i + 2, true);
    }
    return source.length;
  };
  scan(0, false);
  return literals;
}

function lineEnd(source: string, from: number): number {
  const end = source.indexOf('\n', from);
  return end < 0 ? source.length : end;
}

/** True where a slash begins a regular expression and not a division, by the word or sign before it. */
function startsExpression(before: string): boolean {
  return before === '' || /^[([{,;=:?!&|+\-*%~^<>]$/.test(before) || /^(return|typeof|case|in|of|void)$/.test(before);
}

function regularExpressionEnd(source: string, start: number): number {
  let isInClass = false;
  for (let i = start + 1; i < source.length; i++) {
    const c = source[i];
    if (c === '\n') return start;
    if (c === '\\') i++;
    else if (c === '[') isInClass = true;
    else if (c === ']') isInClass = false;
    else if (c === '/' && !isInClass) return i;
  }
  return start;
}

const simpleEscapes: Readonly<Record<string, string>> = {
  n: '\n',
  t: '\t',
  r: '\r',
  b: '\b',
  f: '\f',
  v: '\v',
  a: '\x07',
};

/** What the literal stands for at run time, each unit with its place; expressions stay as written and are listed. */
export function decodeLiteral(
  source: string,
  literal: StringLiteral,
): { readonly placed: PlacedText; readonly expressions: readonly Expression[] } {
  let text = '';
  const places: number[] = [];
  const expressions: Expression[] = [];
  const push = (piece: string, place: number, runsInStep = false): void => {
    for (let i = 0; i < piece.length; i++) places.push(runsInStep ? place + i : place);
    text += piece;
  };
  for (let i = literal.contentStart; i < literal.contentEnd; ) {
    const c = source[i];
    if (c === '\\' && !literal.isRaw) {
      const [piece, length] = unescapeAt(source, i, literal);
      push(piece, i);
      i += length;
    } else if (literal.isTemplate && literal.language === 'python' && (c === '{' || c === '}') && source[i + 1] === c) {
      push(c, i);
      i += 2;
    } else if (literal.isTemplate && source.startsWith(literal.language === 'python' ? '{' : '${', i)) {
      const end = bracesEnd(source, source.indexOf('{', i), literal.contentEnd);
      const start = text.length;
      const inside = source.slice(source.indexOf('{', i) + 1, end - 1);
      push(source.slice(i, end), i, true);
      const name = literal.language === 'python' ? inside.replace(/(![rsa])?(:[^:{}[\]()]*)?=?$/, '') : inside;
      expressions.push({ start, end: text.length, name: name.trim() });
      i = end;
    } else {
      push(c, i);
      i++;
    }
  }
  places.push(literal.contentEnd);
  return { placed: { text, places }, expressions };
}

/** The text of the escape at `i` and how many units it takes in the source. */
function unescapeAt(source: string, i: number, { language, contentEnd }: StringLiteral): [string, number] {
  const c = source[i + 1] ?? '';
  if (i + 1 >= contentEnd) return ['\\', 1];
  if (c === '\r' && source[i + 2] === '\n') return ['', 3];
  if (c === '\n') return ['', 2];
  if (c in simpleEscapes && (c !== 'a' || language === 'python')) return [simpleEscapes[c], 2];
  const rest = source.slice(i + 1, Math.min(contentEnd, i + 12));
  const braced = language === 'javascript' ? /^u\{([0-9a-fA-F]{1,6})\}/.exec(rest) : null;
  const coded = braced ?? /^(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8}))/.exec(rest);
  if (coded !== null) {
    const code = Number.parseInt(coded.slice(1).find((digits) => digits !== undefined) ?? '0', 16);
    if (code <= 0x10ffff) return [String.fromCodePoint(code), 1 + coded[0].length];
  }
  const octal = /^[0-7]{1,3}/.exec(rest);
  if (octal !== null) return [String.fromCharCode(Number.parseInt(octal[0], 8)), 1 + octal[0].length];
  // Python keeps the backslash of an escape it does not know; JavaScript and JSON drop it.
  return language === 'python' && !'\\\'"'.includes(c) ? [`\\${c}`, 2] : [c, 2];
}

/** The end of the braced expression that opens at `open`, behind its closing brace; braces in its strings do not count. */
function bracesEnd(source: string, open: number, limit: number): number {
  let depth = 0;
  for (let i = open; i < limit; i++) {
    const c = source[i];
    if (c === '{') depth++;
    else if (c === '}' && --depth === 0) return i + 1;
    else if (c === '"' || c === "'") i = Math.min(limit, closing(source, i + 1, c, true));
  }
  return limit;
}
