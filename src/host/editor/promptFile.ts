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
  if (isCompletion(text.slice(0, start))) return [{ role: null, content: withoutRoleLines(text, start) }];
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

/** True where the front matter says that the prompt is to be completed and not chatted with. */
function isCompletion(frontMatter: string): boolean {
  return /^\s*api:\s*completion\s*$/m.test(frontMatter);
}

function withoutRoleLines(text: string, start: number): PlacedText {
  const role = /^\s*(system|user|assistant)[ \t]*:[ \t]*(?:\r?\n|$)/i.exec(text.slice(start));
  return trimmed(placedSlice(text, start + (role?.[0].length ?? 0), text.length));
}

/**
 * Values that a file itself gives for its placeholders: scalars below `inputs:`, `sample:` (prompty) or `vars:`
 * (promptfoo), as `name: value` or `name:` with `default:` or `sample:` below it. The first of a name counts. Only this
 * much of YAML is read.
 */
export function sampleValues(yaml: string): ReadonlyMap<string, string> {
  const values = new Map<string, string>();
  let block: number | null = null;
  let parent: { readonly name: string; readonly indent: number } | null = null;
  for (const line of yaml.split(/\r?\n/).slice(0, 2000)) {
    const match = /^([ \t]*(?:- )?)([\w.-]+):(?:[ \t]+(.*?))?[ \t]*$/.exec(line);
    if (match === null) continue;
    const [, { length: indent }, name, rest = ''] = match;
    if (block === null || indent <= block) {
      block = /^(inputs|sample|vars)$/.test(name) && rest === '' ? indent : null;
      parent = null;
      continue;
    }
    const value = rest.replace(/\s+#.*$/, '').replace(/^(["'])(.*)\1$/, '$2');
    if (parent !== null && indent > parent.indent) {
      if (/^(default|sample)$/.test(name) && value !== '' && !values.has(parent.name)) values.set(parent.name, value);
    } else if (value === '') parent = { name, indent };
    else if (!values.has(name)) values.set(name, value);
  }
  return values;
}
