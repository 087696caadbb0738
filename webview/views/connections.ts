import { edgeClaim } from '../claims.ts';
import type { Derived } from '../derive.ts';
import { make } from '../dom.ts';
import { shapeOf } from '../drawing/glyphs.ts';
import { edgesOf } from '../graphIndex.ts';
import type { ViewState } from '../store.ts';
import { hover, select } from '../updates.ts';
import { countText, plainName, quoteToken, shortNumber, signedPercent } from '../words.ts';
import { glyphIcon } from './icons.ts';
import { verdictBadge } from './verdict.ts';
import type { Intents } from './view.ts';

const mostRows = 12;

/** The strongest inputs and outputs of a node, each with its sign and share; a click goes there. */
export function connectionLists(state: ViewState, derived: Derived, node: number, intents: Intents): HTMLElement {
  const { index } = derived;
  const { source, target } = index.graph.edges;
  return make(
    'div',
    { class: 'connections' },
    list(
      'Strongest inputs',
      'Share of all that enters this node',
      edgesOf(index, 'inputs', node),
      (edge) => source[edge],
    ),
    list(
      'Strongest outputs',
      'Share of all that enters the node it feeds',
      edgesOf(index, 'outputs', node),
      (edge) => target[edge],
    ),
  );

  function list(
    title: string,
    what: string,
    edges: Uint32Array,
    otherEnd: (edge: number) => number,
  ): HTMLElement | null {
    if (edges.length === 0) return null;
    // The order of what is shown: an output's share depends on what else enters the node that it feeds.
    const shares = (edge: number) => Math.abs(index.share[edge]);
    const shown = Array.from(edges)
      .sort((a, b) => shares(b) - shares(a))
      .slice(0, mostRows);
    const most = shares(shown[0]);
    const hidden = edges.length - mostRows;
    return make(
      'section',
      {},
      make('h3', { text: title, title: what }),
      make(
        'ol',
        { class: 'connection-list' },
        ...shown.map((edge) => row(state, derived, edge, otherEnd(edge), most, intents)),
      ),
      hidden > 0 ? make('p', { class: 'muted more', text: `and ${countText(hidden)} weaker` }) : null,
    );
  }
}

function row(
  state: ViewState,
  derived: Derived,
  edge: number,
  other: number,
  most: number,
  intents: Intents,
): HTMLElement {
  const share = derived.index.share[edge];
  const entry = {
    node: other,
    part: Math.abs(share) / most,
    shown: signedPercent(share),
    sign: share < 0 ? 'negative' : 'positive',
    badge: verdictBadge(state, edgeClaim(derived.index, edge)),
    fact: `effect ${shortNumber(derived.index.graph.edges.weight[edge])}`,
  } as const;
  return connectionRow(derived, entry, intents);
}

type Entry = {
  readonly node: number;
  /** Length of the bar behind the row, 0…1. */
  readonly part: number;
  readonly shown: string;
  readonly sign: 'positive' | 'negative' | 'none';
  readonly fact?: string;
  readonly badge?: HTMLElement | null;
};

/** A node as a row that leads to it: glyph, name, token, figure. */
export function connectionRow(
  derived: Derived,
  { node, part, shown, sign, fact, badge = null }: Entry,
  intents: Intents,
): HTMLElement {
  const { index, visible, groupColor } = derived;
  const { kind, pos } = index.graph.nodes[node];
  const name = derived.nameOf(node);
  const isInner = kind !== 'token' && kind !== 'logit';
  const token = isInner ? quoteToken(index.graph.metadata.promptTokens[pos] ?? '') : '';
  const color = groupColor[node];
  const glyph = make('span', { class: 'kind-glyph', attributes: color >= 0 ? { 'data-color': (color % 6) + 1 } : {} });
  glyph.append(glyphIcon(shapeOf[kind], kind.replace(' ', '-')));
  const isHidden = visible.isVisible[node] === 0;
  const facts = [
    `${name} · ${plainName(index, node)} ${token}`.trim(),
    fact,
    isHidden ? 'not shown at this setting' : undefined,
  ];
  return make(
    'li',
    {},
    make(
      'button',
      {
        class: `connection ${sign}${isHidden ? ' off-screen' : ''}`,
        title: facts.filter((text) => text !== undefined).join(', '),
        attributes: { type: 'button' },
        style: { '--part': `${100 * part}%` },
        on: {
          click: () => intents.apply(select(node)),
          pointerenter: () => intents.apply(hover(node)),
          pointerleave: () => intents.apply(hover(null)),
        },
      },
      glyph,
      make('span', { class: 'connection-name', text: name }),
      make('span', { class: 'connection-token muted', text: token }),
      make('span', { class: 'connection-share' }, badge, shown),
    ),
  );
}
