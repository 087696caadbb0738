import type { SourceDocument } from './findPrompt.ts';
import { isPromptFile, promptFileParts } from './promptFile.ts';
import { type LiteralLanguage, type StringLiteral, scanLiterals } from './stringLiterals.ts';

/** Longer documents are no programs that a person reads, and a lens more is no help in a list of hundreds. */
const mostLetters = 500_000;
const mostPlaces = 200;
/** Names of single words are keys and options; prompts are sentences. */
const fewestWords = 3;

const languages: Readonly<Record<string, LiteralLanguage>> = {
  python: 'python',
  javascript: 'javascript',
  javascriptreact: 'javascript',
  typescript: 'javascript',
  typescriptreact: 'javascript',
};

/** What stands right before a prompt in a program: a name that says so, then `=`, `:`, `(` or `+=`, perhaps a type or a tag. */
const promptName =
  /(?:^|[^\w])[\w.]*(?:prompt|instruction|system|persona|template|question|few_?shot)\w*["'`\]]*\s*(?::[^=\n]{0,60})?(?:\+?=|:|\()\s*(?:await\s+)?[\w.]*\(?\s*$/i;
/** The content of a chat message. */
const messageContent = /["']?\bcontent["']?\s*[:=]\s*$/;
/** The line that opens a list of prompts. */
const promptList = /\bprompts?\w*["'`\]]*\s*(?::[^=\n]{0,60})?[:=]\s*(?:\[|\(|list\()\s*$/i;

/** Offsets of the prompts in a document that are worth a lens, in order: each lies inside of its prompt. */
export function lensPlaces(document: SourceDocument): number[] {
  const { text, languageId, fileName } = document;
  if (text.length > mostLetters) return [];
  if (isPromptFile(fileName)) {
    const [part] = promptFileParts(text).filter(({ content }) => content.text !== '');
    return part === undefined ? [] : [part.content.places[0]];
  }
  if (languageId === 'yaml') return yamlPlaces(text);
  const language = languages[languageId];
  return language === undefined ? [] : literalPlaces(text, language);
}

function literalPlaces(text: string, language: LiteralLanguage): number[] {
  const places: number[] = [];
  let last: StringLiteral | null = null;
  let isInList = false;
  for (const literal of scanLiterals(text, language)) {
    if (last !== null && literal.start < last.end) continue;
    const between = text.slice(last?.end ?? 0, literal.start);
    // Pieces that are joined are one prompt, and entries of a list go on as long as nothing else stands between them.
    const isJoined = last !== null && /^[\s+\\]*$/.test(between);
    isInList = promptList.test(between.trimEnd()) || (isInList && /^[\s,]*(?:[rRbBuUfF]{0,2})$/.test(between));
    const before = text.slice(Math.max(0, literal.start - 160), literal.start);
    const isPrompt = isInList || promptName.test(before) || messageContent.test(before);
    const words = text.slice(literal.contentStart, literal.contentEnd).split(/\s+/).filter(Boolean).length;
    if (isPrompt && !isJoined && words >= fewestWords) places.push(literal.contentStart);
    if (places.length >= mostPlaces) break;
    last = literal;
  }
  return places;
}

/** Block scalars of keys that are called prompts, as promptfoo and prompty have them. */
function yamlPlaces(text: string): number[] {
  const block =
    /^[ \t]*(?:- +)?(?:\w*(?:prompt|system|instruction|template|content)\w*)[ \t]*:[ \t]+[|>][+-]?[ \t]*\r?\n[ \t]*(?=\S)/gim;
  return [...text.matchAll(block)].slice(0, mostPlaces).map((match) => match.index + match[0].length);
}
