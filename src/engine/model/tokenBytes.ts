import { isRecord } from './readJson.ts';

/** The bytes that a token stands for, by its entry in the vocabulary. */
export type BytesOf = (piece: string) => Uint8Array;

const utf8 = new TextEncoder();

/**
 * How a tokenizer.json spells bytes, told by its decoder: byte-level alphabets map each byte to a printable character;
 * others write a space as ▁ and single bytes as <0xNN>.
 */
export function bytesOfPieces(tokenizerJson: unknown): BytesOf {
  const steps = isRecord(tokenizerJson) ? decoderSteps(tokenizerJson.decoder) : [];
  const has = (type: string): boolean => steps.some((step) => step.type === type);
  if (has('ByteLevel')) {
    const bytes = byteLevelAlphabet();
    return (piece) => Uint8Array.from(Array.from(piece).flatMap((char) => bytes.get(char) ?? [...utf8.encode(char)]));
  }
  const spellsSpaces = has('Metaspace') || steps.some((step) => step.type === 'Replace' && step.content === ' ');
  return (piece) => {
    const byte = has('ByteFallback') ? /^<0x([0-9A-Fa-f]{2})>$/.exec(piece) : null;
    if (byte) return Uint8Array.of(Number.parseInt(byte[1]!, 16));
    return utf8.encode(spellsSpaces ? piece.replaceAll('▁', ' ') : piece);
  };
}

/** The text of bytes; those that are no whole character are shown as \xNN. */
export function textOfBytes(bytes: Uint8Array): string {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  let text = '';
  for (let at = 0; at < bytes.length; ) {
    const length = characterLength(bytes[at]!);
    const character = bytes.subarray(at, at + length);
    try {
      if (character.length < length) throw new RangeError('the character is cut');
      text += decoder.decode(character);
      at += length;
    } catch {
      text += `\\x${bytes[at]!.toString(16).padStart(2, '0')}`;
      at++;
    }
  }
  return text;
}

/**
 * Where tokens lie in the text: half-open ranges of UTF-16 units that tile it. Of tokens that share a character, the
 * last holds it. A token whose bytes are not found where the one before ended (a tokenizer that changes its text) gets
 * null, and so do those after it until one is found again.
 */
export function rangesInText(text: string, tokens: readonly Uint8Array[]): ([number, number] | null)[] {
  const bytes = utf8.encode(text);
  const units = unitsByByte(text, bytes.length);
  let at = 0;
  return tokens.map((token, i) => {
    let own = token;
    // Some tokenizers put a space before the text that it does not have.
    if (i === 0 && own[0] === 32 && bytes[0] !== 32) own = own.subarray(1);
    const start = own.length > 0 && !startsWith(bytes, own, at) ? find(bytes, own, at) : at;
    if (start === null) return null;
    at = start + own.length;
    return [units[start]!, units[at]!];
  });
}

/** How far a token that does not follow at once is looked for. */
const searchBytes = 32;

function find(bytes: Uint8Array, token: Uint8Array, from: number): number | null {
  for (let at = from; at < Math.min(bytes.length, from + searchBytes); at++) {
    if (startsWith(bytes, token, at)) return at;
  }
  return null;
}

function startsWith(bytes: Uint8Array, token: Uint8Array, at: number): boolean {
  if (at + token.length > bytes.length) return false;
  for (let i = 0; i < token.length; i++) if (bytes[at + i] !== token[i]) return false;
  return true;
}

/** For each byte offset of the text the UTF-16 offset of the character that it is in (or at whose end it is). */
function unitsByByte(text: string, nBytes: number): Uint32Array {
  const units = new Uint32Array(nBytes + 1);
  let [byte, unit] = [0, 0];
  for (const character of text) {
    const length = utf8.encode(character).length;
    units.fill(unit, byte, byte + length);
    byte += length;
    unit += character.length;
  }
  units[nBytes] = unit;
  return units;
}

function characterLength(lead: number): number {
  if (lead >= 0xf0) return 4;
  if (lead >= 0xe0) return 3;
  return lead >= 0xc0 ? 2 : 1;
}

/** The decoder's steps: one, or those of a sequence. */
function decoderSteps(decoder: unknown): Record<string, unknown>[] {
  if (!isRecord(decoder)) return [];
  if (decoder.type === 'Sequence' && Array.isArray(decoder.decoders)) return decoder.decoders.filter(isRecord);
  return [decoder];
}

/** Printable Latin-1 characters stand for their own byte, all other bytes for the characters from U+0100 on. */
function byteLevelAlphabet(): Map<string, number> {
  const alphabet = new Map<string, number>();
  let next = 256;
  for (let byte = 0; byte < 256; byte++) {
    const isPrintable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    alphabet.set(String.fromCodePoint(isPrintable ? byte : next++), byte);
  }
  return alphabet;
}
