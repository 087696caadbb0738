import { UserError } from '../protocol/errors.ts';
import type { Edges } from './circuitGraph.ts';
import { foreignLinkKey } from './foreignFields.ts';
import { asText, isObject, type JsonObject, otherFields } from './json.ts';
import type { NodesRead } from './readNodes.ts';

/** More than fit into a file of the largest size. */
const maxLinks = 4_000_000;

const linkFields: ReadonlySet<string> = new Set(['source', 'target', 'weight', 'ambiguous']);

export type LinksRead = { readonly edges: Edges; readonly foreign: Readonly<Record<string, JsonObject>> };

/** Reads `links` in file order, leaving out those that lead from or to nowhere and saying so in `warnings`. */
export function readLinks(list: readonly unknown[], read: NodesRead, warnings: string[]): LinksRead {
  if (list.length > maxLinks) {
    throw new UserError(
      'graph.tooManyLinks',
      `The graph has ${list.length} links; the limit is ${maxLinks}.`,
      'Prune its edges where it was made.',
    );
  }
  const source = new Uint32Array(list.length);
  const target = new Uint32Array(list.length);
  const weight = new Float32Array(list.length);
  const ambiguous = new Uint8Array(list.length);
  const foreign: Record<string, JsonObject> = {};
  const sourceOf = sharedSources(read, ambiguous);
  let count = 0;
  let homeless = 0;
  let weightless = 0;
  for (const link of list) {
    const from = isObject(link) ? (asText(link.source) ?? '') : '';
    const to = isObject(link) ? (asText(link.target) ?? '') : '';
    const targetIndex = targetOf(read, to);
    const first = read.byFileId.get(from);
    if (!isObject(link) || targetIndex === undefined || first === undefined) {
      homeless += 1;
      continue;
    }
    const value = typeof link.weight === 'number' ? Math.fround(link.weight) + 0 : Number.NaN;
    if (!Number.isFinite(value)) {
      weightless += 1;
      continue;
    }
    source[count] = read.shared.size === 0 ? first : sourceOf(from, first, targetIndex, count);
    target[count] = targetIndex;
    weight[count] = value;
    if (link.ambiguous === true) ambiguous[count] = 1;
    const other = otherFields(link, linkFields);
    if (other) foreign[foreignLinkKey(read.nodes[source[count]].id, read.nodes[targetIndex].id)] = other;
    count += 1;
  }
  if (homeless > 0)
    warnings.push(`${homeless} of ${list.length} links were left out: they name nodes that are not in the file.`);
  if (weightless > 0)
    warnings.push(`${weightless} of ${list.length} links were left out: their weight is not a finite number.`);
  const edges = { source: source.slice(0, count), target: target.slice(0, count), weight: weight.slice(0, count) };
  const nAmbiguous = ambiguous.subarray(0, count).reduce((sum, mark) => sum + mark, 0);
  if (nAmbiguous === 0) return { edges, foreign };
  warnings.push(
    `${nAmbiguous} links start at an id that a layer-0 feature and an error share, and the file does not tell which: they are drawn from the feature and marked.`,
  );
  return { edges: { ...edges, ambiguous: ambiguous.slice(0, count) }, foreign };
}

/** Where a link leads: of two nodes that share an id, the feature, because errors receive no links. */
function targetOf(read: NodesRead, id: string): number | undefined {
  const first = read.byFileId.get(id);
  const second = read.shared.size === 0 ? undefined : read.shared.get(id);
  return first === undefined || second === undefined || read.nodes[first].kind === 'feature' ? first : second;
}

/**
 * Where a link starts. Of a layer-0 feature and an error of layer m that share an id, the error writes after layer m has
 * been read, so a link to a feature at layer m or below is the layer-0 feature's. Otherwise the first of two links of
 * the same pair is the feature's and the second the error's (matrix order); a single one is the feature's, marked
 * ambiguous.
 */
function sharedSources(
  read: NodesRead,
  ambiguous: Uint8Array,
): (id: string, first: number, target: number, link: number) => number {
  const seen = new Map<string, number>();
  return (id, first, target, link) => {
    const second = read.shared.get(id);
    if (second === undefined) return first;
    const [feature, error] = read.nodes[first].kind === 'feature' ? [first, second] : [second, first];
    const targetNode = read.nodes[target];
    if (targetNode.kind === 'feature' && targetNode.layer <= read.nodes[error].layer) return feature;
    const pair = `${feature} ${target}`;
    const before = seen.get(pair);
    if (before === undefined) {
      seen.set(pair, link);
      ambiguous[link] = 1;
      return feature;
    }
    ambiguous[before] = 0;
    return error;
  };
}
