import type { Derived } from '../derive.ts';
import { createDeriver } from '../derive.ts';
import { gutter } from '../drawing/scene.ts';
import type { Grid } from '../layout/grid.ts';
import { columnWidths, gridLayout } from '../layout/grid.ts';
import { cell } from '../memo.ts';
import { nodeName, quoteToken } from '../words.ts';
import type { CompareState } from './compareStore.ts';
import { hoveredPair, selectedPair } from './compareStore.ts';
import type { Difference } from './differences.ts';
import { differences, presenceCounts, sorted } from './differences.ts';
import { type Pairing, type Pane, type Presence, paneNames } from './pairing.ts';

/** What follows from the state of the comparison page. */
export type ComparisonDerived = {
  readonly pairing: Pairing;
  /** Null for pictures that are not on screen. */
  readonly panes: Readonly<Record<Pane, Derived | null>>;
  readonly differences: readonly Difference[];
  readonly counts: Readonly<Record<Presence, number>>;
  /** The table's rows, as they are filtered and sorted. */
  readonly rows: readonly Difference[];
  readonly selected: number | null;
  readonly hovered: number | null;
  readonly nameOf: (pair: number) => string;
  /** The token at which a pair stands; of both sides where they differ. */
  readonly tokenOf: (pair: number) => string;
};

/** Which group colour says where a node is; −1, the colour of ordinary nodes, where both graphs agree. */
export const presenceColor: Readonly<Record<Presence, number>> = { left: 0, right: 1, changed: 2, same: -1 };

/** Makes the function that derives; it remembers the last step of each kind. */
export function createComparisonDeriver(): (state: CompareState) => ComparisonDerived | null {
  const paneCells = () => ({
    derive: createDeriver(),
    colors: cell<Int8Array>(),
    unshared: cell<ReadonlySet<number>>(),
    grid: cell<Grid>(),
    whole: cell<Derived>(),
  });
  const kept = {
    panes: { left: paneCells(), right: paneCells(), one: paneCells() },
    widths: cell<Float32Array>(),
    differences: cell<Difference[]>(),
    counts: cell<Readonly<Record<Presence, number>>>(),
    naming: cell<Pick<ComparisonDerived, 'nameOf' | 'tokenOf'>>(),
    rows: cell<Difference[]>(),
  };

  const paneDerived = (
    state: CompareState,
    pairing: Pairing,
    pane: Pane,
    widths: Float32Array | null,
  ): Derived | null => {
    const cells = kept.panes[pane];
    const derived = cells.derive(state.panes[pane]);
    if (derived === null) return null;
    const { index, visible } = derived;
    const pairOf = pairing.pairOf[pane];
    const groupColor = cells.colors([pairing], () =>
      Int8Array.from(index.graph.nodes, (node, position) =>
        node.kind === 'token' ? -1 : presenceColor[pairing.presence[pairOf[position]]],
      ),
    );
    const pinned = cells.unshared([pairing], () => unsharedNodes(pairing, pane));
    const { left, right, one } = state.panes;
    const areas = pane === 'one' ? [one.area] : [left.area, right.area];
    const width = Math.max(1, Math.min(...areas.map((area) => area.width)) - gutter);
    const height = Math.max(1, Math.min(...areas.map((area) => area.height)));
    const grid =
      widths === null
        ? derived.grid
        : cells.grid([index, visible, widths, width, height], () =>
            gridLayout(index, visible, { width, height }, widths),
          );
    return cells.whole([derived, groupColor, pinned, grid], () => ({
      ...derived,
      groupColor,
      pinned,
      grid,
    }));
  };

  return (state) => {
    const { pairing, mode, shown, sorting } = state;
    if (pairing === null) return null;
    const all = kept.differences([pairing], () => differences(pairing));
    const naming = kept.naming([pairing, state.panes.one.view.labels, state.panes.one.setLabels], () => ({
      nameOf: (pair) => nodeName(pairing.index.one, pair, state.panes.one.view, state.panes.one.setLabels),
      tokenOf: (pair) => tokenAt(pairing, pair),
    }));
    const isBeside = mode === 'side';
    const [left, right] = isBeside
      ? [kept.panes.left.derive(state.panes.left), kept.panes.right.derive(state.panes.right)]
      : [null, null];
    const widths =
      left && right
        ? kept.widths([left.visible, right.visible], () => {
            const rightWidths = columnWidths(right.index, right.visible);
            return columnWidths(left.index, left.visible).map((width, place) => Math.max(width, rightWidths[place]));
          })
        : null;
    return {
      pairing,
      panes: {
        left: isBeside ? paneDerived(state, pairing, 'left', widths) : null,
        right: isBeside ? paneDerived(state, pairing, 'right', widths) : null,
        one: isBeside ? null : paneDerived(state, pairing, 'one', null),
      },
      differences: all,
      counts: kept.counts([all], () => presenceCounts(all)),
      rows: kept.rows([all, shown, sorting, naming], () => sorted(all, shown, sorting, naming.nameOf)),
      selected: selectedPair(state),
      hovered: hoveredPair(state),
      ...naming,
    };
  };
}

/** Nodes that only one of the traces has: drawn with a ring, so that not their colour alone says it. */
function unsharedNodes({ presence, pairOf, index }: Pairing, pane: Pane): ReadonlySet<number> {
  const { nodes } = index[pane].graph;
  const found = new Set<number>();
  for (const [node, pair] of pairOf[pane].entries()) {
    if (nodes[node].kind !== 'token' && (presence[pair] === 'left' || presence[pair] === 'right')) found.add(node);
  }
  return found;
}

function tokenAt({ index, gaps }: Pairing, pair: number): string {
  const { pos } = index.one.graph.nodes[pair];
  const texts = (['left', 'right'] as const).flatMap((side) =>
    gaps[side].has(pos) ? [] : [quoteToken(index[side].graph.metadata.promptTokens[pos] ?? '')],
  );
  return [...new Set(texts)].join(' | ');
}

/** The pictures that are on screen. */
export function shownPanes({ panes }: ComparisonDerived): readonly Pane[] {
  return paneNames.filter((pane) => panes[pane] !== null);
}
