import type { CircuitGraph } from './circuitGraph.ts';
import { incomingEdges, rowSum } from './influence.ts';

/** A way through the graph from an input to an output: node indices, input first. */
export type Path = {
  readonly nodes: readonly number[];
  /** Product of the shares its edges have of their targets' input. */
  readonly share: number;
  /** Product of the signs of its edges: whether it raises or lowers the output. */
  readonly sign: 1 | -1;
};

/** Paths looked at before the search gives up: graphs with very many weak paths would keep it busy for long. */
const mostSteps = 200_000;

/** The paths into `output` that carry most, strongest first: best-first search from the output down. */
export function strongestPaths(graph: CircuitGraph, output: number, count: number): Path[] {
  const incoming = incomingEdges(graph.nodes.length, graph.edges);
  const found: Path[] = [];
  const open = new PathHeap();
  open.push({ nodes: [output], share: 1, sign: 1 });
  for (let step = 0; step < mostSteps && found.length < count; step++) {
    const path = open.pop();
    if (!path) break;
    const [node] = path.nodes;
    const sum = rowSum(incoming, node);
    if (sum === 0) {
      if (path.nodes.length > 1) found.push(path);
      continue;
    }
    for (let edge = incoming.start[node]; edge < incoming.start[node + 1]; edge++) {
      const weight = incoming.weight[edge];
      // A file may hold a cycle; a path does not.
      if (weight === 0 || path.nodes.includes(incoming.source[edge])) continue;
      open.push({
        nodes: [incoming.source[edge], ...path.nodes],
        share: (path.share * Math.abs(weight)) / sum,
        sign: weight > 0 ? path.sign : path.sign === 1 ? -1 : 1,
      });
    }
  }
  return found;
}

/** A binary heap with the largest share on top. */
class PathHeap {
  readonly #paths: Path[] = [];

  push(path: Path): void {
    const paths = this.#paths;
    let place = paths.push(path) - 1;
    while (place > 0) {
      const above = (place - 1) >> 1;
      if (paths[above].share >= path.share) break;
      paths[place] = paths[above];
      place = above;
    }
    paths[place] = path;
  }

  pop(): Path | undefined {
    const paths = this.#paths;
    const top = paths[0];
    const last = paths.pop();
    if (last === undefined || paths.length === 0) return top;
    let place = 0;
    for (;;) {
      let below = 2 * place + 1;
      if (below >= paths.length) break;
      if (below + 1 < paths.length && paths[below + 1].share > paths[below].share) below++;
      if (paths[below].share <= last.share) break;
      paths[place] = paths[below];
      place = below;
    }
    paths[place] = last;
    return top;
  }
}
