import { traceName } from './traceRecord.ts';
import type { OpenTrace } from './traces.ts';

/** Short names that tell two compared traces apart. */
export function comparedNames(left: OpenTrace, right: OpenTrace): { readonly left: string; readonly right: string } {
  const names = { left: nameOf(left, right), right: nameOf(right, left) };
  // The same prompt on two models, or twice on one.
  if (names.left !== names.right) return names;
  const models = { left: left.record.modelName, right: right.record.modelName };
  return models.left !== models.right && models.left !== '' && models.right !== ''
    ? { left: `${names.left} (${models.left})`, right: `${names.right} (${models.right})` }
    : { left: `${names.left} (1)`, right: `${names.right} (2)` };
}

/** A trace's title, or the last token that the other prompt does not have: what is asked about comes late. */
function nameOf({ record }: OpenTrace, other: OpenTrace): string {
  if (record.title !== '') return traceName(record, 24);
  const others = new Set(other.graph.metadata.promptTokens);
  const own = record.tokens
    .map((token) => token.text.trim())
    .findLast((text, i) => text !== '' && !others.has(record.tokens[i].text));
  return own ?? traceName(record, 24);
}
