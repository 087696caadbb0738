import { UserError } from '../protocol/errors.ts';
import { decimalFeature, unpairFeature } from './featureNumber.ts';
import { asCount, asNumber, asText, isInheritedName, isObject, type JsonObject, otherFields } from './json.ts';
import type { GraphNode, NodeId, NodeKind } from './node.ts';
import {
  featureIndexIn,
  fileFeature,
  fileJsNodeId,
  kindOfType,
  logitLabel,
  nodeFields,
  plainLabel,
  vocabularyIdIn,
} from './nodeFile.ts';
import { errorId } from './nodeIds.ts';

/** The largest graphs of the tools we read have some 20,000 nodes; the panel draws ten times as many. */
const maxNodes = 300_000;
/** Far above every published model; keeps a hostile file from asking for a canvas of a million rows. */
const maxLayers = 4096;

/** Nodes of a file in file order, and how the file's ids find them. */
export type NodesRead = {
  readonly nodes: readonly GraphNode[];
  /** Index of the node with a file's id; of the first, where several share it. */
  readonly byFileId: ReadonlyMap<string, number>;
  /** The error that shares its id with a layer-0 feature (or the other way round): index of the second node. */
  readonly shared: ReadonlyMap<string, number>;
  readonly nLayers: number;
  readonly foreign: Readonly<Record<string, JsonObject>>;
};

export type NodeContext = {
  /** The file says by `schema_version` or a Neuronpedia source set that feature numbers are Cantor numbers. */
  readonly cantor: boolean;
  readonly nLayers: number | null;
  readonly promptTokens: readonly string[];
};

type RawNode = {
  readonly raw: JsonObject;
  readonly id: string;
  readonly kind: NodeKind;
  readonly layer: number;
  readonly pos: number;
};

/** Reads `nodes`, leaving out what has no place in a graph and saying so in `warnings`. */
export function readNodes(list: readonly unknown[], context: NodeContext, warnings: string[]): NodesRead {
  if (list.length > maxNodes) {
    throw new UserError(
      'graph.tooManyNodes',
      `The graph has ${list.length} nodes; the limit is ${maxNodes}.`,
      'Prune it where it was made, or trace with fewer feature nodes.',
    );
  }
  const raws = list.flatMap((value) => rawNode(value, context.promptTokens.length) ?? []);
  if (raws.length < list.length) {
    warnings.push(
      `${list.length - raws.length} of ${list.length} nodes were left out: they have no id, layer or position inside the prompt.`,
    );
  }
  const nLayers = context.nLayers ?? countLayers(raws);
  const indexOf = featureNumbering(raws, context.cantor);
  const nodes: GraphNode[] = [];
  const byFileId = new Map<string, number>();
  const shared = new Map<string, number>();
  const freeId = idGiver();
  const foreign: Record<string, JsonObject> = {};
  let repeated = 0;
  for (const raw of raws) {
    const first = byFileId.get(raw.id);
    if (first === undefined) byFileId.set(raw.id, nodes.length);
    else if (isCollision(nodes[first].kind, raw.kind) && !shared.has(raw.id)) shared.set(raw.id, nodes.length);
    else repeated += 1;
    const node = graphNode(raw, freeId(ownId(raw)), nLayers, indexOf(raw), context.promptTokens);
    nodes.push(node);
    const other = foreignOf(raw, node);
    if (other) foreign[node.id] = other;
  }
  markTarget(raws, nodes);
  if (repeated > 0) warnings.push(`${repeated} nodes have the id of another node; links to that id go to the first.`);
  return { nodes, byFileId, shared, nLayers, foreign };
}

function rawNode(value: unknown, nPositions: number): RawNode | null {
  if (!isObject(value)) return null;
  const id = asText(value.node_id);
  const pos = asCount(value.ctx_idx);
  if (id === null || id === '' || pos === null || pos >= nPositions) return null;
  const layer = value.layer === 'E' || value.layer === -1 ? -1 : asCount(value.layer);
  const kind = kindOf(value, layer);
  if (kind === 'token') return { raw: value, id, kind, layer: -1, pos };
  if (layer === null || layer > maxLayers) return null;
  // Only tokens and kinds that we do not know have a place below layer 0.
  if (layer < 0 && kind !== 'unknown' && kind !== 'bias') return null;
  return { raw: value, id, kind, layer, pos };
}

/** Of files that do not say which output is explained, the most likely one is. */
function markTarget(raws: readonly RawNode[], nodes: GraphNode[]): void {
  if (raws.some(({ raw }) => raw.is_target_logit !== undefined)) return;
  let target = -1;
  for (const [index, node] of nodes.entries()) {
    if (node.kind !== 'logit') continue;
    if (target < 0 || (node.probability ?? 0) > (nodes[target].probability ?? 0)) target = index;
  }
  if (target >= 0) nodes[target] = { ...nodes[target], isTarget: true };
}

/** Early files call every node below layer 0 unexplored too; those are tokens. */
function kindOf(value: JsonObject, layer: number | null): NodeKind {
  const type = asText(value.feature_type) ?? '';
  return type === 'unexplored node' && layer === -1 ? 'token' : (kindOfType.get(type) ?? 'unknown');
}

/**
 * The number of layers, which no foreign file states. Logits stand at nLayers + 1 in files of circuit-tracer (labels
 * `Output …`) and at nLayers in those of the newer generator (labels `Logit …`, error ids with `_error_`).
 */
function countLayers(raws: readonly RawNode[]): number {
  let above = 1;
  let logitLayer = 0;
  let isNewer = false;
  for (const { raw, id, kind, layer } of raws) {
    if (kind === 'logit') {
      logitLayer = Math.max(logitLayer, layer);
      isNewer ||= (asText(raw.clerp) ?? '').startsWith('Logit ');
    } else {
      above = Math.max(above, layer + 1);
      isNewer ||= /_error_(?:mlp|attn)_/.test(id);
    }
  }
  return Math.max(above, isNewer ? logitLayer : logitLayer - 1);
}

type Numbering = 'cantor' | 'decimal' | 'id';

/** How feature numbers are to be read: as the file says, or by what agrees with the nodes' layers. */
function featureNumbering(raws: readonly RawNode[], cantor: boolean): (raw: RawNode) => number | null {
  const votes = { cantor: 0, decimal: 0 };
  for (const raw of cantor ? [] : raws) {
    if (!hasFeatureNumber(raw.kind)) continue;
    const inId = featureIndexIn(raw.id);
    for (const numbering of ['cantor', 'decimal'] as const) {
      const index = indexBy(numbering, raw);
      // A number that fits the layer may do so by chance; one that the id repeats does not.
      if (index !== null) votes[numbering] += index === inId ? 2 : 1;
    }
  }
  const isCantor = cantor || (votes.cantor > 0 && votes.cantor >= votes.decimal);
  const order: readonly Numbering[] = isCantor ? ['cantor', 'id'] : ['decimal', 'id', 'cantor'];
  return (raw) => {
    for (const numbering of order) {
      const index = indexBy(numbering, raw);
      if (index !== null) return index;
    }
    return null;
  };
}

function hasFeatureNumber(kind: NodeKind): boolean {
  return kind === 'feature' || kind === 'attention';
}

function indexBy(numbering: Numbering, { raw, id, layer }: RawNode): number | null {
  if (numbering === 'id') return featureIndexIn(id);
  const number = asCount(raw.feature);
  if (number === null) return null;
  if (numbering === 'decimal') return decimalFeature(number, layer);
  const site = unpairFeature(number);
  return site && site.layer === layer ? site.feature : null;
}

function graphNode(
  { raw, id: fileId, kind, layer, pos }: RawNode,
  id: NodeId,
  nLayers: number,
  index: number | null,
  promptTokens: readonly string[],
): GraphNode {
  const clerp = asText(raw.clerp) ?? '';
  const node = {
    id,
    kind,
    layer: kind === 'logit' ? nLayers : layer,
    pos,
    activation: asNumber(raw.activation),
    influence: asNumber(raw.influence),
    probability: null,
    isTarget: false,
  };
  if (kind === 'token') {
    const label = plainLabel(clerp, kind, raw.feature);
    const own = asCount(raw.token_id) ?? vocabularyIdIn(fileId);
    return { ...node, feature: own, label: label === '' ? promptTokens[pos] : label };
  }
  if (kind === 'logit') {
    const { label, probability } = logitLabel(clerp);
    return {
      ...node,
      feature: asCount(raw.feature),
      label,
      probability: raw.token_prob === undefined ? probability : probabilityOf(raw.token_prob),
      isTarget: raw.is_target_logit === true,
    };
  }
  const label = plainLabel(clerp, kind, raw.feature);
  return { ...node, feature: hasFeatureNumber(kind) ? index : null, label };
}

function probabilityOf(value: unknown): number | null {
  const number = asNumber(value);
  return number !== null && number >= 0 && number <= 1 ? number : null;
}

function isCollision(a: NodeKind, b: NodeKind): boolean {
  return (a === 'feature' && b === 'error') || (a === 'error' && b === 'feature');
}

/** The id a node would have in our graph: the file's, but for errors, whose spelling collides, and for unsafe names. */
function ownId({ id, kind, layer, pos }: RawNode): string {
  if (kind === 'error') return errorId(layer, pos);
  return isInheritedName(id) ? `node ${id}` : id;
}

/** Gives each node the id it wants, or that id with a number when another node has it. */
function idGiver(): (wanted: string) => NodeId {
  const copies = new Map<string, number>();
  return (wanted) => {
    let free = wanted;
    while (copies.has(free)) {
      const copy = (copies.get(wanted) ?? 1) + 1;
      copies.set(wanted, copy);
      free = `${wanted} (${copy})`;
    }
    copies.set(free, 1);
    return free as NodeId;
  };
}

/** What the file says of the node that `GraphNode` cannot hold. */
function foreignOf({ raw, kind }: RawNode, node: GraphNode): JsonObject | null {
  const other: Record<string, unknown> = { ...otherFields(raw, nodeFields) };
  const type = asText(raw.feature_type);
  if (kind === 'unknown' && type !== null && type !== 'unknown') other.feature_type = type;
  if (hasOwnNumber(kind) && asNumber(raw.feature) !== null && raw.feature !== fileFeature(node))
    other.feature = raw.feature;
  const clerp = asText(raw.clerp) ?? '';
  // A token without a label of its own is shown as its text, and written with it.
  if (kind !== 'logit' && clerp !== node.label && clerp !== '') other.clerp = clerp;
  const jsNodeId = asText(raw.jsNodeId);
  if (jsNodeId !== null && jsNodeId !== fileJsNodeId(node)) other.jsNodeId = jsNodeId;
  for (const field of ['run_idx', 'reverse_ctx_idx']) if (asNumber(raw[field]) ?? 0) other[field] = raw[field];
  return Object.keys(other).length > 0 ? other : null;
}

/** Kinds whose `feature` a file may fill in ways that we do not know. */
function hasOwnNumber(kind: NodeKind): boolean {
  return kind === 'unknown' || kind === 'bias' || kind === 'attention error';
}
