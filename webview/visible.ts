import { cumulativeShares } from '../src/graph/influence.ts';
import type { GraphNode } from '../src/graph/node.ts';
import { keptNodes } from '../src/graph/prune.ts';
import { atOnce, type Steps } from '../src/graph/steps.ts';
import type { Filters } from './filters.ts';
import type { GraphIndex } from './graphIndex.ts';
import { edgesOf } from './graphIndex.ts';

/** What of a graph is on screen. */
export type Visible = {
  /** Node indices, least influential first, so that the important ones are drawn on top. */
  readonly nodes: Uint32Array;
  /** [node] 1 when it is on screen. */
  readonly isVisible: Uint8Array;
  /** Edges drawn at rest, weakest first. */
  readonly edges: Uint32Array;
  /** Edges whose two ends are on screen; `edges` may hold only the strongest of them. */
  readonly edgeCount: number;
  readonly featureCount: number;
  readonly errorCount: number;
};

/** A picture of more nodes says nothing and draws slowly; the slider still shows all. */
const mostAtStart = 8000;

/**
 * The share of influence that is shown first: the file's own, or less where that would be more than `mostAtStart` nodes.
 */
export function startThreshold({ graph, influence }: GraphIndex, most = mostAtStart): number {
  const wanted = Math.min(1, Math.max(0, graph.metadata.nodeThreshold));
  const inner = Array.from(graph.nodes.keys()).filter((node) => isInner(graph.nodes[node].kind));
  if (inner.length <= most) return wanted;
  const isStored = inner.every((node) => graph.nodes[node].influence !== null);
  const computed = isStored ? null : cumulativeShares(Float64Array.from(influence, (share) => share));
  const shares = inner.map((node) => (computed ? computed[node] : (graph.nodes[node].influence ?? 1)));
  return Math.min(wanted, shares.sort((a, b) => a - b)[most - 1]);
}

function isInner(kind: GraphNode['kind']): boolean {
  return kind !== 'token' && kind !== 'logit';
}

export type Frequencies = ReadonlyMap<string, number>;

/** The key under which a feature's labels, cards and frequencies are kept, wherever it fires. */
export function featureKey(layer: number, feature: number): string {
  return `${layer}/${feature}`;
}

/**
 * Chooses the nodes and edges to draw: those that carry `threshold` of the influence (`graph/prune.ts`) and pass the
 * filters. `keep` (the selected and pinned) stays anyway.
 */
export function visibleGraph(
  index: GraphIndex,
  threshold: number,
  filters: Filters,
  frequencies: Frequencies,
  keep: ReadonlySet<number>,
): Visible {
  return atOnce(visibleSteps(index, threshold, filters, frequencies, keep));
}

/** The same in steps. */
export function* visibleSteps(
  index: GraphIndex,
  threshold: number,
  filters: Filters,
  frequencies: Frequencies,
  keep: ReadonlySet<number>,
): Steps<Visible> {
  const { graph } = index;
  const { source, target, weight } = graph.edges;
  // Edges are limited by `edgeLimit`, not pruned: what the file holds between two shown nodes is not hidden.
  const kept = keptNodes(graph, index.weighted, { nodeThreshold: threshold, edgeThreshold: 1 });
  yield;
  const isVisible = Uint8Array.from(graph.nodes, (node, position) =>
    keep.has(position) || (kept[position] === 1 && passes(node, filters, frequencies)) ? 1 : 0,
  );
  const candidates = new Uint32Array(weight.length);
  let edgeCount = 0;
  for (let edge = 0; edge < weight.length; edge++) {
    if (isVisible[source[edge]] === 0 || isVisible[target[edge]] === 0) continue;
    if (passesSign(weight[edge], filters.sign)) candidates[edgeCount++] = edge;
  }
  yield;
  const edges = strongest(candidates.subarray(0, edgeCount), index.flow, filters.edgeLimit);
  const nodes = Uint32Array.from(isVisible.keys()).filter((position) => isVisible[position] === 1);
  nodes.sort((a, b) => index.influence[a] - index.influence[b] || a - b);
  let featureCount = 0;
  let errorCount = 0;
  for (const node of nodes) {
    if (graph.nodes[node].kind === 'feature') featureCount++;
    else if (graph.nodes[node].kind === 'error') errorCount++;
  }
  return { nodes, isVisible, edges, edgeCount, featureCount, errorCount };
}

/** The `limit` edges with the largest flow, weakest first; of equals those that come first in the file. */
function strongest(candidates: Uint32Array, flow: Float32Array, limit: number): Uint32Array {
  const wanted = candidates.length > limit ? atLeast(candidates, flow, limit) : candidates.slice();
  wanted.sort((a, b) => flow[a] - flow[b] || b - a);
  return wanted.subarray(Math.max(0, wanted.length - limit));
}

/**
 * At least `count` of the candidates, among them those with the largest flow: without sorting all of them, by counting
 * how many there are for each of the first bits of their float32 form, which are in the order of their sizes.
 */
function atLeast(candidates: Uint32Array, flow: Float32Array, count: number): Uint32Array {
  const bits = new Uint32Array(flow.buffer, flow.byteOffset, flow.length);
  const counts = new Uint32Array(1 << 16);
  for (const edge of candidates) counts[bits[edge] >>> 16]++;
  let cut = counts.length - 1;
  for (let found = counts[cut]; found < count && cut > 0; found += counts[cut]) cut--;
  return candidates.filter((edge) => bits[edge] >>> 16 >= cut);
}

/** Edges of a node to other nodes on screen, on the sides that `linkType` asks for, strongest first. */
export function edgesOfNode(
  index: GraphIndex,
  visible: Visible,
  node: number,
  linkType: 'input' | 'output' | 'either' | 'both',
  pinned: ReadonlySet<number>,
  sign: Filters['sign'] = 'all',
): number[] {
  const { source, target, weight } = index.graph.edges;
  // "Both ends" needs pinned nodes; before there are any, everything that touches the node is the useful answer.
  const onlyPinned = linkType === 'both' && pinned.size > 0 && !(pinned.size === 1 && pinned.has(node));
  const chosen: number[] = [];
  const take = (edge: number, other: number) => {
    if (visible.isVisible[other] === 0 || !passesSign(weight[edge], sign)) return;
    if (!onlyPinned || pinned.has(other) || index.graph.nodes[other].kind === 'logit') chosen.push(edge);
  };
  if (linkType !== 'output') for (const edge of edgesOf(index, 'inputs', node)) take(edge, source[edge]);
  if (linkType !== 'input') for (const edge of edgesOf(index, 'outputs', node)) take(edge, target[edge]);
  return chosen;
}

function passes(node: GraphNode, filters: Filters, frequencies: Frequencies): boolean {
  if (filters.hiddenKinds.includes(node.kind)) return false;
  if (node.kind === 'logit') return true;
  if (filters.positions && !filters.positions.includes(node.pos)) return false;
  if (node.kind === 'token') return true;
  if (filters.layers && (node.layer < filters.layers[0] || node.layer > filters.layers[1])) return false;
  if (filters.maxFrequency !== null && node.kind === 'feature' && node.feature !== null) {
    const frequency = frequencies.get(featureKey(node.layer, node.feature));
    if (frequency !== undefined && frequency > filters.maxFrequency) return false;
  }
  return true;
}

function passesSign(weight: number, sign: Filters['sign']): boolean {
  return sign === 'all' || (sign === 'positive' ? weight > 0 : weight < 0);
}
