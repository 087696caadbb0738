import type { CircuitGraph, GraphMetadata } from '../../graph/circuitGraph.ts';
import { emptyView } from '../../graph/circuitGraph.ts';
import { cumulativeShares } from '../../graph/influence.ts';
import type { GraphNode } from '../../graph/node.ts';
import { errorId, featureId, logitId, tokenId } from '../../graph/nodeIds.ts';
import type { Pruned } from '../../graph/prune.ts';
import type { Attribution } from './attribute.ts';

/** What the nodes of a graph are called: ids and texts of the prompt's tokens, and texts of any token. */
export type TokenNames = {
  readonly promptIds: readonly number[];
  readonly text: (id: number) => string;
};

/**
 * The kept part of an attribution as a graph to show and to save. Nodes in the order features (layer, position,
 * feature), errors, tokens, logits; edges by target, then source.
 * @param nodeInfluence [nNodes] on the whole graph
 */
export function circuitOf(
  attribution: Attribution,
  nodeInfluence: Float64Array,
  kept: Pruned,
  names: TokenNames,
  metadata: GraphMetadata,
): CircuitGraph {
  const { nNodes, start, source, weight } = attribution.graph.incoming;
  const shares = cumulativeShares(nodeInfluence);
  const place = new Int32Array(nNodes).fill(-1);
  const nodes: GraphNode[] = [];
  for (let node = 0; node < nNodes; node++) {
    if (!kept.nodes[node]) continue;
    place[node] = nodes.length;
    nodes.push(nodeAt(attribution, node, shares[node], names));
  }
  const count = kept.edges.reduce((sum, edge) => sum + edge, 0);
  const edges = {
    source: new Uint32Array(count),
    target: new Uint32Array(count),
    weight: new Float32Array(count),
  };
  let next = 0;
  for (let target = 0; target < nNodes; target++) {
    for (let edge = start[target]; edge < start[target + 1]; edge++) {
      if (!kept.edges[edge]) continue;
      edges.source[next] = place[source[edge]];
      edges.target[next] = place[target];
      edges.weight[next++] = weight[edge];
    }
  }
  return { metadata, nodes, edges, view: emptyView, foreign: {} };
}

/** Ids that no two nodes share, spelled so that other viewers take them: errors have the newer generator's spelling. */
function nodeAt(attribution: Attribution, node: number, share: number, names: TokenNames): GraphNode {
  const { active, selected, run, outputs } = attribution;
  const nLayers = run.layers.length;
  const common = { label: '', activation: null, probability: null, isTarget: false };
  const kind = attribution.graph.kinds[node];
  if (kind === 'feature') {
    const index = selected[node];
    const [layer, pos, feature] = [active.layer[index], active.pos[index], active.feature[index]];
    const id = featureId({ layer, pos, feature });
    return { ...common, id, kind, layer, pos, feature, influence: share, activation: active.activation[index] };
  }
  const rest = node - selected.length;
  if (kind === 'error') {
    const layer = Math.floor(rest / run.nPos);
    const pos = rest % run.nPos;
    return { ...common, id: errorId(layer, pos), kind, layer, pos, feature: null, influence: share };
  }
  const pos = rest - nLayers * run.nPos;
  if (kind === 'token') {
    const feature = names.promptIds[pos];
    const id = tokenId(feature, pos);
    return { ...common, id, kind, layer: -1, pos, feature, label: names.text(feature), influence: share };
  }
  const index = pos - run.nPos;
  const output = outputs[index];
  return {
    id: logitId(nLayers, output.id, run.nPos - 1),
    kind: 'logit',
    layer: nLayers,
    pos: run.nPos - 1,
    feature: output.id,
    label: output.label ?? names.text(output.id),
    activation: null,
    influence: null,
    probability: output.probability,
    isTarget: index === 0,
  };
}
