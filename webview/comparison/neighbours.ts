import type { Side } from '../../src/protocol/comparison.ts';
import { edgesOf } from '../graphIndex.ts';
import type { Pairing } from './pairing.ts';

const mostNeighbours = 8;

/** A neighbour of a pair, with its signed share on each side; null where there is no such edge. */
export type Neighbour = { readonly pair: number; readonly left: number | null; readonly right: number | null };

/** Neighbours of a pair in either graph, those with the largest share on any side first. */
export function strongestNeighbours(pairing: Pairing, pair: number, way: 'inputs' | 'outputs'): Neighbour[] {
  const found = new Map<number, { pair: number; left: number | null; right: number | null }>();
  for (const side of ['left', 'right'] satisfies Side[]) {
    const node = pairing.nodeOf[side][pair];
    if (node < 0) continue;
    const index = pairing.index[side];
    const { source, target } = index.graph.edges;
    for (const edge of edgesOf(index, way, node)) {
      const other = pairing.pairOf[side][way === 'inputs' ? source[edge] : target[edge]];
      const entry = found.get(other) ?? { pair: other, left: null, right: null };
      entry[side] = (entry[side] ?? 0) + index.share[edge];
      found.set(other, entry);
    }
  }
  const size = ({ left, right }: Neighbour): number => Math.max(Math.abs(left ?? 0), Math.abs(right ?? 0));
  return [...found.values()].sort((a, b) => size(b) - size(a) || a.pair - b.pair).slice(0, mostNeighbours);
}
