import type { Derived } from '../derive.ts';
import { fill, make } from '../dom.ts';
import { shapeOf } from '../drawing/glyphs.ts';
import type { ViewState } from '../store.ts';
import { hover, select, togglePin } from '../updates.ts';
import { countText, describeNode, percent, quoteToken } from '../words.ts';
import { glyphIcon } from './icons.ts';
import type { Intents, View } from './view.ts';
import { changeOf } from './view.ts';

const mostChildren = 200;

type Branch = {
  readonly key: string;
  readonly name: string;
  readonly nodes: readonly number[];
  readonly color: number | null;
};

/**
 * The same content as the picture, as a tree: groups, outputs, layers from the top down, tokens. One stop of the Tab key;
 * arrows walk and open, Enter selects, P pins.
 */
export function createOutline(intents: Intents): View {
  const open = new Set<string>(['groups', 'outputs']);
  const tree = make('ul', { class: 'outline', attributes: { role: 'tree', 'aria-label': 'Nodes of the graph' } });
  const isNew = changeOf();
  let redraw: () => void = () => undefined;
  const toggle = (key: string, isOpen: boolean) => {
    if (isOpen) open.add(key);
    else open.delete(key);
    redraw();
    focusItem(tree, key);
  };
  tree.addEventListener('keydown', (event) => walk(event, tree, toggle));
  tree.addEventListener('focusin', (event) => {
    const node = (event.target as Element).closest<HTMLElement>('[data-node]')?.dataset.node;
    if (node !== undefined) intents.apply(hover(Number(node)));
  });
  tree.addEventListener('focusout', () => intents.apply(hover(null)));
  return {
    element: tree,
    update(state, derived) {
      if (!derived || state.panels.tab !== 'outline' || !state.panels.isSideOpen) return;
      redraw = () => draw(state, derived);
      const { visible, story, nameOf, pinned } = derived;
      if (isNew(visible, story, nameOf, pinned, state.selected)) redraw();
    },
  };

  function draw(state: ViewState, derived: Derived): void {
    const active = tree.querySelector<HTMLElement>('[tabindex="0"]')?.dataset.key;
    const branches = branchesOf(derived);
    fill(tree, ...branches.map((branch) => branchItem(branch, state, derived, 1)));
    const items = [...tree.querySelectorAll<HTMLElement>('[role=treeitem]')];
    const selected = items.find((item) => item.dataset.node === String(state.selected));
    const current = items.find((item) => item.dataset.key === active) ?? selected ?? items[0];
    for (const item of items) item.tabIndex = item === current ? 0 : -1;
  }

  function branchItem(branch: Branch, state: ViewState, derived: Derived, level: number): HTMLElement {
    const isOpen = open.has(branch.key);
    const shown = isOpen ? branch.nodes.slice(0, mostChildren) : [];
    const hidden = branch.nodes.length - mostChildren;
    const isGroups = branch.key === 'groups';
    const children = isGroups
      ? derived.story.groups.map(({ id, name, members, color }) =>
          branchItem({ key: `group ${id}`, name, nodes: members, color }, state, derived, level + 1),
        )
      : shown.map((node) => nodeItem(node, branch, state, derived, level + 1));
    return make(
      'li',
      {
        attributes: {
          role: 'treeitem',
          'aria-expanded': String(isOpen),
          'aria-level': level,
          'data-key': branch.key,
          'data-color': branch.color === null ? null : (branch.color % 6) + 1,
        },
      },
      make(
        'div',
        { class: 'outline-row', on: { click: () => toggle(branch.key, !isOpen) } },
        make('span', { class: 'twistie', text: isOpen ? '⌄' : '›', attributes: { 'aria-hidden': 'true' } }),
        branch.color === null ? null : make('span', { class: 'swatch' }),
        make('span', { class: 'connection-name', text: branch.name }),
        make('span', { class: 'muted', text: String(isGroups ? derived.story.groups.length : branch.nodes.length) }),
      ),
      isOpen
        ? make(
            'ul',
            { attributes: { role: 'group' } },
            ...children,
            !isGroups && hidden > 0
              ? make('li', {
                  class: 'muted more',
                  text: `and ${countText(hidden)} less influential`,
                  attributes: { role: 'none' },
                })
              : null,
          )
        : null,
    );
  }

  function nodeItem(node: number, branch: Branch, state: ViewState, derived: Derived, level: number): HTMLElement {
    const { kind, pos, probability } = derived.index.graph.nodes[node];
    const token = quoteToken(derived.index.graph.metadata.promptTokens[pos] ?? '');
    const color = derived.groupColor[node];
    const glyph = make('span', {
      class: 'kind-glyph',
      attributes: color >= 0 ? { 'data-color': (color % 6) + 1 } : {},
    });
    glyph.append(glyphIcon(shapeOf[kind], kind.replace(' ', '-')));
    const share = kind === 'logit' ? (probability ?? 0) : derived.index.influence[node];
    const isPinned = derived.pinned.has(node);
    return make(
      'li',
      {
        attributes: {
          role: 'treeitem',
          'aria-level': level,
          'aria-selected': String(state.selected === node),
          'aria-description': `${describeNode(derived.index, node, state.view, state.setLabels)}${isPinned ? ', pinned' : ''}`,
          'data-key': `${branch.key} ${node}`,
          'data-node': node,
        },
        on: {
          keydown: (event) => {
            if (event.target !== event.currentTarget) return;
            if (event.key === 'Enter' || event.key === ' ') intents.apply(select(node));
            else if (event.key === 'p') intents.apply(togglePin([node]));
            else return;
            event.preventDefault();
          },
        },
      },
      make(
        'div',
        {
          class: `outline-row${state.selected === node ? ' selected' : ''}`,
          on: {
            click: () => intents.apply(select(node)),
            pointerenter: () => intents.apply(hover(node)),
            pointerleave: () => intents.apply(hover(null)),
          },
        },
        glyph,
        make('span', { class: 'connection-name', text: derived.nameOf(node) }),
        kind === 'logit' || kind === 'token' ? null : make('span', { class: 'connection-token muted', text: token }),
        make('span', { class: 'connection-share', text: `${isPinned ? '◉ ' : ''}${percent(share)}` }),
      ),
    );
  }
}

function branchesOf({ index, visible, story }: Derived): Branch[] {
  const byInfluence = Array.from(visible.nodes).reverse();
  const { nodes } = index.graph;
  const of = (key: string, name: string, isOne: (node: number) => boolean): Branch => ({
    key,
    name,
    nodes: byInfluence.filter(isOne),
    color: null,
  });
  const layers = Array.from({ length: index.nLayers }, (_, position) => index.nLayers - 1 - position).map((layer) =>
    of(
      `layer ${layer}`,
      `Layer ${layer}`,
      (node) => nodes[node].layer === layer && nodes[node].kind !== 'logit' && nodes[node].kind !== 'token',
    ),
  );
  return [
    { key: 'groups', name: 'Groups', nodes: story.groups.flatMap(({ members }) => members), color: null },
    of('outputs', 'Outputs', (node) => nodes[node].kind === 'logit'),
    ...layers,
    of('tokens', 'Tokens', (node) => nodes[node].kind === 'token'),
  ].filter((branch) => branch.nodes.length > 0);
}

/** Arrow keys, Home and End as in every tree. */
function walk(event: KeyboardEvent, tree: HTMLElement, toggle: (key: string, isOpen: boolean) => void): void {
  const items = [...tree.querySelectorAll<HTMLElement>('[role=treeitem]')];
  const current = (event.target as Element).closest<HTMLElement>('[role=treeitem]');
  if (!current) return;
  const at = items.indexOf(current);
  const isOpen = current.getAttribute('aria-expanded');
  const goTo = (item: HTMLElement | null | undefined) => {
    if (!item) return;
    for (const other of items) other.tabIndex = other === item ? 0 : -1;
    item.focus();
  };
  const parent = current.parentElement?.closest<HTMLElement>('[role=treeitem]');
  const act: Record<string, () => void> = {
    ArrowDown: () => goTo(items[at + 1]),
    ArrowUp: () => goTo(items[at - 1]),
    Home: () => goTo(items[0]),
    End: () => goTo(items.at(-1)),
    ArrowRight: () =>
      isOpen === 'false' ? toggle(current.dataset.key ?? '', true) : goTo(isOpen === 'true' ? items[at + 1] : null),
    ArrowLeft: () => (isOpen === 'true' ? toggle(current.dataset.key ?? '', false) : goTo(parent)),
    Enter: () => isOpen !== null && toggle(current.dataset.key ?? '', isOpen === 'false'),
  };
  if (event.defaultPrevented || !act[event.key]) return;
  event.preventDefault();
  act[event.key]();
}

function focusItem(tree: HTMLElement, key: string): void {
  const items = [...tree.querySelectorAll<HTMLElement>('[role=treeitem]')];
  const item = items.find((candidate) => candidate.dataset.key === key);
  if (!item) return;
  for (const other of items) other.tabIndex = other === item ? 0 : -1;
  item.focus();
}
