/**
 * Text as the model sees it and, for each of its UTF-16 units, the offset in the document that it came from.
 * `places` has one entry more than `text`: where the text ends. Unescaping, dedenting and filling in keep the places.
 */
export type PlacedText = { readonly text: string; readonly places: readonly number[] };

/** The part [start, end) of a document, as it is. */
export function placedSlice(document: string, start: number, end: number): PlacedText {
  return { text: document.slice(start, end), places: Array.from({ length: end - start + 1 }, (_, i) => start + i) };
}

/** The units [start, end) of a placed text. */
export function sliceOf(placed: PlacedText, start: number, end: number): PlacedText {
  return { text: placed.text.slice(start, end), places: placed.places.slice(start, end + 1) };
}

/** One text after another; empty for none. */
export function joined(parts: readonly PlacedText[]): PlacedText {
  const places: number[] = [];
  for (const part of parts) for (let i = 0; i < part.text.length; i++) places.push(part.places[i]);
  places.push(parts.at(-1)?.places.at(-1) ?? 0);
  return { text: parts.map((part) => part.text).join(''), places };
}

/** Replaces the units [start, end) by other text; all of it is placed where what it replaces began. */
export function replaced(placed: PlacedText, start: number, end: number, text: string): PlacedText {
  const middle = { text, places: Array<number>(text.length + 1).fill(placed.places[start]) };
  return joined([sliceOf(placed, 0, start), middle, sliceOf(placed, end, placed.text.length)]);
}

/** Without white space at both ends. */
export function trimmed(placed: PlacedText): PlacedText {
  const start = placed.text.length - placed.text.trimStart().length;
  return sliceOf(placed, start, Math.max(start, placed.text.trimEnd().length));
}

/**
 * Without the indentation that all lines share, without an empty first line and an empty last one: a block as its
 * author reads it. A first line that begins behind a quote has no indentation of its own and does not count.
 */
export function dedented(placed: PlacedText): PlacedText {
  const lines: { start: number; end: number; text: string }[] = [];
  for (let start = 0; start <= placed.text.length; ) {
    const found = placed.text.indexOf('\n', start);
    const end = found < 0 ? placed.text.length : found + 1;
    lines.push({ start, end, text: placed.text.slice(start, end) });
    if (found < 0) break;
    start = end;
  }
  const isBlank = (text: string): boolean => text.trim() === '';
  const startsOnFirstLine = !isBlank(lines[0].text);
  const indents = lines
    .slice(startsOnFirstLine ? 1 : 0)
    .filter((line) => !isBlank(line.text))
    .map((line) => /^[ \t]*/.exec(line.text)?.[0] ?? '');
  const shared = indents.reduce((a, b) => commonPrefix(a, b), indents[0] ?? '');
  const kept = lines.map((line, i) => {
    const drop = i === 0 && startsOnFirstLine ? 0 : commonPrefix(line.text, shared).length;
    return sliceOf(placed, line.start + drop, line.end);
  });
  if (kept.length > 1 && isBlank(kept[0].text)) kept.shift();
  const last = kept.length - 1;
  if (last > 0 && isBlank(kept[last].text)) {
    kept.pop();
    kept[last - 1] = sliceOf(kept[last - 1], 0, kept[last - 1].text.replace(/\r?\n$/, '').length);
  }
  return joined(kept);
}

function commonPrefix(a: string, b: string): string {
  let n = 0;
  while (n < a.length && n < b.length && a[n] === b[n]) n++;
  return a.slice(0, n);
}

/** Stretches of text and document that run in step: [start in text, start in document, length]. */
export type Segment = readonly [text: number, document: number, length: number];

/** The places of a text as few stretches, to keep with a trace. */
export function segmentsOf({ text, places }: PlacedText): Segment[] {
  const segments: [number, number, number][] = [];
  for (let i = 0; i < text.length; i++) {
    const last = segments.at(-1);
    if (last !== undefined && last[0] + last[2] === i && last[1] + last[2] === places[i]) last[2]++;
    else segments.push([i, places[i], 1]);
  }
  return segments;
}

/** Where the units [start, end) of the text lie in the document: one range or, across gaps, several. */
export function rangesInDocument(segments: readonly Segment[], start: number, end: number): [number, number][] {
  const ranges: [number, number][] = [];
  for (const [from, place, length] of segments) {
    const a = Math.max(start, from);
    const b = Math.min(end, from + length);
    if (a >= b) continue;
    const range: [number, number] = [place + a - from, place + b - from];
    const last = ranges.at(-1);
    if (last !== undefined && last[1] === range[0]) last[1] = range[1];
    else ranges.push(range);
  }
  return ranges;
}
