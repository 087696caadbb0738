import type { GraphNode } from '../../src/graph/node.ts';
import type { Side } from '../../src/protocol/comparison.ts';
import type { Pairing, Presence } from './pairing.ts';

/** What one side says of a pair; null where that side lacks it or does not say. */
export type SideValues = { readonly left: number | null; readonly right: number | null };

/** One row of the table of differences. */
export type Difference = {
  readonly pair: number;
  readonly presence: Presence;
  readonly activation: SideValues;
  /** Share of the answer's paths that pass through the node. A side that lacks it: null, counted as 0 in the change. */
  readonly influence: SideValues;
  /** Right minus left; null where one of the two is not known. */
  readonly activationChange: number | null;
  readonly influenceChange: number;
};

export type Column = 'name' | 'presence' | 'activation' | 'influence';
export type Sorting = { readonly by: Column; readonly isDescending: boolean };
export type Shown = 'all' | Presence;

const presenceOrder: readonly Presence[] = ['left', 'changed', 'same', 'right'];

/** What differs between the two traces: every node but the prompt's own tokens, which the header shows. */
export function differences(pairing: Pairing): Difference[] {
  const { nodes } = pairing.index.one.graph;
  return pairing.presence.flatMap((presence, pair) => {
    if (nodes[pair].kind === 'token') return [];
    return [differenceOf(pairing, pair, presence)];
  });
}

export function differenceOf(pairing: Pairing, pair: number, presence = pairing.presence[pair]): Difference {
  const activation = bothSides(pairing, pair, (node) => node.activation);
  const influence = bothSides(pairing, pair, (_, index, side) => pairing.index[side].influence[index]);
  const isInBoth = presence === 'same' || presence === 'changed';
  return {
    pair,
    presence,
    activation,
    influence,
    activationChange:
      isInBoth && activation.left !== null && activation.right !== null ? activation.right - activation.left : null,
    influenceChange: (influence.right ?? 0) - (influence.left ?? 0),
  };
}

/** A number of a pair on each side. */
export function bothSides(
  { index, nodeOf }: Pairing,
  pair: number,
  read: (node: GraphNode, index: number, side: Side) => number | null,
): SideValues {
  const at = (side: Side): number | null => {
    const node = nodeOf[side][pair];
    return node < 0 ? null : read(index[side].graph.nodes[node], node, side);
  };
  return { left: at('left'), right: at('right') };
}

/** The rows that are wanted, in the wanted order: changes by their size, names by the alphabet. */
export function sorted(
  rows: readonly Difference[],
  shown: Shown,
  { by, isDescending }: Sorting,
  nameOf: (pair: number) => string,
): Difference[] {
  const wanted = shown === 'all' ? [...rows] : rows.filter(({ presence }) => presence === shown);
  const sign = isDescending ? -1 : 1;
  const order = (a: Difference, b: Difference): number => {
    switch (by) {
      case 'name':
        return nameOf(a.pair).localeCompare(nameOf(b.pair));
      case 'presence':
        return presenceOrder.indexOf(a.presence) - presenceOrder.indexOf(b.presence);
      case 'activation':
        return activationSize(a) - activationSize(b);
      case 'influence':
        return Math.abs(a.influenceChange) - Math.abs(b.influenceChange);
    }
  };
  return wanted.sort(
    (a, b) => sign * order(a, b) || Math.abs(b.influenceChange) - Math.abs(a.influenceChange) || a.pair - b.pair,
  );
}

/** A feature that fires on one side only has changed by all of its activation. */
function activationSize({ activation, activationChange }: Difference): number {
  return Math.abs(activationChange ?? activation.left ?? activation.right ?? 0);
}

/** How many pairs are where, tokens not counted. */
export function presenceCounts(rows: readonly Difference[]): Readonly<Record<Presence, number>> {
  const counts = { left: 0, right: 0, same: 0, changed: 0 };
  for (const { presence } of rows) counts[presence]++;
  return counts;
}
