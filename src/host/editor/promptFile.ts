import { type PlacedText, placedSlice, trimmed } from './placedText.ts';

/** A message of a role; role null where the text goes to the model as it is. */
export type PromptPart = { readonly role: string | null; readonly content: PlacedText };

/** True for files that hold one prompt and nothing else, by their names. */
export function isPromptFile(fileName: string): boolean {
  return /\.(prompt\.md|instructions\.md|agent\.md|chatmode\.md|prompty|prompt)$/i.test(fileName);
}

/** Where the body begins: behind YAML front matter between lines of three dashes, else at the start. */
export function bodyStart(text: string): number {
  return /^\uFEFF?---[ \t]*\r?\n(?:[\s\S]*?\r?\n)?---[ \t]*(?:\r?\n|$)/.exec(text)?.[0].length ?? 0;
}

/**
 * The prompt of a prompt file: its body in one part or, where there are role lines (`system:`, prompty) or role
 * helpers (`{{role "system"}}`, dotprompt), one part for each message that is not empty.
 */
export function promptFileParts(text: string): PromptPart[] {
  const start = bodyStart(text);
  const roles = [
    ...text
      .slice(start)
      .matchAll(
        /^[ \t]*#?[ \t]*(system|user|assistant|developer|tool|model)[ \t]*:[ \t]*(?:\r?\n|$)|\{\{\s*role\s+["'](\w+)["']\s*\}\}/gim,
      ),
  ];
  if (roles.length === 0) return [{ role: null, content: trimmed(placedSlice(text, start, text.length)) }];
  const parts = roles.map((match, i): PromptPart => {
    const from = start + match.index + match[0].length;
    const to = i + 1 < roles.length ? start + roles[i + 1].index : text.length;
    const name = (match[1] ?? match[2]).toLowerCase();
    return { role: name === 'model' ? 'assistant' : name, content: trimmed(placedSlice(text, from, to)) };
  });
  const lead = trimmed(placedSlice(text, start, start + roles[0].index));
  return [{ role: 'system', content: lead }, ...parts].filter((part) => part.content.text !== '');
}
