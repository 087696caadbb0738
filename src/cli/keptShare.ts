import type { Attribution } from '../engine/attribution/attribute.ts';
import type { PruningSettings } from '../graph/circuitGraph.ts';
import { prune } from '../graph/prune.ts';

/**
 * How much of one attribution's graph another of the same prompt keeps: of the influence on the nodes that the first keeps
 * after pruning, the share on nodes that the second keeps too.
 */
export function keptShare(first: Attribution, second: Attribution, keep: PruningSettings): number {
  const kept = new Set(keptNodes(second, keep).map((node) => nodeName(second, node)));
  let whole = 0;
  let shared = 0;
  for (const node of keptNodes(first, keep)) {
    whole += first.influence[node];
    if (kept.has(nodeName(first, node))) shared += first.influence[node];
  }
  return whole === 0 ? 1 : shared / whole;
}

function keptNodes({ graph, influence }: Attribution, keep: PruningSettings): number[] {
  const { nodes } = prune(graph, keep, influence);
  return [...nodes.keys()].filter((node) => nodes[node]);
}

/** A feature by its number among the active ones, other nodes by their place after the features. */
function nodeName({ selected }: Attribution, node: number): string {
  return node < selected.length ? `feature ${selected[node]}` : `other ${node - selected.length}`;
}
