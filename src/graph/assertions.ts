import type { CircuitGraph } from './circuitGraph.ts';
import { carriedShare, labelOf } from './groups.ts';
import type { Site } from './node.ts';
import { percent } from './percent.ts';

/** The prompt of a test, in the forms that traces take. */
export type TestPrompt =
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'tokens'; readonly ids: readonly number[] }
  | { readonly type: 'chat'; readonly messages: readonly { readonly role: string; readonly content: string }[] };

/** Features of a supernode: those that agree in everything that is not null. */
export type Member = {
  readonly layer: number | null;
  readonly feature: number | null;
  readonly pos: number | null;
  /** Text of the token at which the feature is. */
  readonly token: string | null;
  /** Words of its label, whatever their case. */
  readonly label: string | null;
};

export type Bounds = { readonly atLeast: number | null; readonly atMost: number | null };

/** What a statement claims of the predictions, of the run as it is or with a supernode's features set to 0. */
export type Claim =
  | { readonly type: 'top token'; readonly token: string }
  | { readonly type: 'not top token'; readonly token: string }
  | { readonly type: 'probability'; readonly token: string; readonly bounds: Bounds };

export type Statement =
  | { readonly type: 'predicts'; readonly ablated: string | null; readonly claim: Claim }
  /** The share of the paths into a token that pass through a supernode, from 0 to 1. */
  | { readonly type: 'carries'; readonly supernode: string; readonly to: string; readonly bounds: Bounds }
  | { readonly type: 'score'; readonly score: 'replacement' | 'completeness'; readonly bounds: Bounds };

export type CircuitTest = {
  readonly name: string;
  readonly prompt: TestPrompt;
  readonly supernodes: ReadonlyMap<string, readonly Member[]>;
  readonly statements: readonly Statement[];
};

export type Likelihood = { readonly text: string; readonly probability: number };

/** What a statement is held against. */
export type Evidence = {
  /** The trace's graph, with labels. */
  readonly graph: CircuitGraph;
  /** The most likely next tokens, most likely first. */
  readonly predictions: readonly Likelihood[];
};

export type Verdict = { readonly statement: Statement; readonly holds: boolean; readonly message: string };

/** The graph's feature nodes that a supernode of a test means, as indices. */
export function membersOf(graph: CircuitGraph, members: readonly Member[]): number[] {
  return graph.nodes.flatMap((node, index) => {
    if (node.kind !== 'feature') return [];
    const token = graph.metadata.promptTokens[node.pos];
    const label = labelOf(graph, index).toLowerCase();
    const isMeant = members.some(
      (member) =>
        (member.layer === null || member.layer === node.layer) &&
        (member.feature === null || member.feature === node.feature) &&
        (member.pos === null || member.pos === node.pos) &&
        (member.token === null || member.token === token) &&
        (member.label === null || label.includes(member.label.toLowerCase())),
    );
    return isMeant ? [index] : [];
  });
}

/** The features that a statement needs set to 0; null when it speaks of the run as it is. */
export function sitesToAblate(statement: Statement, test: CircuitTest, graph: CircuitGraph): readonly Site[] | null {
  if (statement.type !== 'predicts' || statement.ablated === null) return null;
  const members = membersOf(graph, test.supernodes.get(statement.ablated) ?? []);
  return members.flatMap((index) => {
    const { layer, pos, feature } = graph.nodes[index];
    return feature === null ? [] : [{ layer, pos, feature }];
  });
}

/**
 * Holds a statement against a trace.
 * @param ablated the predictions with the features of `sitesToAblate` at 0; null when there are none to ablate
 */
export function judge(
  statement: Statement,
  test: CircuitTest,
  evidence: Evidence,
  ablated: readonly Likelihood[] | null,
): Verdict {
  const { graph, predictions } = evidence;
  switch (statement.type) {
    case 'score':
      return { statement, ...judgeScore(statement, graph) };
    case 'carries':
      return { statement, ...judgeCarries(statement, test, graph) };
    case 'predicts': {
      if (statement.ablated === null) return { statement, ...judgeClaim(statement.claim, predictions, '') };
      const where = `With ${quote(statement.ablated)} ablated, `;
      if (ablated === null) return { statement, ...nobody(statement.ablated) };
      return { statement, ...judgeClaim(statement.claim, ablated, where) };
    }
  }
}

type Judgement = { readonly holds: boolean; readonly message: string };

function judgeClaim(claim: Claim, predictions: readonly Likelihood[], where: string): Judgement {
  const top = predictions[0];
  const sentence = (text: string) => where + (where === '' ? text.charAt(0).toUpperCase() + text.slice(1) : text);
  if (top === undefined) return { holds: false, message: sentence('the model predicts nothing.') };
  const said = `the most likely token is ${quote(top.text)} (${percent(top.probability, 1)})`;
  if (claim.type === 'top token') {
    if (top.text === claim.token) return { holds: true, message: sentence(`${said}.`) };
    const hint = top.text.trim() === claim.token.trim() ? ' They differ only in the space around them.' : '';
    return { holds: false, message: sentence(`${said}, not ${quote(claim.token)}.${hint}`) };
  }
  if (claim.type === 'not top token') {
    return { holds: top.text !== claim.token, message: sentence(`${said}.`) };
  }
  const found = predictions.find(({ text }) => text === claim.token);
  const last = predictions[predictions.length - 1];
  // Of a token that is not listed, only that it is less likely than the last of the list is known.
  if (found === undefined) {
    const holds = claim.bounds.atLeast === null && last.probability <= (claim.bounds.atMost ?? 1);
    const message = `${quote(claim.token)} is not among the ${predictions.length} most likely tokens (below ${percent(last.probability, 1)})`;
    return { holds, message: sentence(`${message}${holds ? '' : `; ${stated(claim.bounds)} was stated`}.`) };
  }
  return within(sentence(`${quote(claim.token)} has a probability of`), found.probability, claim.bounds);
}

function judgeCarries(
  { supernode, to, bounds }: Extract<Statement, { type: 'carries' }>,
  test: CircuitTest,
  graph: CircuitGraph,
): Judgement {
  const target = graph.nodes.findIndex((node) => node.kind === 'logit' && node.label === to);
  if (target < 0) {
    const explained = graph.nodes.filter((node) => node.kind === 'logit').map((node) => quote(node.label));
    return { holds: false, message: `${quote(to)} is not explained by the graph; ${explained.join(', ')} are.` };
  }
  const members = membersOf(graph, test.supernodes.get(supernode) ?? []);
  if (members.length === 0) return nobody(supernode);
  const share = carriedShare(graph, members, target);
  return within(`${quote(supernode)} (${members.length} nodes) carries to ${quote(to)}`, share, bounds);
}

function judgeScore({ score, bounds }: Extract<Statement, { type: 'score' }>, { metadata }: CircuitGraph): Judgement {
  if (metadata.scores === null) return { holds: false, message: `The trace has no ${score} score.` };
  return within(`The ${score} score is`, metadata.scores[score], bounds);
}

function within(what: string, value: number, bounds: Bounds): Judgement {
  const holds =
    (bounds.atLeast === null || value >= bounds.atLeast) && (bounds.atMost === null || value <= bounds.atMost);
  return { holds, message: `${what} ${percent(value, 1)}${holds ? '' : `; ${stated(bounds)} was stated`}.` };
}

function nobody(supernode: string): Judgement {
  return { holds: false, message: `No feature in the graph belongs to ${quote(supernode)}.` };
}

function stated({ atLeast, atMost }: Bounds): string {
  const parts = [
    atLeast === null ? null : `at least ${percent(atLeast, 1)}`,
    atMost === null ? null : `at most ${percent(atMost, 1)}`,
  ];
  return parts.filter((part) => part !== null).join(' and ');
}

function quote(text: string): string {
  return JSON.stringify(text);
}
