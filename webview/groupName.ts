import type { ViewState } from './store.ts';
import { givenLabel } from './words.ts';

/** A first name for the group of marked nodes: the label that most of them have, or the next free number. */
export function nameForGroup({ index, marked, view, setLabels }: ViewState): string {
  const counts = new Map<string, number>();
  for (const node of index ? marked : []) {
    const label = index ? givenLabel(index, node, view, setLabels)?.label : undefined;
    if (label) counts.set(label, (counts.get(label) ?? 0) + 1);
  }
  const [best] = [...counts].sort((a, b) => b[1] - a[1]);
  return best?.[0] ?? `Group ${view.supernodes.length + 1}`;
}
