import type { Pair } from './alignTokens.ts';
import type { CircuitGraph } from './circuitGraph.ts';
import type { EditedSite, GraphEdit } from './interventions.ts';
import type { GraphNode } from './node.ts';

/** A row that turns nodes off: features, or error nodes where there is no feature among them; null where there is neither. */
export function editOfNodes(name: string, nodes: readonly GraphNode[]): GraphEdit | null {
  const sites = sitesOf(nodes);
  if (sites.length > 0) return { name, isOn: true, type: 'features', sites, places: 'own', kind: 'scale', factor: 0 };
  const errors = nodes.filter(({ kind }) => kind === 'error').map(({ layer, pos }) => ({ layer, pos }));
  return errors.length > 0 ? { name, isOn: true, type: 'errors', sites: errors, factor: 0 } : null;
}

/** The features among the nodes, with what they are worth in their prompt. */
export function sitesOf(nodes: readonly GraphNode[]): EditedSite[] {
  return nodes.flatMap(({ kind, layer, pos, feature, activation }) =>
    kind === 'feature' && feature !== null ? [{ layer, pos, feature, unit: activation ?? 0 }] : [],
  );
}

/**
 * A row that sets features to what they are in another prompt, at the places of this one that correspond; features
 * whose place has no counterpart are left out. Null when none is left.
 * @param pairs this prompt's tokens on the left, the other's on the right
 */
export function editFromOther(name: string, nodes: readonly GraphNode[], pairs: readonly Pair[]): GraphEdit | null {
  const placeOf = new Map(pairs.map(({ left, right }) => [right, left]));
  const sites = sitesOf(nodes).flatMap((site) => {
    const pos = placeOf.get(site.pos);
    return typeof pos === 'number' ? [{ ...site, pos }] : [];
  });
  return sites.length > 0 ? { name, isOn: true, type: 'features', sites, places: 'own', kind: 'set', factor: 1 } : null;
}

/** The nodes of a graph that an edit changes, as indices into `graph.nodes`; a patch changes all at its place. */
export function nodesOfEdit(edit: GraphEdit, { nodes }: Pick<CircuitGraph, 'nodes'>): number[] {
  const isChanged = changeTest(edit);
  return Array.from(nodes.keys()).filter((index) => isChanged(nodes[index]));
}

function changeTest(edit: GraphEdit): (node: GraphNode) => boolean {
  if (edit.type === 'patch') {
    const kinds = edit.nodes === 'all' ? ['feature', 'error'] : [edit.nodes === 'errors' ? 'error' : 'feature'];
    const fits = (wanted: number | null, value: number | null): boolean => wanted === null || wanted === value;
    return ({ kind, layer, pos, feature }) =>
      kinds.includes(kind) && fits(edit.pos, pos) && fits(edit.layer, layer) && fits(edit.feature, feature);
  }
  if (edit.type === 'errors') {
    const sites = new Set(edit.sites.map(({ layer, pos }) => `${layer} ${pos}`));
    return ({ kind, layer, pos }) => kind === 'error' && sites.has(`${layer} ${pos}`);
  }
  const { places } = edit;
  if (places === 'own') {
    const sites = new Set(edit.sites.map(({ layer, pos, feature }) => `${layer} ${pos} ${feature}`));
    return ({ kind, layer, pos, feature }) => kind === 'feature' && sites.has(`${layer} ${pos} ${feature}`);
  }
  const features = new Set(edit.sites.map(({ layer, feature }) => `${layer} ${feature}`));
  const end = places.stop ?? Number.POSITIVE_INFINITY;
  return ({ kind, layer, pos, feature }) =>
    kind === 'feature' && features.has(`${layer} ${feature}`) && pos >= places.start && pos < end;
}
