import { UserError } from '../protocol/errors.ts';
import { inCanonicalOrder } from './canonicalOrder.ts';
import type { CircuitGraph, Edges, GraphMetadata, GraphView } from './circuitGraph.ts';
import { type ForeignFields, foreignFields, foreignLinkKey, foreignNode, foreignText } from './foreignFields.ts';
import { noInterventions } from './interventions.ts';
import { writeInterventions } from './interventionsFile.ts';
import { isObject, type JsonObject } from './json.ts';
import type { GraphNode } from './node.ts';
import { fileFeature, fileJsNodeId, fileLabel, fileLayer, typeOfKind, vocabularyIdIn } from './nodeFile.ts';
import { objectIn, safeSlug } from './readMetadata.ts';
import { labelId } from './readView.ts';
import { placesText } from './subgraphPlaces.ts';
import { revisionText } from './weights.ts';

/**
 * A graph as a file: attribution graph JSON, schema 1, which circuit-tracer's viewer and Neuronpedia open. One line for
 * each node and link, in a stable order, so that versions compare well; what only we know is in
 * `metadata.prompt_circuits`. `readGraph` gives back the same graph.
 * @throws UserError when a number is not finite or two nodes have one id
 */
export function writeGraph(graph: CircuitGraph): string {
  const { nodes, edges } = inCanonicalOrder(graph.nodes, graph.edges);
  const foreign = foreignFields(graph.foreign);
  checkIds(nodes);
  const parts = [
    `"metadata": ${pretty(fileMetadata(graph, nodes, foreign))}`,
    `"qParams": ${pretty(fileView(graph.view, nodes, foreign))}`,
    ...Object.entries(foreign.file ?? {}).map(([name, value]) => `${JSON.stringify(name)}: ${JSON.stringify(value)}`),
    `"nodes": ${list(nodes.map((node) => nodeLine(node, graph.metadata.nLayers, foreign)))}`,
    `"links": ${list(linkLines(nodes, edges, foreign))}`,
  ];
  return `{\n${parts.join(',\n')}\n}\n`;
}

function list(lines: readonly string[]): string {
  return lines.length === 0 ? '[]' : `[\n${lines.join(',\n')}\n]`;
}

/** One line for each field, whatever is in it. */
function pretty(value: JsonObject): string {
  const lines = Object.entries(value).map(([name, field]) => `  ${JSON.stringify(name)}: ${JSON.stringify(field)}`);
  return lines.length === 0 ? '{}' : `{\n${lines.join(',\n')}\n}`;
}

function checkIds(nodes: readonly GraphNode[]): void {
  const ids = new Set(nodes.map((node) => node.id));
  if (ids.size === nodes.length) return;
  throw new UserError(
    'graph.repeatedIds',
    `${nodes.length - ids.size} of the graph's ${nodes.length} nodes have the id of another node.`,
    'Trace the prompt again; if this repeats, please report it.',
  );
}

function fileMetadata(
  { metadata, view, interventions, similar }: CircuitGraph,
  nodes: readonly GraphNode[],
  foreign: ForeignFields,
): JsonObject {
  const { generation, pruning, generator, createdAt } = metadata;
  const time = new Date(createdAt ?? Number.NaN);
  const hasTime = !Number.isNaN(time.getTime()) && time.toISOString() === createdAt;
  const others = foreign.metadata ?? {};
  const info = foreign.info ?? {};
  return {
    slug: safeSlug(metadata.slug),
    scan: metadata.scan,
    prompt_tokens: metadata.promptTokens,
    prompt: metadata.prompt,
    node_threshold: finite(metadata.nodeThreshold, 'the node threshold'),
    schema_version: 1,
    ...others,
    ...withFields('info', {
      ...(metadata.modelName === metadata.scan ? {} : { model_id: metadata.modelName, transcoder_set: metadata.scan }),
      ...(metadata.weights && { model_revision: revisionText(metadata.weights.model) }),
      ...(metadata.weights?.transcoders && { transcoder_revision: revisionText(metadata.weights.transcoders) }),
      ...info,
      ...withFields('generator', { ...objectIn(info, 'generator'), ...(generator ?? {}) }),
      ...(hasTime ? { create_time_ms: time.getTime() } : {}),
    }),
    ...withFields('generation_settings', {
      ...objectIn(others, 'generation_settings'),
      ...(generation && {
        max_n_logits: generation.maxLogits,
        desired_logit_prob: finite(generation.logitProbability, 'the probability to reach'),
        batch_size: generation.batchSize,
        ...(generation.maxFeatureNodes === null ? {} : { max_feature_nodes: generation.maxFeatureNodes }),
      }),
    }),
    ...withFields('pruning_settings', {
      ...objectIn(others, 'pruning_settings'),
      ...(pruning && {
        node_threshold: finite(pruning.nodeThreshold, 'the node threshold'),
        edge_threshold: finite(pruning.edgeThreshold, 'the edge threshold'),
      }),
    }),
    prompt_circuits: {
      ...ownSection(metadata, view, nodes, hasTime),
      ...(similar && {
        decoder_similarity: similar.map(([a, b, cosine]) => [a, b, Number(finite(cosine, 'a similarity').toFixed(3))]),
      }),
      ...withFields('interventions', writeInterventions(interventions ?? noInterventions) ?? {}),
    },
  };
}

/** What only we know of a graph. */
function ownSection(
  metadata: GraphMetadata,
  view: GraphView,
  nodes: readonly GraphNode[],
  hasTime: boolean,
): JsonObject {
  const labels = nodes.flatMap((node) => {
    const label = labelOf(view, node);
    return label === null || labelId(node) !== null ? [] : [[node.id, label]];
  });
  const places = nodes.flatMap((node) => {
    const place = Object.hasOwn(view.places, node.id) ? view.places[node.id] : null;
    return place ? [[node.id, finite(place[0], 'a place'), finite(place[1], 'a place')]] : [];
  });
  return {
    version: 1,
    model_name: metadata.modelName,
    n_layers: metadata.nLayers,
    ...(metadata.scores && { scores: metadata.scores }),
    ...(metadata.activeFeatures === null ? {} : { active_features: metadata.activeFeatures }),
    ...(metadata.promptTokenIds && { token_ids: metadata.promptTokenIds }),
    ...(metadata.weights && { weights: metadata.weights }),
    ...(metadata.createdAt === null || hasTime ? {} : { created_at: metadata.createdAt }),
    ...(labels.length > 0 ? { labels } : {}),
    ...(places.length > 0 ? { places } : {}),
  };
}

/** `qParams` as generators write them: lists, and labels by the viewers' ids. */
function fileView(view: GraphView, nodes: readonly GraphNode[], foreign: ForeignFields): JsonObject {
  const clerps = nodes.flatMap((node) => {
    const label = labelOf(view, node);
    const id = labelId(node);
    return label === null || id === null ? [] : [[id, label]];
  });
  return {
    pinnedIds: view.pinned,
    supernodes: view.supernodes.map(({ label, members }) => [label, ...members]),
    linkType: view.linkType,
    clickedId: view.clicked ?? '',
    sg_pos: placesText(nodes, view),
    ...(clerps.length > 0 ? { clerps } : {}),
    ...(view.pruningThreshold === null
      ? {}
      : { pruningThreshold: finite(view.pruningThreshold, 'the pruning threshold') }),
    ...foreign.qParams,
  };
}

function labelOf(view: GraphView, node: GraphNode): string | null {
  return Object.hasOwn(view.labels, node.id) ? view.labels[node.id] : null;
}

function nodeLine(node: GraphNode, nLayers: number, foreign: ForeignFields): string {
  const other = foreignNode(foreign, node.id);
  const isLogit = node.kind === 'logit';
  return JSON.stringify({
    node_id: node.id,
    feature: fileFeature(node),
    layer: fileLayer(node, nLayers),
    ctx_idx: node.pos,
    feature_type: foreignText(other, 'feature_type') ?? typeOfKind[node.kind],
    jsNodeId: fileJsNodeId(node),
    clerp: fileLabel(node),
    influence: node.influence === null ? null : finite(node.influence, 'an influence'),
    activation: node.activation === null ? null : finite(node.activation, 'an activation'),
    ...(isLogit ? { token_prob: node.probability === null ? null : finite(node.probability, 'a probability') } : {}),
    ...(isLogit ? { is_target_logit: node.isTarget } : {}),
    ...(node.kind === 'token' && node.feature !== vocabularyIdIn(node.id) ? { token_id: node.feature } : {}),
    ...other,
    // A label that was added since wins over the number that the file had in its place.
    ...(node.kind === 'feature' && node.label !== '' ? { clerp: node.label } : {}),
  });
}

function linkLines(nodes: readonly GraphNode[], edges: Edges, foreign: ForeignFields): readonly string[] {
  const ids = nodes.map((node) => JSON.stringify(node.id));
  const lines: string[] = [];
  for (let edge = 0; edge < edges.source.length; edge++) {
    const [source, target] = [edges.source[edge], edges.target[edge]];
    const key = foreign.links && foreignLinkKey(nodes[source].id, nodes[target].id);
    const other = foreign.links && key && Object.hasOwn(foreign.links, key) ? foreign.links[key] : null;
    const more = { ...(edges.ambiguous?.[edge] ? { ambiguous: true } : {}), ...(isObject(other) ? other : {}) };
    const rest = JSON.stringify(more);
    const weight = shortFloat(finite(edges.weight[edge], 'a weight'));
    lines.push(
      `{"source":${ids[source]},"target":${ids[target]},"weight":${weight}${rest === '{}' ? '}' : `,${rest.slice(1)}`}`,
    );
  }
  return lines;
}

/** The shortest decimal that is this float32 again: files stay small and a difference is a difference of the number. */
function shortFloat(value: number): string {
  for (let digits = 6; digits < 9; digits++) {
    const text = value.toPrecision(digits);
    if (Math.fround(Number(text)) === value) return String(Number(text));
  }
  return String(Number(value.toPrecision(9)));
}

function withFields(name: string, value: JsonObject): JsonObject {
  return Object.keys(value).length > 0 ? { [name]: value } : {};
}

function finite(value: number, what: string): number {
  if (Number.isFinite(value)) return value;
  throw new UserError(
    'graph.notFinite',
    `The graph cannot be saved: ${what} in it is ${value}.`,
    'Trace the prompt again; if this repeats, the model overflows its number format.',
  );
}
