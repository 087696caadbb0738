import { atOnce, type Steps } from '../src/graph/steps.ts';
import type { Prediction } from '../src/protocol/engine.ts';
import type { GraphIndex } from './graphIndex.ts';
import { flowThrough } from './graphIndex.ts';
import type { Proposal } from './proposals.ts';
import { logitText } from './words.ts';

/** A group of features as the summary names it, with its share of the answer. */
export type StoryGroup = {
  readonly id: string;
  readonly name: string;
  readonly members: readonly number[];
  /** Share of the explained outputs' paths that pass through the group. */
  readonly share: number;
  readonly type: 'supernode' | 'proposed' | 'feature';
  /** Which group colour. */
  readonly color: number;
  readonly reason: string;
};

/** The answer to the first question: what the model says, which groups got it there, how much the picture explains. */
export type Story = {
  readonly predictions: readonly Prediction[];
  readonly groups: readonly StoryGroup[];
  /** [position] influence of the token itself, for the strip of prompt tokens. */
  readonly tokenShares: Float32Array;
  readonly errorShare: number | null;
};

const mostGroups = 5;
const mostMeasured = 12;

/** Members that are not on this list of supernodes' ids are left out; a supernode of another graph may name them. */
export type NamedGroup = { readonly label: string; readonly members: readonly number[] };

/**
 * Puts the summary together. Supernodes of the reader come first, then proposals, then single features.
 * @param candidates the nodes among which single features are looked for
 */
export function tellStory(
  index: GraphIndex,
  predictions: readonly Prediction[],
  supernodes: readonly NamedGroup[],
  proposals: readonly Proposal[],
  nameOf: (node: number) => string,
  candidates: Iterable<number>,
): Story {
  return atOnce(storySteps(index, predictions, supernodes, proposals, nameOf, candidates));
}

/** The same in steps: each group's share is a walk over the whole graph. */
export function* storySteps(
  index: GraphIndex,
  predictions: readonly Prediction[],
  supernodes: readonly NamedGroup[],
  proposals: readonly Proposal[],
  nameOf: (node: number) => string,
  candidates: Iterable<number>,
): Steps<Story> {
  const groups: Omit<StoryGroup, 'color'>[] = [];
  for (const [position, { label, members }] of supernodes.entries()) {
    const share = flowThrough(index, members);
    groups.push({
      id: `supernode ${position}`,
      name: label,
      members,
      share,
      type: 'supernode',
      reason: 'Your supernode.',
    });
    yield;
  }
  const measured: Omit<StoryGroup, 'color'>[] = [];
  for (const proposal of proposals.slice(0, mostMeasured)) {
    measured.push({ ...proposal, share: flowThrough(index, proposal.members), type: 'proposed' });
    yield;
  }
  const taken = new Set([...groups, ...measured].flatMap(({ members }) => members));
  const singles = Array.from(candidates)
    .filter((node) => index.graph.nodes[node].kind === 'feature' && !taken.has(node))
    .sort((a, b) => index.influence[b] - index.influence[a] || a - b)
    .slice(0, mostGroups)
    .map(
      (node): Omit<StoryGroup, 'color'> => ({
        id: index.graph.nodes[node].id,
        name: nameOf(node),
        members: [node],
        share: index.influence[node],
        type: 'feature',
        reason: 'A single feature.',
      }),
    );
  const others = [...measured, ...singles].sort((a, b) => b.share - a.share);
  const shown = [...groups, ...others.slice(0, Math.max(0, mostGroups - groups.length))];
  return {
    predictions: predictions.length > 0 ? predictions : predictionsOf(index),
    groups: shown.map((group, color) => ({ ...group, color })),
    tokenShares: tokenShares(index),
    errorShare: index.graph.metadata.scores ? 1 - index.graph.metadata.scores.replacement : errorShare(index),
  };
}

/** [node] colour of the group that holds the node, −1 for none. */
export function groupColors(nNodes: number, groups: readonly StoryGroup[]): Int8Array {
  const colors = new Int8Array(nNodes).fill(-1);
  for (const { members, color } of groups) for (const node of members) colors[node] = color;
  return colors;
}

function predictionsOf(index: GraphIndex): Prediction[] {
  return index.graph.nodes
    .filter((node) => node.kind === 'logit')
    .map((node) => ({ id: node.feature ?? -1, text: logitText(node), probability: node.probability ?? 0 }))
    .sort((a, b) => b.probability - a.probability);
}

function tokenShares(index: GraphIndex): Float32Array {
  const shares = new Float32Array(index.nPositions);
  index.graph.nodes.forEach((node, position) => {
    if (node.kind === 'token') shares[node.pos] += index.influence[position];
  });
  return shares;
}

/** Share of what starts at errors, of what starts at errors and tokens; null without either. */
function errorShare(index: GraphIndex): number | null {
  let errors = 0;
  let tokens = 0;
  index.graph.nodes.forEach((node, position) => {
    if (node.kind === 'error' || node.kind === 'attention error') errors += index.influence[position];
    if (node.kind === 'token') tokens += index.influence[position];
  });
  return errors + tokens > 0 ? errors / (errors + tokens) : null;
}
