import type { Site } from '../src/graph/node.ts';
import type { Claim, VerifiedClaim, VerifyResult } from '../src/protocol/engine.ts';
import type { GraphIndex } from './graphIndex.ts';
import { edgesOf } from './graphIndex.ts';
import type { StoryGroup } from './story.ts';
import type { Visible } from './visible.ts';

/** What was measured of the graph's claims so far. */
export type Verification = {
  readonly verdicts: ReadonlyMap<string, VerifiedClaim>;
  /** The last run as a whole, for the summary. */
  readonly summary: VerifyResult | null;
  readonly isRunning: boolean;
};

export const nothingTested: Verification = { verdicts: new Map(), summary: null, isRunning: false };

/** How many of the strongest edges are tested together. */
const mostEdges = 20;

/** The claim of one edge; null where its source cannot be turned off: only features can. */
export function edgeClaim(index: GraphIndex, edge: number): Claim | null {
  const { source, target, weight } = index.graph.edges;
  const site = siteOf(index, source[edge]);
  const end = targetOf(index, target[edge]);
  return site && end ? { sources: [site], target: end, weight: weight[edge] } : null;
}

/**
 * What the members together do directly: to the explained output where any has an edge to it, otherwise to the feature
 * outside of the group on which they act most.
 */
export function groupClaim(index: GraphIndex, members: readonly number[]): Claim | null {
  const { nodes, edges } = index.graph;
  const sums = new Map<number, number>();
  for (const member of members) {
    if (!siteOf(index, member)) continue;
    for (const edge of edgesOf(index, 'outputs', member)) {
      const target = edges.target[edge];
      if (!members.includes(target)) sums.set(target, (sums.get(target) ?? 0) + edges.weight[edge]);
    }
  }
  const answer = [...sums].find(([node]) => nodes[node].isTarget);
  const [strongest] = [...sums].sort((a, b) => Math.abs(b[1]) - Math.abs(a[1]));
  const [node, weight] = answer ?? strongest ?? [];
  const target = node === undefined ? null : targetOf(index, node);
  const sources = members.map((member) => siteOf(index, member)).filter((site) => site !== null);
  return target && weight !== undefined && sources.length > 0 ? { sources, target, weight } : null;
}

/** The claims worth testing first: those of the summary's groups and of the strongest visible edges between features. */
export function strongestClaims(index: GraphIndex, visible: Visible, groups: readonly StoryGroup[]): Claim[] {
  const { source, target } = index.graph.edges;
  const edges = Array.from(visible.edges)
    .filter((edge) => siteOf(index, source[edge]) !== null && targetOf(index, target[edge]) !== null)
    .slice(-mostEdges)
    .reverse();
  const claims = [
    ...groups.map(({ members }) => groupClaim(index, members)),
    ...edges.map((edge) => edgeClaim(index, edge)),
  ].filter((claim) => claim !== null);
  return [...new Map(claims.map((claim) => [claimKey(claim), claim])).values()];
}

/** Features among the nodes, to ask what survives without all others; null when there is none. */
export function keptSites(index: GraphIndex, nodes: Iterable<number>): Site[] | null {
  const sites = Array.from(nodes, (node) => siteOf(index, node)).filter((site) => site !== null);
  return sites.length > 0 ? sites : null;
}

/** The same for the same sources and target, in whatever order. */
export function claimKey({ sources, target }: Claim): string {
  const from = sources.map(({ layer, pos, feature }) => `${layer}/${pos}/${feature}`).sort();
  const to = target.type === 'logit' ? `logit ${target.id}` : `${target.layer}/${target.pos}/${target.feature}`;
  return `${from.join(' ')} → ${to}`;
}

/** The state with what a run has measured added to what is known. */
export function withResult(verification: Verification, claims: readonly Claim[], result: VerifyResult): Verification {
  const verdicts = new Map(verification.verdicts);
  claims.forEach((claim, position) => {
    const measured = result.claims[position];
    if (measured) verdicts.set(claimKey(claim), measured);
  });
  // One claim alone says nothing about the graph as a whole.
  const summary = claims.length > 2 ? result : verification.summary;
  return { verdicts, summary, isRunning: false };
}

function siteOf({ graph }: GraphIndex, node: number): Site | null {
  const { kind, layer, pos, feature } = graph.nodes[node];
  return kind === 'feature' && feature !== null ? { layer, pos, feature } : null;
}

function targetOf(index: GraphIndex, node: number): Claim['target'] | null {
  const { kind, feature } = index.graph.nodes[node];
  if (kind === 'logit' && feature !== null) return { type: 'logit', id: feature };
  const site = siteOf(index, node);
  return site ? { type: 'feature', ...site } : null;
}
