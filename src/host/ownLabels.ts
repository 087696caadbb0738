import type { CircuitGraph, GraphView } from '../graph/circuitGraph.ts';
import type { GraphNode } from '../graph/node.ts';

/** What keeps the labels between windows. */
export type LabelMemory = {
  get<Value>(key: string): Value | undefined;
  update(key: string, value: unknown): PromiseLike<void>;
};

/** A person names dozens of features; of thousands the oldest are forgotten. */
const mostLabels = 5000;

/**
 * The names that the user gave to features, by transcoder set: a feature that was named in one graph has its name in
 * the graphs that are traced later.
 */
export class OwnLabels {
  readonly #memory: LabelMemory;

  constructor(memory: LabelMemory) {
    this.#memory = memory;
  }

  /** Takes over what a change of a view named, renamed or unnamed. */
  async remember({ metadata, nodes, view }: CircuitGraph, before: GraphView): Promise<void> {
    if (view.labels === before.labels || metadata.scan === '') return;
    const labels = this.#labels(metadata.scan);
    let isChanged = false;
    for (const node of nodes) {
      const [then, now] = [before.labels[node.id], view.labels[node.id]];
      const name = nameOf(node);
      if (then === now || name === null) continue;
      labels.delete(name);
      if (now !== undefined) labels.set(name, now);
      isChanged = true;
    }
    if (!isChanged) return;
    await this.#memory.update(keyOf(metadata.scan), [...labels].slice(-mostLabels));
  }

  /** A new graph with the user's names at the features that have one. */
  withKept(graph: CircuitGraph): CircuitGraph {
    const known = this.#labels(graph.metadata.scan);
    if (known.size === 0) return graph;
    const labels = { ...graph.view.labels };
    for (const node of graph.nodes) {
      const label = known.get(nameOf(node) ?? '');
      if (label !== undefined && !Object.hasOwn(labels, node.id)) labels[node.id] = label;
    }
    return { ...graph, view: { ...graph.view, labels } };
  }

  #labels(scan: string): Map<string, string> {
    const kept = this.#memory.get<unknown>(keyOf(scan));
    const pairs = Array.isArray(kept) ? kept : [];
    return new Map(
      pairs.filter(
        (pair): pair is [string, string] =>
          Array.isArray(pair) && typeof pair[0] === 'string' && typeof pair[1] === 'string',
      ),
    );
  }
}

function keyOf(scan: string): string {
  return `labels of ${scan}`;
}

function nameOf({ kind, layer, feature }: GraphNode): string | null {
  return kind === 'feature' && feature !== null ? `${layer}/${feature}` : null;
}
