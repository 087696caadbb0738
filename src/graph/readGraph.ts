import { UserError } from '../protocol/errors.ts';
import { inCanonicalOrder } from './canonicalOrder.ts';
import type { CircuitGraph, Edges } from './circuitGraph.ts';
import { readSimilarPairs } from './decoderSimilarity.ts';
import { foreignText } from './foreignFields.ts';
import { cumulativeShares, incomingEdges, influence } from './influence.ts';
import { readInterventions } from './interventionsFile.ts';
import { isObject, type JsonObject, maxGraphBytes, otherFields, parseJson } from './json.ts';
import type { GraphNode } from './node.ts';
import { fileJsNodeId } from './nodeFile.ts';
import { readLinks } from './readLinks.ts';
import { objectIn, readMetadata } from './readMetadata.ts';
import { type NodesRead, readNodes } from './readNodes.ts';
import { readView } from './readView.ts';

const fileFields: ReadonlySet<string> = new Set(['metadata', 'qParams', 'nodes', 'links']);

export type GraphRead = {
  readonly graph: CircuitGraph;
  /** What was left out, guessed or computed, as sentences with numbers. */
  readonly warnings: readonly string[];
};

/**
 * Reads a graph file of ours, of circuit-tracer or of Neuronpedia, whatever its age. Tolerant: what cannot be used is
 * left out and told in `warnings`; what is not understood is kept in `foreign`. The text may be hostile.
 * @throws UserError when it is no graph, or larger or deeper than any graph is
 */
export function readGraph(text: string): GraphRead {
  const { value, nonFinite } = parseJson(text);
  if (!isObject(value) || !Array.isArray(value.nodes) || !Array.isArray(value.links)) throw notAGraph(value);
  const warnings: string[] = [];
  if (nonFinite > 0) warnings.push(`${nonFinite} numbers in the file are NaN or infinite and were taken as unknown.`);
  const { metadata, cantor, nLayers, own, foreign, foreignInfo } = readMetadata(
    objectIn(value, 'metadata'),
    value.nodes,
    warnings,
  );
  const read = readNodes(value.nodes, { cantor, nLayers, promptTokens: metadata.promptTokens }, warnings);
  const links = readLinks(value.links, read, warnings);
  const { nodes, edges } = inCanonicalOrder(read.nodes, links.edges);
  const view = readView(objectIn(value, 'qParams'), own, read.nodes, nodeFinder(read), warnings);
  const graph: CircuitGraph = {
    metadata: {
      ...metadata,
      nLayers: read.nLayers,
      promptTokenIds: metadata.promptTokenIds ?? tokenIds(nodes, metadata.promptTokens.length),
    },
    nodes: withInfluence(nodes, edges, warnings),
    edges,
    view: view.view,
    ...(Array.isArray(own.decoder_similarity) ? { similar: readSimilarPairs(own.decoder_similarity, nodes) } : {}),
    ...(isObject(own.interventions) ? { interventions: readInterventions(own.interventions) } : {}),
    foreign: {
      ...named('file', otherFields(value, fileFields)),
      ...named('metadata', foreign),
      ...named('info', foreignInfo),
      ...named('qParams', view.foreign),
      ...named('nodes', read.foreign),
      ...named('links', links.foreign),
    },
  };
  return { graph, warnings };
}

/** Reads a graph from a file's bytes, UTF-8 with or without a byte order mark. */
export function readGraphBytes(bytes: Uint8Array): GraphRead {
  if (bytes.length > maxGraphBytes) {
    throw new UserError(
      'graph.tooLarge',
      `The graph file has ${(bytes.length / 2 ** 20).toFixed(0)} MB; the limit is ${maxGraphBytes / 2 ** 20} MB.`,
      'Trace again with fewer feature nodes, or prune the graph more before saving it.',
    );
  }
  return readGraph(new TextDecoder().decode(bytes));
}

/** Finds nodes by a file's ids; those of the original viewer's own graphs are `jsNodeId`s, looked up when they are met. */
function nodeFinder(read: NodesRead): (id: string) => GraphNode | undefined {
  let byJsId: Map<string, GraphNode> | null = null;
  return (id) => {
    const first = read.byFileId.get(id);
    if (first === undefined) {
      byJsId ??= new Map(read.nodes.map((node) => [jsNodeId(read, node), node] as const).reverse());
      return byJsId.get(id);
    }
    const second = read.shared.get(id);
    return read.nodes[second === undefined || read.nodes[first].kind === 'feature' ? first : second];
  };
}

function jsNodeId(read: NodesRead, node: GraphNode): string {
  const fields = Object.hasOwn(read.foreign, node.id) ? read.foreign[node.id] : null;
  return foreignText(fields, 'jsNodeId') ?? fileJsNodeId(node);
}

/** The prompt's vocabulary ids where every position has a token node that tells its own. */
function tokenIds(nodes: readonly GraphNode[], nPositions: number): readonly number[] | null {
  const ids = new Map<number, number>();
  for (const node of nodes) if (node.kind === 'token' && node.feature !== null) ids.set(node.pos, node.feature);
  if (ids.size !== nPositions || nPositions === 0) return null;
  return Array.from({ length: nPositions }, (_, pos) => ids.get(pos) ?? 0);
}

/** Computes influence from the links where the file has none, and says so. */
function withInfluence(nodes: readonly GraphNode[], edges: Edges, warnings: string[]): readonly GraphNode[] {
  if (nodes.some((node) => node.influence !== null) || edges.source.length === 0) return nodes;
  const logits = nodes.filter((node) => node.kind === 'logit');
  if (logits.length === 0) {
    warnings.push('The file has neither influence nor outputs: its nodes cannot be ranked.');
    return nodes;
  }
  const known = logits.some((node) => (node.probability ?? 0) > 0);
  const outputWeight = Float64Array.from(nodes, (node) =>
    node.kind === 'logit' ? (known ? (node.probability ?? 0) : 1 / logits.length) : 0,
  );
  const shares = cumulativeShares(influence(incomingEdges(nodes.length, edges), outputWeight));
  warnings.push('The file does not say how much each node matters: influence was computed from its links.');
  return nodes.map((node, index) => (node.kind === 'logit' ? node : { ...node, influence: shares[index] }));
}

function named(name: string, value: JsonObject | null): JsonObject {
  return value && Object.keys(value).length > 0 ? { [name]: value } : {};
}

function notAGraph(value: unknown): UserError {
  const isIndex = isObject(value) && Array.isArray(value.graphs);
  return new UserError(
    'graph.notAGraph',
    isIndex
      ? 'This file is the list of the graphs in a folder, not a graph.'
      : 'This JSON file is no attribution graph: it has no lists `nodes` and `links`.',
    isIndex
      ? 'Open one of the other JSON files in its folder.'
      : 'Open a graph written by Prompt Circuits, circuit-tracer or Neuronpedia.',
  );
}
