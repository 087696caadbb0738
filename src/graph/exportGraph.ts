import type { CircuitGraph } from './circuitGraph.ts';
import { foreignFields } from './foreignFields.ts';
import { asText, isObject, type JsonObject, parseJson } from './json.ts';
import { objectIn } from './readMetadata.ts';
import { pinnedWithMembers } from './subgraphRecord.ts';
import { writeGraph } from './writeGraph.ts';

/**
 * The graph as a file for circuit-tracer's viewer: `scan` is the transcoder set's reference, by which that viewer finds
 * feature examples, and nothing points to Neuronpedia's.
 * @param scan the set's reference where the graph's own `scan` is another name, as in files from Neuronpedia
 */
export function toCircuitTracer(graph: CircuitGraph, scan: string = graph.metadata.scan): string {
  const foreign = foreignFields(graph.foreign);
  const metadata = withoutField(foreign.metadata ?? {}, 'feature_details');
  return writeGraph({
    ...graph,
    metadata: { ...graph.metadata, scan },
    ...forOtherViewers(graph),
    foreign: { ...foreign, metadata: { transcoder_list: [], ...metadata } },
  });
}

/**
 * The graph as a file that Neuronpedia accepts and shows with its own dashboards.
 * @param modelId   Neuronpedia's name of the model, such as `gemma-2-2b`
 * @param sourceSet Neuronpedia's name of the transcoder set, such as `gemmascope-transcoder-16k`; null when it has none
 */
export function toNeuronpedia(graph: CircuitGraph, modelId: string, sourceSet: string | null): string {
  const foreign = foreignFields(graph.foreign);
  const details = objectIn(foreign.metadata ?? {}, 'feature_details');
  return writeGraph({
    ...graph,
    metadata: { ...graph.metadata, scan: modelId },
    ...forOtherViewers(graph),
    foreign: {
      ...foreign,
      info: { transcoder_set: graph.metadata.scan, ...foreign.info },
      metadata: {
        ...foreign.metadata,
        ...(sourceSet === null ? {} : { feature_details: { ...details, neuronpedia_source_set: sourceSet } }),
      },
    },
  });
}

/** Names that the user gave stand at the nodes, and members of supernodes are pinned: other viewers look there. */
function forOtherViewers({ nodes, view }: CircuitGraph): Pick<CircuitGraph, 'nodes' | 'view'> {
  return {
    nodes: nodes.map((node) => {
      const isNamed = node.kind !== 'logit' && node.kind !== 'token' && Object.hasOwn(view.labels, node.id);
      return isNamed ? { ...node, label: view.labels[node.id] } : node;
    }),
    view: { ...view, pinned: pinnedWithMembers(view) },
  };
}

/**
 * The list of the graphs in a folder (`graph-metadata.json`) with this graph in it, in the place of one of its name.
 * @param index the list as it is; null, or text that is no such list: a new one is begun
 * @param graph the text of the graph's file
 */
export function withGraphInIndex(index: string | null, graph: string): string {
  const metadata = objectIn(objectOf(graph), 'metadata');
  const { graphs } = index === null ? { graphs: [] } : objectOf(index);
  const others = (Array.isArray(graphs) ? graphs : []).filter(
    (other) => !isObject(other) || asText(other.slug) !== metadata.slug,
  );
  return `${JSON.stringify({ graphs: [...others, metadata] }, null, 1)}\n`;
}

function objectOf(text: string): JsonObject {
  const { value } = parseJson(text);
  return isObject(value) ? value : {};
}

/** What Neuronpedia would stumble over, as sentences; empty when it opens the graph. */
export function neuronpediaProblems(graph: CircuitGraph): string[] {
  const problems: string[] = [];
  if (!graph.nodes.some((node) => node.kind !== 'logit' && node.kind !== 'token' && node.layer > 0)) {
    problems.push('The graph has no node above layer 0 besides its outputs; Neuronpedia draws nothing then.');
  }
  if (graph.metadata.promptTokens.length > 64) {
    problems.push(`The prompt has ${graph.metadata.promptTokens.length} tokens; Neuronpedia is made for up to 64.`);
  }
  return problems;
}

function withoutField(value: JsonObject, name: string): JsonObject {
  return Object.fromEntries(Object.entries(value).filter(([key]) => key !== name));
}
