/**
 * Replaces `\xNN` escapes, which stand for bytes that are no whole character within their token, by the characters that
 * neighbouring escapes make together. A character goes to the token in which it begins, so that the list keeps its
 * length; bytes that make no character stay escaped.
 */
export function wholeCharacters(tokens: readonly string[]): readonly string[] {
  if (!tokens.some((token) => token.includes('\\x'))) return tokens;
  const result = tokens.map(() => '');
  let bytes: number[] = [];
  let owners: number[] = [];
  const flush = () => {
    decode(bytes, (at, text) => {
      result[owners[at]] += text;
    });
    bytes = [];
    owners = [];
  };
  for (const [index, token] of tokens.entries()) {
    for (const part of token.split(/(\\x[0-9a-fA-F]{2})/)) {
      if (part === '') continue;
      if (/^\\x[0-9a-fA-F]{2}$/.test(part)) {
        bytes.push(Number.parseInt(part.slice(2), 16));
        owners.push(index);
      } else {
        flush();
        result[index] += part;
      }
    }
  }
  flush();
  return result;
}

/** Calls `give` with every character in the bytes, and with the escape of each byte that belongs to none. */
function decode(bytes: readonly number[], give: (at: number, text: string) => void): void {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  for (let at = 0; at < bytes.length; ) {
    const length = characterLength(bytes[at]);
    let text: string | null = null;
    try {
      text =
        length > 0 && at + length <= bytes.length
          ? decoder.decode(Uint8Array.from(bytes.slice(at, at + length)))
          : null;
    } catch {
      // Not a character: its first byte stays an escape, and the next one is tried.
    }
    give(at, text ?? `\\x${bytes[at].toString(16).padStart(2, '0')}`);
    at += text === null ? 1 : length;
  }
}

/** How many bytes a UTF-8 character has that begins with this one; 0 for a byte that begins none. */
function characterLength(first: number): number {
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first < 0xe0) return 2;
  if (first >= 0xe0 && first < 0xf0) return 3;
  return first >= 0xf0 && first < 0xf5 ? 4 : 0;
}
