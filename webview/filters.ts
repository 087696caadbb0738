import type { NodeKind } from '../src/graph/node.ts';

/** What the reader chose to leave out of the picture. Never saved in the graph file. */
export type Filters = {
  /** Kinds that are not drawn. */
  readonly hiddenKinds: readonly NodeKind[];
  /** Inclusive layers of features and errors; null: all. */
  readonly layers: readonly [number, number] | null;
  /** The only positions that are drawn; null: all. */
  readonly positions: readonly number[] | null;
  readonly sign: 'all' | 'positive' | 'negative';
  /** Features that fire on more than this share of all text are left out; null: no limit. */
  readonly maxFrequency: number | null;
  /** Which share of the influence is shown as edges at rest: the strongest first. */
  readonly edgeLimit: number;
};

export const noFilters: Filters = {
  hiddenKinds: [],
  layers: null,
  positions: null,
  sign: 'all',
  maxFrequency: null,
  edgeLimit: 600,
};

/** How many filters are on, for the badge on the filter button. */
export function activeFilters(filters: Filters): number {
  return (
    filters.hiddenKinds.length +
    (filters.layers ? 1 : 0) +
    (filters.positions ? 1 : 0) +
    (filters.sign === 'all' ? 0 : 1) +
    (filters.maxFrequency === null ? 0 : 1)
  );
}

/** The filters with one kind shown or hidden. */
export function toggleKind(filters: Filters, kind: NodeKind): Filters {
  const isHidden = filters.hiddenKinds.includes(kind);
  const hiddenKinds = isHidden ? filters.hiddenKinds.filter((other) => other !== kind) : [...filters.hiddenKinds, kind];
  return { ...filters, hiddenKinds };
}

/** The filters with one position chosen or left; with none chosen all are shown. */
export function togglePosition(filters: Filters, position: number): Filters {
  const chosen = filters.positions ?? [];
  const next = chosen.includes(position) ? chosen.filter((other) => other !== position) : [...chosen, position];
  return { ...filters, positions: next.length > 0 ? next.sort((a, b) => a - b) : null };
}
