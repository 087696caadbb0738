/** A text of the user's, by the name it is known by. */
export type OwnFile = { readonly name: string; readonly text: string };

/** What is read of the user's own texts at most, said in the dialog that asks for them. */
export const ownTextLimits = { files: 200, fileBytes: 1024 * 1024, letters: 400_000, tokens: 20_000, features: 1000 };

/** Files that are looked into when a folder is chosen; others are no prose and no prompts. */
export const textFiles =
  '**/*.{md,mdx,txt,text,rst,tex,org,adoc,html,json,jsonl,yaml,yml,csv,tsv,prompt,prompty,py,js,ts,tsx,jsx,java,go,rs,c,h,cpp,cs,rb,php,swift,kt,sql,sh,ipynb}';
export const skippedFolders = '**/{node_modules,.git,.hg,dist,out,build,target,.venv,venv,__pycache__}/**';

/** The text of a file's bytes; null for what is no text: too large, empty, or with a zero byte. */
export function textOf(bytes: Uint8Array): string | null {
  if (bytes.length === 0 || bytes.length > ownTextLimits.fileBytes || bytes.includes(0)) return null;
  const text = new TextDecoder('utf-8').decode(bytes);
  return text.trim() === '' ? null : text;
}

/**
 * Texts cut so that all of them together are no longer than the limit, and long ones leave room for short ones: each
 * gets an equal share, and what the short ones do not need goes to the others.
 */
export function fairlyCut(files: readonly OwnFile[], letters: number = ownTextLimits.letters): readonly OwnFile[] {
  const lengths = files.map(({ text }) => text.length).sort((a, b) => a - b);
  let left = letters;
  let share = Number.POSITIVE_INFINITY;
  for (const [place, length] of lengths.entries()) {
    const equal = Math.floor(left / (lengths.length - place));
    if (length > equal) {
      share = equal;
      break;
    }
    left -= length;
  }
  return files.map(({ name, text }) => ({ name, text: text.length > share ? text.slice(0, share) : text }));
}

/** Where examples are from, for the card: "12 files of your workspace, 8,431 of 20,110 tokens, 22 Nov 2026". */
export function sourceText(
  where: string,
  { texts, tokens, tokensGiven }: { readonly texts: number; readonly tokens: number; readonly tokensGiven: number },
  date: Date,
): string {
  const count = (number: number): string => number.toLocaleString('en');
  const read = tokens < tokensGiven ? `${count(tokens)} of ${count(tokensGiven)}` : count(tokens);
  const day = date.toLocaleDateString('en-GB', { day: 'numeric', month: 'short', year: 'numeric' });
  return `${count(texts)} ${texts === 1 ? 'file' : 'files'} of ${where}, ${read} tokens, ${day}`;
}
