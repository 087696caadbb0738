import type { GraphIndex } from './graphIndex.ts';
import { edgesOf } from './graphIndex.ts';
import type { CardState } from './store.ts';
import type { Visible } from './visible.ts';
import { featureKey } from './visible.ts';
import { percent, quoteToken } from './words.ts';

/** A supernode that the panel suggests; the reader accepts or dismisses it. */
export type Proposal = {
  /** Stable for the same members. */
  readonly id: string;
  readonly name: string;
  /** Node indices, most influential first. */
  readonly members: readonly number[];
  /** Why these belong together, as a sentence. */
  readonly reason: string;
};

/** Pairs at least this alike may be grouped; every pair of a group is. */
const wantedSimilarity = 0.7;
/** Pairs are compared one by one, so only the most influential features are looked at. */
const mostCandidates = 160;
const mostMembers = 10;

type Pair = {
  readonly a: number;
  readonly b: number;
  readonly similarity: number;
  readonly why: 'feature' | 'label' | 'word' | 'decoder' | 'edges';
};

/** What is compared of a feature. */
type Profile = {
  /** [other node, incoming as −1 − node] signed shares of its edges. */
  readonly edges: ReadonlyMap<number, number>;
  readonly label: string;
  /** The label's names: words with a capital letter that few other labels hold. */
  readonly names: ReadonlySet<string>;
};

/**
 * Proposes supernodes among the visible features that are in none: the same feature at several tokens, neighbours with
 * the same label, features whose labels hold the same name (labels are made from examples, so these fire on the same
 * things), neighbours whose decoders point the same way, and features at one token whose inputs and outputs agree (cosine
 * of their signed edge shares).
 * @param labelOf the label of a node, empty when it has none
 * @param taken nodes that are in a supernode already
 */
export function proposeGroups(
  index: GraphIndex,
  visible: Visible,
  labelOf: (node: number) => string,
  cards: ReadonlyMap<string, CardState>,
  taken: ReadonlySet<number>,
): Proposal[] {
  const { nodes } = index.graph;
  const candidates = Array.from(visible.nodes)
    .filter((node) => nodes[node].kind === 'feature' && !taken.has(node))
    .sort((a, b) => index.influence[b] - index.influence[a] || a - b)
    .slice(0, mostCandidates);
  const profiles = profilesOf(index, candidates, labelOf);
  const written = writtenAlike(index);
  const pairs: Pair[] = [];
  candidates.forEach((a, position) => {
    for (const b of candidates.slice(position + 1)) {
      const pair = compare(index, a, b, profiles, written);
      if (pair.similarity >= wantedSimilarity) pairs.push(pair);
    }
  });
  return mergePairs(candidates, pairs)
    .map((members) => describe(index, members, pairs, labelOf, cards))
    .sort((a, b) => influenceOf(index, b) - influenceOf(index, a));
}

function influenceOf(index: GraphIndex, proposal: Proposal): number {
  return proposal.members.reduce((sum, node) => sum + index.influence[node], 0);
}

/** A name that more of the labels hold than this share tells nothing apart. */
const commonShare = 1 / 3;

function profilesOf(
  index: GraphIndex,
  candidates: readonly number[],
  labelOf: (node: number) => string,
): Map<number, Profile> {
  const labels = candidates.map((node) => labelOf(node));
  const counts = new Map<string, number>();
  for (const label of labels) for (const name of namesIn(label)) counts.set(name, (counts.get(name) ?? 0) + 1);
  const most = Math.max(2, labels.filter((label) => label !== '').length * commonShare);
  return new Map(
    candidates.map((node, position) => {
      const names = namesIn(labels[position]).filter((name) => (counts.get(name) ?? 0) <= most);
      return [node, { edges: edgeShares(index, node), label: normalised(labels[position]), names: new Set(names) }];
    }),
  );
}

/** Words of three letters and more that begin with a capital, but for quoted pieces of words and empty words. */
function namesIn(label: string): string[] {
  const words = label.match(/\p{Lu}[\p{L}\p{N}-]{2,}/gu) ?? [];
  return [...new Set(words)].filter((word) => !emptyWords.has(word.toLowerCase()));
}

function edgeShares(index: GraphIndex, node: number): Map<number, number> {
  const { source, target } = index.graph.edges;
  const shares = new Map<number, number>();
  for (const edge of edgesOf(index, 'inputs', node)) shares.set(-1 - source[edge], index.share[edge]);
  for (const edge of edgesOf(index, 'outputs', node)) shares.set(target[edge], index.share[edge]);
  return shares;
}

/** [“a,b” both ways] cosine of the decoders of two nodes, where the graph knows it. */
function writtenAlike({ graph, indexOf }: GraphIndex): ReadonlyMap<string, number> {
  const cosines = new Map<string, number>();
  for (const [first, second, cosine] of graph.similar ?? []) {
    const [a, b] = [indexOf.get(first), indexOf.get(second)];
    if (a === undefined || b === undefined) continue;
    cosines.set(`${a},${b}`, cosine);
    cosines.set(`${b},${a}`, cosine);
  }
  return cosines;
}

function compare(
  index: GraphIndex,
  a: number,
  b: number,
  profiles: ReadonlyMap<number, Profile>,
  written: ReadonlyMap<string, number>,
): Pair {
  const left = index.graph.nodes[a];
  const right = index.graph.nodes[b];
  if (left.layer === right.layer && left.feature === right.feature) return { a, b, similarity: 1, why: 'feature' };
  const own = profiles.get(a);
  const other = profiles.get(b);
  if (!own || !other) return { a, b, similarity: 0, why: 'edges' };
  const isNear = Math.abs(left.pos - right.pos) <= 1;
  if (own.label !== '' && isNear && own.label === other.label) return { a, b, similarity: 0.99, why: 'label' };
  if ([...own.names].some((name) => other.names.has(name))) return { a, b, similarity: 0.98, why: 'word' };
  const alike = written.get(`${a},${b}`) ?? 0;
  if (isNear && alike >= wantedSimilarity) return { a, b, similarity: alike, why: 'decoder' };
  if (left.pos !== right.pos) return { a, b, similarity: 0, why: 'edges' };
  return { a, b, similarity: cosine(own.edges, other.edges), why: 'edges' };
}

/** Merges the most alike first; a merge needs every pair across the two groups to be alike. */
function mergePairs(candidates: readonly number[], pairs: readonly Pair[]): number[][] {
  const isAlike = new Set(pairs.flatMap(({ a, b }) => [`${a},${b}`, `${b},${a}`]));
  const groupOf = new Map(candidates.map((node) => [node, [node]]));
  for (const { a, b } of [...pairs].sort((x, y) => y.similarity - x.similarity || x.a - y.a || x.b - y.b)) {
    const left = groupOf.get(a)!;
    const right = groupOf.get(b)!;
    if (left === right || left.length + right.length > mostMembers) continue;
    if (!left.every((x) => right.every((y) => isAlike.has(`${x},${y}`)))) continue;
    const merged = [...left, ...right];
    for (const node of merged) groupOf.set(node, merged);
  }
  return [...new Set(groupOf.values())].filter((members) => members.length > 1);
}

function describe(
  index: GraphIndex,
  members: readonly number[],
  pairs: readonly Pair[],
  labelOf: (node: number) => string,
  cards: ReadonlyMap<string, CardState>,
): Proposal {
  const { nodes, metadata } = index.graph;
  const sorted = [...members].sort((a, b) => index.influence[b] - index.influence[a] || a - b);
  const inside = pairs.filter(({ a, b }) => members.includes(a) && members.includes(b));
  const positions = [...new Set(sorted.map((node) => nodes[node].pos))].sort((a, b) => a - b);
  const tokens = positions.map((pos) => quoteToken(metadata.promptTokens[pos] ?? ''));
  const layers = [...new Set(sorted.map((node) => nodes[node].layer))].sort((a, b) => a - b);
  const span = layers.length === 1 ? `L${layers[0]}` : `L${layers[0]}–${layers[layers.length - 1]}`;
  const lowest = (kind: Pair['why']) =>
    Math.min(...inside.filter(({ why }) => why === kind).map(({ similarity }) => similarity));
  const kinds = new Set(inside.map(({ why }) => why));
  const names = sharedNames(sorted.map(labelOf));
  const reasons = [
    kinds.has('feature') ? `the same feature at ${tokens.join(', ')}` : null,
    kinds.has('label') ? 'the same label' : null,
    kinds.has('word') ? `their labels share ${names.length > 0 ? names.map(quoteToken).join(', ') : 'names'}` : null,
    kinds.has('decoder')
      ? `near ${tokens.join(', ')} they write alike: their decoders agree by at least ${percent(lowest('decoder'))}`
      : null,
    kinds.has('edges')
      ? `at ${tokens.join(', ')} their inputs and outputs agree by at least ${percent(lowest('edges'))}`
      : null,
  ].filter((reason) => reason !== null);
  const sentence = reasons.join('; ');
  return {
    id: sorted.map((node) => nodes[node].id).join('|'),
    name: sharedName(sorted.map(labelOf)) ?? sharedLogit(index, sorted, cards) ?? `${tokens.join(' ')} ${span}`,
    members: sorted,
    reason: `${sentence.charAt(0).toUpperCase()}${sentence.slice(1)}.`,
  };
}

/** Words that labels of unrelated features share. */
const emptyWords = new Set(['next', 'one', 'before', 'after', 'the', 'and', 'contexts', 'several']);

/** The label itself when most agree, or the words that most of the labels share; null when they share none. */
function sharedName(labels: readonly string[]): string | null {
  const given = labels.filter((label) => label !== '');
  if (given.length * 2 <= labels.length) return null;
  const counts = new Map<string, number>();
  for (const label of given) counts.set(label, (counts.get(label) ?? 0) + 1);
  const [best, count] = [...counts].sort((a, b) => b[1] - a[1])[0];
  if (count * 2 > given.length) return best;
  const names = sharedNames(given);
  if (names.length > 0) return names.join(', ');
  const words = new Map<string, number>();
  for (const label of given) {
    for (const word of new Set(normalised(label).split(' ')))
      if (word.length > 2 && !emptyWords.has(word)) words.set(word, (words.get(word) ?? 0) + 1);
  }
  const common = [...words].filter(([, times]) => times * 2 > given.length).map(([word]) => word);
  // The label of one member is no name for all: without a shared word the group is called by its place.
  return common.length > 0 ? common.slice(0, 3).join(' ') : null;
}

/** The names that most of the labels hold, most frequent first, three at most. */
function sharedNames(labels: readonly string[]): string[] {
  const counts = new Map<string, number>();
  for (const label of labels) for (const name of namesIn(label)) counts.set(name, (counts.get(name) ?? 0) + 1);
  const shared = [...counts].filter(([, count]) => count * 2 > labels.length).sort((a, b) => b[1] - a[1]);
  return shared.slice(0, 3).map(([name]) => name);
}

function sharedLogit(
  index: GraphIndex,
  members: readonly number[],
  cards: ReadonlyMap<string, CardState>,
): string | null {
  const counts = new Map<string, number>();
  for (const node of members) {
    const { layer, feature } = index.graph.nodes[node];
    const card = cards.get(featureKey(layer, feature ?? -1));
    if (card?.type !== 'ready') continue;
    for (const logit of card.card.topLogits.slice(0, 5)) counts.set(logit, (counts.get(logit) ?? 0) + 1);
  }
  const [best] = [...counts].sort((a, b) => b[1] - a[1]);
  return best && best[1] * 2 > members.length ? `say ${quoteToken(best[0])}` : null;
}

function normalised(label: string): string {
  return label
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]+/gu, ' ')
    .trim();
}

function cosine(a: ReadonlyMap<number, number>, b: ReadonlyMap<number, number>): number {
  let product = 0;
  let lengthA = 0;
  let lengthB = 0;
  let shared = 0;
  for (const [key, value] of a) {
    lengthA += value * value;
    const other = b.get(key);
    if (other === undefined) continue;
    product += value * other;
    shared++;
  }
  for (const value of b.values()) lengthB += value * value;
  return shared < 2 ? 0 : product / Math.sqrt(lengthA * lengthB);
}
