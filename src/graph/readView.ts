import { emptyView, type GraphView, type Supernode } from './circuitGraph.ts';
import { pairFeature } from './featureNumber.ts';
import { asNumber, asText, type JsonObject, otherFields, parseJson } from './json.ts';
import type { GraphNode } from './node.ts';
import { shareOf } from './readMetadata.ts';
import { placesInText } from './subgraphPlaces.ts';

const viewFields: ReadonlySet<string> = new Set([
  'pinnedIds',
  'supernodes',
  'clerps',
  'linkType',
  'clickedId',
  'sg_pos',
  'pruningThreshold',
]);

export type ViewRead = { readonly view: GraphView; readonly foreign: JsonObject | null };

/**
 * Reads `qParams` in both its forms: lists and numbers as generators write them, texts as the local viewer saves them.
 * @param own    our own section of the file: labels of nodes that are no features, and places
 * @param nodes  in file order
 * @param nodeOf the node that an id of the file names; where a feature and an error share it, the feature
 */
export function readView(
  qParams: JsonObject,
  own: JsonObject,
  nodes: readonly GraphNode[],
  nodeOf: (fileId: string) => GraphNode | undefined,
  warnings: string[],
): ViewRead {
  let missing = 0;
  const idOf = (fileId: unknown): string[] => {
    const node = typeof fileId === 'string' ? nodeOf(fileId) : undefined;
    if (!node) missing += 1;
    return node ? [node.id] : [];
  };
  const pinned = idList(qParams.pinnedIds).flatMap(idOf);
  const supernodes = listOrJson(qParams.supernodes, warnings).flatMap((group): Supernode[] => {
    if (!Array.isArray(group) || typeof group[0] !== 'string') return [];
    return [{ label: group[0], members: group.slice(1).flatMap(idOf) }];
  });
  if (missing > 0)
    warnings.push(`${missing} pinned or grouped nodes are not in the file and were left out of the subgraph.`);
  const clicked = asText(qParams.clickedId);
  const otherPlaces = asText(qParams.sg_pos) ?? '';
  const placed = placesInText(otherPlaces, nodes, { pinned, supernodes });
  const view: GraphView = {
    pinned,
    supernodes,
    labels: labelsOf(qParams, own, nodes, nodeOf, warnings),
    clicked: (clicked !== null && nodeOf(clicked)?.id) || null,
    linkType: linkTypeOf(qParams.linkType),
    pruningThreshold: shareOf(numberOrText(qParams.pruningThreshold)),
    places: { ...placed, ...placesOf(own, nodeOf) },
  };
  const isKept = otherPlaces !== '' && placed === null;
  const foreign = { ...otherFields(qParams, viewFields), ...(isKept ? { sg_pos: otherPlaces } : {}) };
  return { view, foreign: Object.keys(foreign).length > 0 ? foreign : null };
}

/** The id by which viewers keep a label: layer, Cantor number, position. Null for what is not a numbered feature. */
export function labelId(node: GraphNode): string | null {
  const isFeature = node.kind === 'feature' || node.kind === 'attention';
  if (!isFeature || node.feature === null) return null;
  return `${node.layer}_${pairFeature(node.layer, node.feature)}_${node.pos}`;
}

/** The same of graphs older than schema 1, whose feature numbers are decimal. */
function oldLabelId(node: GraphNode): string | null {
  if (labelId(node) === null) return null;
  return `${node.layer}_${node.layer * 100_000 + (node.feature ?? 0)}_${node.pos}`;
}

function labelsOf(
  qParams: JsonObject,
  own: JsonObject,
  nodes: readonly GraphNode[],
  nodeOf: (fileId: string) => GraphNode | undefined,
  warnings: string[],
): Readonly<Record<string, string>> {
  const labels: Record<string, string> = {};
  const clerps = listOrJson(qParams.clerps, warnings);
  const byLabelId = new Map<string, GraphNode>();
  if (clerps.length > 0) {
    for (const idOf of [labelId, oldLabelId]) {
      for (const node of nodes) {
        const id = idOf(node);
        if (id !== null && !byLabelId.has(id)) byLabelId.set(id, node);
      }
    }
  }
  for (const pair of [...clerps, ...listOrJson(own.labels, warnings)]) {
    if (!Array.isArray(pair) || typeof pair[0] !== 'string' || typeof pair[1] !== 'string') continue;
    const node = byLabelId.get(pair[0]) ?? nodeOf(pair[0]);
    if (node) labels[node.id] = pair[1];
  }
  return labels;
}

function placesOf(
  own: JsonObject,
  nodeOf: (fileId: string) => GraphNode | undefined,
): Readonly<Record<string, readonly [number, number]>> {
  const places: Record<string, readonly [number, number]> = {};
  if (!Array.isArray(own.places)) return places;
  for (const entry of own.places) {
    if (!Array.isArray(entry) || typeof entry[0] !== 'string') continue;
    const node = nodeOf(entry[0]);
    const x = asNumber(entry[1]);
    const y = asNumber(entry[2]);
    if (node && x !== null && y !== null) places[node.id] = [x, y];
  }
  return places;
}

function linkTypeOf(value: unknown): GraphView['linkType'] {
  return value === 'input' || value === 'output' || value === 'either' || value === 'both' ? value : emptyView.linkType;
}

function idList(value: unknown): readonly unknown[] {
  if (Array.isArray(value)) return value;
  return typeof value === 'string' && value !== '' ? value.split(',') : [];
}

function listOrJson(value: unknown, warnings: string[]): readonly unknown[] {
  if (Array.isArray(value)) return value;
  if (typeof value !== 'string' || value.trim() === '') return [];
  try {
    const parsed = parseJson(value).value;
    return Array.isArray(parsed) ? parsed : [];
  } catch {
    warnings.push('A list of supernodes or labels in the file is cut off or damaged and was left out.');
    return [];
  }
}

function numberOrText(value: unknown): unknown {
  return typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
}
