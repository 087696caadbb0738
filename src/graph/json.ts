import { UserError } from '../protocol/errors.ts';

/** Neuronpedia accepts graphs up to 100 MB; a file of that size opens in seconds, a larger one is not a graph of a prompt. */
export const maxGraphBytes = 100 * 1024 * 1024;
/** Real graphs nest seven levels deep; what copies the values later is recursive. */
export const maxJsonDepth = 64;

export type JsonObject = { readonly [key: string]: unknown };

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function asText(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}

/** A finite number, or null. Of −0, which JSON can be read to but is not written as, 0 is left. */
export function asNumber(value: unknown): number | null {
  return typeof value === 'number' && Number.isFinite(value) ? value + 0 : null;
}

/** A non-negative integer given as a number or as digits, or null. */
export function asCount(value: unknown): number | null {
  const number = typeof value === 'string' && /^\d{1,15}$/.test(value) ? Number(value) : value;
  return typeof number === 'number' && Number.isSafeInteger(number) && number >= 0 ? number : null;
}

/** True for names such as `__proto__` that mean something to every object; never used as keys. */
export function isInheritedName(name: string): boolean {
  return name in Object.prototype;
}

/** A deep copy without keys that could reach a prototype. The value comes from JSON no deeper than `maxJsonDepth`. */
function safeCopy(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(safeCopy);
  if (!isObject(value)) return typeof value === 'number' ? value + 0 : value;
  return copyFields(value, (key) => !isInheritedName(key));
}

/** The fields that are not in `known`, copied; null when there are none. */
export function otherFields(value: JsonObject, known: ReadonlySet<string>): JsonObject | null {
  let copy: Record<string, unknown> | null = null;
  for (const key in value) {
    if (known.has(key) || isInheritedName(key)) continue;
    copy ??= {};
    copy[key] = safeCopy(value[key]);
  }
  return copy;
}

function copyFields(value: JsonObject, keep: (key: string) => boolean): JsonObject {
  const copy: Record<string, unknown> = {};
  for (const key of Object.keys(value)) if (keep(key)) copy[key] = safeCopy(value[key]);
  return copy;
}

/**
 * JSON text → value, refusing text that is too large, nested too deeply or cut off. Python writes NaN and Infinity where
 * JSON has no such words: they become null.
 * @param what how messages call the text, at the beginning of a sentence
 * @returns the value, and how many such words there were
 */
export function parseJson(
  text: string,
  what = 'The graph file',
): { readonly value: unknown; readonly nonFinite: number } {
  if (text.length > maxGraphBytes) {
    const megabytes = (text.length / 2 ** 20).toFixed(0);
    throw new UserError(
      'graph.tooLarge',
      `${what} has ${megabytes} MB; the limit is ${maxGraphBytes / 2 ** 20} MB.`,
      'Trace again with fewer feature nodes, or prune the graph more before saving it.',
    );
  }
  const body = text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
  const words = scan(body, what);
  try {
    return { value: JSON.parse(words.length === 0 ? body : replaceWords(body, words)), nonFinite: words.length };
  } catch (error) {
    const reason = error instanceof Error ? error.message.slice(0, 200) : '';
    throw new UserError(
      'graph.notJson',
      `${what} is not JSON that can be read (${reason}; ${body.length} characters).`,
      'If it was being downloaded or written, do that again: the end may be missing.',
    );
  }
}

/** Walks over the text once: checks the depth and finds NaN, Infinity and −Infinity outside of strings, as [start, end] pairs. */
function scan(text: string, what: string): readonly (readonly [number, number])[] {
  const words: (readonly [number, number])[] = [];
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === 0x22) {
      i = endOfString(text, i);
    } else if (code === 0x7b || code === 0x5b) {
      depth += 1;
      if (depth > maxJsonDepth) throw tooDeep(what);
    } else if (code === 0x7d || code === 0x5d) {
      depth -= 1;
    } else if (code === 0x4e || code === 0x49) {
      const word = code === 0x4e ? 'NaN' : 'Infinity';
      if (!text.startsWith(word, i)) continue;
      words.push([text.charCodeAt(i - 1) === 0x2d ? i - 1 : i, i + word.length]);
      i += word.length - 1;
    }
  }
  return words;
}

/** The index of the closing quote of the string that opens at `start`; the end of the text when there is none. */
function endOfString(text: string, start: number): number {
  let end = text.indexOf('"', start + 1);
  while (end !== -1) {
    let backslashes = 0;
    while (text.charCodeAt(end - 1 - backslashes) === 0x5c) backslashes += 1;
    if (backslashes % 2 === 0) return end;
    end = text.indexOf('"', end + 1);
  }
  return text.length;
}

function replaceWords(text: string, words: readonly (readonly [number, number])[]): string {
  const parts: string[] = [];
  let from = 0;
  for (const [start, end] of words) {
    parts.push(text.slice(from, start), 'null');
    from = end;
  }
  parts.push(text.slice(from));
  return parts.join('');
}

function tooDeep(what: string): UserError {
  return new UserError(
    'graph.tooDeep',
    `${what} nests more than ${maxJsonDepth} levels deep; such files have fewer than ten.`,
    'Get the file again from where it was written.',
  );
}
