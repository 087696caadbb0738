import type { CircuitGraph } from './circuitGraph.ts';
import type { GraphNode, NodeId, NodeKind } from './node.ts';
import { atOnce, type Steps } from './steps.ts';

/**
 * A graph as one run of bytes, for the way between processes: what is many (nodes, edges) as columns of numbers, so that
 * nobody on the way has to walk through objects, and it can be sent in pieces. Not a file format: both ends are the same
 * version. `foreign` does not travel.
 *
 * Layout: length of the header in bytes (uint32), the header (JSON, UTF-8), then the columns, each at a multiple of 8.
 */
export type GraphBytes = Uint8Array<ArrayBuffer>;

type Column = Uint8Array | Uint16Array | Uint32Array | Int32Array | Float32Array | Float64Array;
const columnTypes = { Uint8Array, Uint16Array, Uint32Array, Int32Array, Float32Array, Float64Array } as const;
type ColumnType = keyof typeof columnTypes;

type Header = {
  /** All of the graph that is neither many nor foreign. */
  readonly rest: Omit<CircuitGraph, 'nodes' | 'edges' | 'foreign'>;
  /** By name: type, place of the first byte behind the header, number of entries. */
  readonly columns: Readonly<Record<string, readonly [ColumnType, number, number]>>;
};

const kinds: readonly NodeKind[] = [
  'feature',
  'error',
  'token',
  'logit',
  'attention',
  'attention error',
  'bias',
  'unknown',
];

/** Nodes that are made between two steps. */
const nodesAStep = 8000;

/** A graph as bytes, without its `foreign`. */
export function graphToBytes({ nodes, edges, foreign: _, ...rest }: CircuitGraph): GraphBytes {
  const numberOr = (value: number | null): number => value ?? Number.NaN;
  const columns: Readonly<Record<string, Column>> = {
    kind: Uint8Array.from(nodes, (node) => kinds.indexOf(node.kind)),
    layer: Int32Array.from(nodes, (node) => node.layer),
    pos: Uint32Array.from(nodes, (node) => node.pos),
    feature: Float64Array.from(nodes, (node) => numberOr(node.feature)),
    activation: Float64Array.from(nodes, (node) => numberOr(node.activation)),
    influence: Float64Array.from(nodes, (node) => numberOr(node.influence)),
    probability: Float64Array.from(nodes, (node) => numberOr(node.probability)),
    isTarget: Uint8Array.from(nodes, (node) => (node.isTarget ? 1 : 0)),
    ...textColumns('id', nodes, (node) => node.id),
    ...textColumns('label', nodes, (node) => node.label),
    source: edges.source,
    target: edges.target,
    weight: edges.weight,
    ...(edges.ambiguous ? { ambiguous: edges.ambiguous } : {}),
  };
  let size = 0;
  const places: Record<string, readonly [ColumnType, number, number]> = {};
  for (const [name, column] of Object.entries(columns)) {
    places[name] = [column.constructor.name as ColumnType, size, column.length];
    size += roundUp(column.byteLength);
  }
  const header = new TextEncoder().encode(JSON.stringify({ rest, columns: places } satisfies Header));
  const start = roundUp(4 + header.length);
  const bytes = new Uint8Array(start + size);
  new Uint32Array(bytes.buffer, 0, 1)[0] = header.length;
  bytes.set(header, 4);
  for (const [name, column] of Object.entries(columns)) {
    const [, offset] = places[name];
    bytes.set(new Uint8Array(column.buffer, column.byteOffset, column.byteLength), start + offset);
  }
  return bytes;
}

/** The graph of `graphToBytes`. */
export function graphFromBytes(bytes: GraphBytes): CircuitGraph {
  return atOnce(graphFromBytesSteps(bytes));
}

/** The same in steps. The edges stay where they are: they are views of the bytes. */
export function* graphFromBytesSteps(bytes: GraphBytes): Steps<CircuitGraph> {
  const [length] = new Uint32Array(bytes.buffer, bytes.byteOffset, 1);
  const start = bytes.byteOffset + roundUp(4 + length);
  const { rest, columns } = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length))) as Header;
  const column = <Type extends ColumnType>(name: string, type: Type): InstanceType<(typeof columnTypes)[Type]> => {
    const [, offset, count] = columns[name];
    return new columnTypes[type](bytes.buffer, start + offset, count) as InstanceType<(typeof columnTypes)[Type]>;
  };
  yield;
  const kind = column('kind', 'Uint8Array');
  const layer = column('layer', 'Int32Array');
  const pos = column('pos', 'Uint32Array');
  const [feature, activation, influence, probability] = ['feature', 'activation', 'influence', 'probability'].map(
    (name) => column(name, 'Float64Array'),
  );
  const isTarget = column('isTarget', 'Uint8Array');
  const [idLetters, labelLetters] = ['idLetters', 'labelLetters'].map((name) => column(name, 'Uint16Array'));
  const [idEnds, labelEnds] = ['idEnds', 'labelEnds'].map((name) => column(name, 'Uint32Array'));
  const numberAt = (values: Float64Array, node: number): number | null =>
    Number.isNaN(values[node]) ? null : values[node];
  const nodes: GraphNode[] = [];
  for (let node = 0; node < kind.length; node++) {
    if (node % nodesAStep === nodesAStep - 1) yield;
    nodes.push({
      id: textAt(idLetters, idEnds, node) as NodeId,
      kind: kinds[kind[node]],
      layer: layer[node],
      pos: pos[node],
      feature: numberAt(feature, node),
      label: textAt(labelLetters, labelEnds, node),
      activation: numberAt(activation, node),
      influence: numberAt(influence, node),
      probability: numberAt(probability, node),
      isTarget: isTarget[node] === 1,
    });
  }
  const edges = {
    source: column('source', 'Uint32Array'),
    target: column('target', 'Uint32Array'),
    weight: column('weight', 'Float32Array'),
    ...('ambiguous' in columns ? { ambiguous: column('ambiguous', 'Uint8Array') } : {}),
  };
  return { ...rest, nodes, edges, foreign: {} };
}

/** Texts as UTF-16 letters one after the other, and where each ends: lossless for any text that JavaScript can hold. */
function textColumns(
  name: string,
  nodes: readonly GraphNode[],
  textOf: (node: GraphNode) => string,
): Readonly<Record<string, Column>> {
  const ends = new Uint32Array(nodes.length);
  let total = 0;
  for (const [index, node] of nodes.entries()) {
    total += textOf(node).length;
    ends[index] = total;
  }
  const letters = new Uint16Array(total);
  let place = 0;
  for (const node of nodes) {
    const text = textOf(node);
    for (let i = 0; i < text.length; i++) letters[place++] = text.charCodeAt(i);
  }
  return { [`${name}Letters`]: letters, [`${name}Ends`]: ends };
}

/** Longer texts are put together in parts: a call takes only so many arguments. */
const lettersACall = 8192;

function textAt(letters: Uint16Array, ends: Uint32Array, index: number): string {
  const end = ends[index];
  let text = '';
  for (let from = index === 0 ? 0 : ends[index - 1]; from < end; from += lettersACall) {
    text += String.fromCharCode.apply(null, letters.subarray(from, Math.min(end, from + lettersACall)) as never);
  }
  return text;
}

function roundUp(size: number): number {
  return Math.ceil(size / 8) * 8;
}
