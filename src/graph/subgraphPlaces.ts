import type { GraphView } from './circuitGraph.ts';
import type { GraphNode } from './node.ts';

type Pins = Pick<GraphView, 'pinned' | 'supernodes'>;

/** The viewers show no more pinned nodes than this. */
const mostPinned = 200;

/**
 * The boxes of a subgraph in the order in which viewers list their places in `sg_pos`: pinned nodes that are in no
 * supernode, by layer with tokens last and in file order within a layer, then the supernodes that have a pinned member.
 * @param nodes in the order of the file
 * @returns ids; a supernode's is that of its first member, by which `GraphView.places` knows it
 */
export function boxesInOrder(nodes: readonly GraphNode[], { pinned, supernodes }: Pins): string[] {
  const isPinned = new Set(pinned.slice(0, mostPinned));
  const grouped = new Set(supernodes.flatMap(({ members }) => members));
  const single = nodes.filter(({ id }) => isPinned.has(id) && !grouped.has(id)).sort((a, b) => rank(a) - rank(b));
  const groups = supernodes.filter(({ members }) => members.some((id) => isPinned.has(id)));
  return [...single.map(({ id }) => id as string), ...groups.map(({ members }) => members[0])];
}

/** Tokens have no layer that is a number in a file. */
function rank({ kind, layer }: GraphNode): number {
  return kind === 'token' ? Number.MAX_SAFE_INTEGER : layer;
}

/** Places out of `sg_pos`; null when it does not have two numbers for each box, so that it cannot be told whose they are. */
export function placesInText(
  text: string,
  nodes: readonly GraphNode[],
  view: Pins,
): Readonly<Record<string, readonly [number, number]>> | null {
  const numbers = text.trim().split(/\s+/).map(Number);
  const boxes = boxesInOrder(nodes, view);
  if (boxes.length === 0 || numbers.length !== 2 * boxes.length || !numbers.every(Number.isFinite)) return null;
  return Object.fromEntries(
    boxes.map((id, box) => [id, [inPanel(numbers[2 * box]), inPanel(numbers[2 * box + 1])] as const]),
  );
}

/** `sg_pos` of a view: empty unless every box has been given a place, because places have no names there. */
export function placesText(nodes: readonly GraphNode[], view: Pins & Pick<GraphView, 'places'>): string {
  const places = boxesInOrder(nodes, view).map((id) => (Object.hasOwn(view.places, id) ? view.places[id] : null));
  const known = places.filter((place) => place !== null);
  return known.length < places.length ? '' : known.flatMap((place) => place.map((at) => Math.round(at))).join(' ');
}

/** Thousandths of the panel. */
function inPanel(place: number): number {
  return Math.min(1000, Math.max(0, place));
}
