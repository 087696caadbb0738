import { type PlacedText, replaced } from './placedText.ts';
import type { Expression } from './stringLiterals.ts';

/** A gap in a prompt: the units [start, end) of the text stand for a value that only the program knows. */
export type Placeholder = Expression;

/**
 * Gaps by the common notations: `{{name}}` (mustache, Jinja, Handlebars), `${input:name:hint}` and `${name}`,
 * `{name}` (format strings). Block helpers such as `{{#if}}` and `{% for %}` are left as they are.
 */
export function findPlaceholders(text: string): Placeholder[] {
  const found: Placeholder[] = [];
  const pattern =
    /\{\{\{?\s*([\w.[\]]+)(?:\s*\|[^{}]*)?\s*\}?\}\}|\$\{(?:input:)?([\w.]+)(?::[^{}]*)?\}|(?<!\{)\{([A-Za-z_][\w.]*)\}(?!\})/g;
  for (const match of text.matchAll(pattern)) {
    const name = match[1] ?? match[2] ?? match[3];
    if (name === 'else' || name === 'this') continue;
    found.push({ start: match.index, end: match.index + match[0].length, name });
  }
  return found;
}

/** The text with each placeholder that has a value filled in; the others stay as they are written. */
export function fillPlaceholders(
  placed: PlacedText,
  placeholders: readonly Placeholder[],
  values: ReadonlyMap<string, string>,
): PlacedText {
  let filled = placed;
  for (const { start, end, name } of [...placeholders].sort((a, b) => b.start - a.start)) {
    const value = values.get(name);
    if (value !== undefined) filled = replaced(filled, start, end, value);
  }
  return filled;
}
