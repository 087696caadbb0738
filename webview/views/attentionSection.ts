import type { AttentionEnd, AttentionPair, AttentionShare } from '../../src/graph/attentionResults.ts';
import { attentionResults } from '../../src/graph/attentionResults.ts';
import type { Derived } from '../derive.ts';
import { make } from '../dom.ts';
import { shapeOf } from '../drawing/glyphs.ts';
import { hover, select } from '../updates.ts';
import { countText, plainName, quoteToken, shortNumber } from '../words.ts';
import { glyphIcon } from './icons.ts';
import type { Changes } from './view.ts';

const mostRows = 8;

/**
 * Why an attention feature looks where it looks, where the file says so: the pairs of nodes that raise or lower the score
 * between its query and its key, and what each side contributes by itself.
 */
export function attentionSection(derived: Derived, node: number, changes: Changes): HTMLElement | null {
  const results = attentionResults(derived.index.graph, derived.index.indexOf, node);
  if (results === null) return null;
  return make(
    'section',
    { class: 'attention-results' },
    make('h3', {
      text: 'Why it looks there',
      title: 'Contributions to the attention score between query and key, as the file gives them',
    }),
    results.pairs.length === 0
      ? null
      : make('p', { class: 'muted', text: 'A query at the token that looks, with a key at the token looked at:' }),
    list('Query and key together', results.pairs, derived, changes, pairEnds),
    list('By the query alone', results.queries, derived, changes, shareEnds),
    list('By the key alone', results.keys, derived, changes, shareEnds),
  );
}

type Ends<Entry> = (entry: Entry, derived: Derived, changes: Changes) => (HTMLElement | string)[];

const pairEnds: Ends<AttentionPair> = ({ query, key }, derived, changes) => [
  endButton(query, derived, changes),
  ' × ',
  endButton(key, derived, changes),
];

const shareEnds: Ends<AttentionShare> = ({ end }, derived, changes) => [endButton(end, derived, changes)];

function list<Entry extends { readonly weight: number }>(
  title: string,
  entries: readonly Entry[],
  derived: Derived,
  changes: Changes,
  endsOf: Ends<Entry>,
): HTMLElement | null {
  if (entries.length === 0) return null;
  const most = Math.abs(entries[0].weight) || 1;
  const hidden = entries.length - mostRows;
  const rows = entries.slice(0, mostRows).map((entry) => {
    const isNegative = entry.weight < 0;
    const size = shortNumber(Math.abs(entry.weight));
    return make(
      'li',
      {
        class: `connection attention-row ${isNegative ? 'negative' : 'positive'}`,
        style: { '--part': `${(100 * Math.abs(entry.weight)) / most}%` },
      },
      make('span', { class: 'attention-ends' }, ...endsOf(entry, derived, changes)),
      make('span', { class: 'connection-share', text: `${isNegative ? '−' : '+'}${size}` }),
    );
  });
  return make(
    'div',
    {},
    make('h4', { text: title }),
    make('ol', { class: 'connection-list', attributes: { 'aria-label': title } }, ...rows),
    hidden > 0 ? make('p', { class: 'muted more', text: `and ${countText(hidden)} weaker` }) : null,
  );
}

/** A node as a link to it; one that is not in the graph as plain words. */
function endButton({ node, name, pos }: AttentionEnd, derived: Derived, changes: Changes): HTMLElement {
  const { index, nameOf } = derived;
  const token = pos === null ? '' : quoteToken(index.graph.metadata.promptTokens[pos] ?? '');
  if (node === null) {
    const title = `${name} ${token}, not among the nodes of this graph`.replace(/ +,/, ',');
    return make('span', { class: 'attention-end muted', text: `${name} ${token}`.trim(), title });
  }
  const { kind } = index.graph.nodes[node];
  const isInner = kind !== 'token' && kind !== 'logit';
  const label = nameOf(node);
  return make(
    'button',
    {
      class: 'link attention-end',
      title: `${label} · ${plainName(index, node)} ${isInner ? token : ''}`.trim(),
      attributes: { type: 'button' },
      on: {
        click: () => changes.apply(select(node)),
        pointerenter: () => changes.apply(hover(node)),
        pointerleave: () => changes.apply(hover(null)),
      },
    },
    glyphIcon(shapeOf[kind], kind.replace(' ', '-')),
    ` ${label}${isInner ? ` ${token}` : ''}`,
  );
}
