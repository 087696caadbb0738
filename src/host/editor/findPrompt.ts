import { dedented, joined, type PlacedText, placedSlice, sliceOf, trimmed } from './placedText.ts';
import { findPlaceholders, type Placeholder } from './placeholders.ts';
import { bodyStart, isPromptFile, type PromptPart, promptFileParts, sampleValues } from './promptFile.ts';
import { decodeLiteral, type LiteralLanguage, type StringLiteral, scanLiterals } from './stringLiterals.ts';

export type SourceDocument = { readonly text: string; readonly languageId: string; readonly fileName: string };

/** A prompt in a document: what goes to the model, where it stands, and what is still to be filled in. */
export type FoundPrompt = {
  readonly kind: 'selection' | 'string' | 'prompt file' | 'paragraph' | 'block' | 'whole file';
  /** The document's range that is shown as the prompt. */
  readonly range: readonly [start: number, end: number];
  readonly parts: readonly (PromptPart & { readonly placeholders: readonly Placeholder[] })[];
  /** Values that the document itself gives for placeholders, to begin with. */
  readonly samples?: ReadonlyMap<string, string>;
};

const literalLanguages: Readonly<Record<string, LiteralLanguage>> = {
  python: 'python',
  javascript: 'javascript',
  javascriptreact: 'javascript',
  typescript: 'javascript',
  typescriptreact: 'javascript',
  json: 'json',
  jsonc: 'json',
  jsonl: 'json',
};

/**
 * The prompt around the cursor: a string or template of a program, a prompt file's body, a block of a YAML file, or the
 * paragraph. Null where there is none, as in code outside a string.
 */
export function findPrompt(document: SourceDocument, offset: number): FoundPrompt | null {
  if (isPromptFile(document.fileName)) return fromPromptFile(document.text);
  const language = literalLanguages[document.languageId];
  if (language !== undefined) return stringAround(document.text, language, offset, offset);
  if (document.languageId === 'yaml') {
    const found = yamlBlock(document.text, offset) ?? paragraph(document.text, offset);
    return found === null ? null : { ...found, samples: sampleValues(document.text) };
  }
  return paragraph(document.text, offset);
}

/**
 * What a selection stands for: inside a string literal its run-time text, elsewhere the text as it is, less the line
 * breaks at its ends (a triple click takes the one after the line). Null when blank.
 */
export function promptOfSelection(document: SourceDocument, from: number, to: number): FoundPrompt | null {
  if (document.text.slice(from, to).trim() === '') return null;
  let [start, end] = [from, to];
  while ('\r\n'.includes(document.text[start])) start++;
  while ('\r\n'.includes(document.text[end - 1])) end--;
  const language = literalLanguages[document.languageId];
  const literal = language === undefined ? null : stringAround(document.text, language, start, end);
  if (literal !== null) {
    const { content } = literal.parts[0];
    const first = Math.max(
      0,
      content.places.findIndex((place) => place >= start),
    );
    const last = content.places.findLastIndex((place, i) => i < content.text.length && place < end) + 1;
    if (last > first) return whole('selection', [start, end], sliceOf(content, first, last));
  }
  return whole('selection', [start, end], placedSlice(document.text, start, end));
}

/** The prompt of a file chosen outside an editor: its body, its longest string, or all of its text. */
export function promptOfFile(document: SourceDocument): FoundPrompt | null {
  if (isPromptFile(document.fileName)) return fromPromptFile(document.text);
  const language = literalLanguages[document.languageId];
  if (language !== undefined) {
    const literals = scanLiterals(document.text, language);
    const longest = literals.reduce<StringLiteral | null>(
      (a, b) => (a === null || b.contentEnd - b.contentStart > a.contentEnd - a.contentStart ? b : a),
      null,
    );
    return longest === null ? null : stringAround(document.text, language, longest.contentStart, longest.contentStart);
  }
  const content = trimmed(placedSlice(document.text, 0, document.text.length));
  return content.text === '' ? null : whole('whole file', rangeOf(content), content);
}

function whole(kind: FoundPrompt['kind'], range: readonly [number, number], content: PlacedText): FoundPrompt {
  return { kind, range, parts: [{ role: null, content, placeholders: findPlaceholders(content.text) }] };
}

function rangeOf(content: PlacedText): readonly [number, number] {
  return [content.places[0], content.places[content.text.length]];
}

function fromPromptFile(text: string): FoundPrompt | null {
  const parts = promptFileParts(text)
    .filter((part) => part.content.text !== '')
    .map((part) => ({ ...part, placeholders: findPlaceholders(part.content.text) }));
  if (parts.length === 0) return null;
  return {
    kind: 'prompt file',
    range: [rangeOf(parts[0].content)[0], rangeOf(parts[parts.length - 1].content)[1]],
    parts,
    samples: sampleValues(text.slice(0, bodyStart(text))),
  };
}

/** The literal that holds [start, end], with the neighbours it is joined to by `+` or by standing next to each other. */
function stringAround(source: string, language: LiteralLanguage, start: number, end: number): FoundPrompt | null {
  // Strings inside a template's expressions belong to the template.
  const literals: StringLiteral[] = [];
  for (const literal of scanLiterals(source, language)) {
    if (literal.start >= (literals.at(-1)?.end ?? 0)) literals.push(literal);
  }
  const inside = literals.findIndex((literal) => literal.start <= start && end <= literal.end);
  const sameLine = (literal: StringLiteral): boolean => !/\n/.test(source.slice(...order(start, literal.start)));
  const at =
    inside >= 0 || start !== end
      ? inside
      : literals.findIndex((literal) => sameLine(literal) && !isKey(source, literal, language));
  if (at < 0) return null;
  let first = at;
  let last = at;
  while (first > 0 && isJoined(source, literals[first - 1], literals[first], language)) first--;
  while (last + 1 < literals.length && isJoined(source, literals[last], literals[last + 1], language)) last++;
  const placeholders: Placeholder[] = [];
  const pieces: PlacedText[] = [];
  let length = 0;
  for (const literal of literals.slice(first, last + 1)) {
    const { content, expressions } = decoded(source, literal);
    for (const { name, ...at } of expressions)
      placeholders.push({ name, start: at.start + length, end: at.end + length });
    pieces.push(content);
    length += content.text.length;
  }
  const content = joined(pieces);
  if (content.text.trim() === '') return null;
  return {
    kind: 'string',
    range: [literals[first].start, literals[last].end],
    parts: [{ role: null, content, placeholders }],
  };
}

/** A literal's text, dedented where its quotes span lines, and its gaps. */
function decoded(source: string, literal: StringLiteral): { content: PlacedText; expressions: readonly Placeholder[] } {
  const { placed, expressions } = decodeLiteral(source, literal);
  const content = literal.isBlock ? dedented(placed) : placed;
  if (!literal.isTemplate) return { content, expressions: findPlaceholders(content.text) };
  // Dedenting moved the units: find each expression again by its place in the document.
  const moved = expressions.map(({ start, end, name }) => {
    const from = content.places.indexOf(placed.places[start]);
    return { name, start: from, end: from + end - start };
  });
  return { content, expressions: moved.filter(({ start, end }) => start >= 0 && end <= content.text.length) };
}

function order(a: number, b: number): [number, number] {
  return a < b ? [a, b] : [b, a];
}

function isKey(source: string, literal: StringLiteral, language: LiteralLanguage): boolean {
  return language === 'json' && /^\s*:/.test(source.slice(literal.end, literal.end + 40));
}

function isJoined(source: string, a: StringLiteral, b: StringLiteral, language: LiteralLanguage): boolean {
  if (language === 'json') return false;
  const between = source.slice(a.end, b.start);
  return /^\s*\+\s*$/.test(between) || (language === 'python' && /^[^\S\n]*\\?\n?[^\S\n]*$/.test(between));
}

/** The lines around the cursor up to an empty line, a heading, or a line of dashes or fences. Null on an empty line. */
function paragraph(text: string, offset: number): FoundPrompt | null {
  const isBreak = (line: string): boolean => line.trim() === '' || /^(#{1,6}\s|-{3,}\s*$|```|~~~)/.test(line);
  let start = lineStart(text, offset);
  if (isBreak(lineAt(text, start))) return null;
  while (start > 0 && !isBreak(lineAt(text, lineStart(text, start - 1)))) start = lineStart(text, start - 1);
  let end = start;
  while (end < text.length && !isBreak(lineAt(text, end))) end += lineAt(text, end).length + 1;
  const content = trimmed(placedSlice(text, start, Math.min(end, text.length)));
  return whole('paragraph', rangeOf(content), content);
}

function lineStart(text: string, offset: number): number {
  // lastIndexOf takes a negative start for 0.
  return offset <= 0 ? 0 : text.lastIndexOf('\n', offset - 1) + 1;
}

function lineAt(text: string, start: number): string {
  const end = text.indexOf('\n', start);
  return text.slice(start, end < 0 ? text.length : end);
}

/** The block scalar (`key: |`) around the cursor, dedented, or a quoted or plain value on its line. */
function yamlBlock(text: string, offset: number): FoundPrompt | null {
  for (const match of text.matchAll(
    /^([ \t]*)(?:- +)?(?:[\w"'.-]+:[ \t]+)?([|>])[+-]?[ \t]*\r?\n((?:\1[ \t]+.*(?:\r?\n|$)|[ \t]*\r?\n)+)/gm,
  )) {
    const start = match.index + match[0].length - match[3].length;
    const end = match.index + match[0].length;
    if (offset < match.index || offset > end) continue;
    const content = trimmed(dedented(placedSlice(text, start, end)));
    if (content.text !== '') return whole('block', rangeOf(content), content);
  }
  const start = lineStart(text, offset);
  const line = lineAt(text, start);
  const value = /^\s*(?:- +)?(?:[\w.-]+:[ \t]+)?(?:(["'])(.*)\1|([^\s#{}[\]|>"'][^#]*?))\s*$/.exec(line);
  const inner = value?.[2] ?? value?.[3];
  if (value === null || inner === undefined || inner.trim() === '') return null;
  const from = start + line.indexOf(inner, line.indexOf(value[1] ?? inner) + (value[1]?.length ?? 0));
  return whole('string', [from, from + inner.length], placedSlice(text, from, from + inner.length));
}
