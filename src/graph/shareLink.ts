import { UserError } from '../protocol/errors.ts';
import type { CircuitGraph } from './circuitGraph.ts';
import { safeSlug } from './readMetadata.ts';
import { labelPairs, pinnedWithMembers } from './subgraphRecord.ts';

/** Browsers and servers cut longer addresses. */
const maxLinkLength = 16_000;

/** What a share link says. The fields of a saved view are texts as in the link (`withSavedView` reads them). */
export type ShareLink = {
  /** Neuronpedia's model id; null in links of the local and the original viewer. */
  readonly modelId: string | null;
  readonly slug: string;
  readonly view: Readonly<Record<string, string>>;
  /** A saved subgraph's id, a source set, hidden nodes, a pair of outputs (`A__vs__B`): kept as they are. */
  readonly others: Readonly<Record<string, string>>;
};

const viewNames: ReadonlySet<string> = new Set([
  'pinnedIds',
  'supernodes',
  'clerps',
  'clickedId',
  'pruningThreshold',
  'linkType',
]);
const otherNames: ReadonlySet<string> = new Set([
  'densityThreshold',
  'hiddenIds',
  'logitDiff',
  'subgraph',
  'sourceSet',
  'isGridsnap',
  'embed',
]);

/**
 * A link that opens the graph with its view in a viewer that already has the graph.
 * @param viewer  address of the viewer: Neuronpedia's, or where circuit-tracer serves its own
 * @param modelId Neuronpedia's model id; null for the local and the original viewer
 * @throws UserError when the link would be longer than browsers take
 */
export function shareLink(graph: CircuitGraph, viewer: string, modelId: string | null): string {
  const base = viewer.replace(/[?#].*$/s, '').replace(/\/+$/, '');
  const address = modelId === null ? `${base}/` : `${base}/${encodeURIComponent(modelId)}/graph`;
  const { view } = graph;
  const clerps = labelPairs(graph);
  const parameters = new URLSearchParams({ slug: graph.metadata.slug });
  const pinned = pinnedWithMembers(view);
  if (pinned.length > 0) parameters.set('pinnedIds', pinned.join(','));
  if (view.supernodes.length > 0) {
    parameters.set('supernodes', JSON.stringify(view.supernodes.map(({ label, members }) => [label, ...members])));
  }
  if (clerps.length > 0) parameters.set('clerps', JSON.stringify(clerps));
  if (view.pruningThreshold !== null) parameters.set('pruningThreshold', String(view.pruningThreshold));
  if (view.clicked !== null) parameters.set('clickedId', view.clicked);
  const link = `${address}?${parameters}`;
  if (link.length <= maxLinkLength) return link;
  throw new UserError(
    'link.tooLong',
    `A link to this view would have ${link.length} characters; at most ${maxLinkLength} work everywhere.`,
    'Share the graph file instead, or pin fewer nodes.',
  );
}

/**
 * Reads a share link of Neuronpedia, of circuit-tracer's local viewer or of the original viewer; parameters may also
 * follow the `#`, as some copies have them.
 * @throws UserError when the text is no such link
 */
export function parseShareLink(text: string): ShareLink {
  const url = urlOf(text);
  const parameters = url && new URLSearchParams([...url.searchParams, ...new URLSearchParams(url.hash.slice(1))]);
  const slug = parameters?.get('slug') ?? '';
  if (!url || !parameters || slug === '') {
    throw new UserError(
      'link.notAGraph',
      'This is no link to an attribution graph: it names no graph (slug=…).',
      'Copy the link from the address bar of the page that shows the graph.',
    );
  }
  const model = /\/([^/]+)\/graph\/?$/.exec(url.pathname);
  const pick = (names: ReadonlySet<string>) => Object.fromEntries([...parameters].filter(([name]) => names.has(name)));
  return {
    modelId: model ? decoded(model[1]) : null,
    slug: safeSlug(slug),
    view: pick(viewNames),
    others: pick(otherNames),
  };
}

function urlOf(text: string): URL | null {
  if (text.length > 1_000_000 || !URL.canParse(text.trim())) return null;
  const url = new URL(text.trim());
  return url.protocol === 'http:' || url.protocol === 'https:' ? url : null;
}

/** Percent-encoding undone where it is well-formed. */
function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
