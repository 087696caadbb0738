import type { CircuitTest, Likelihood, Member, Statement, TestPrompt } from './assertions.ts';
import type { CircuitGraph } from './circuitGraph.ts';
import { carriedShare } from './groups.ts';

/** A stated bound leaves this part of what was found to small differences of machines and settings. */
const leeway = 0.8;

/** What ablating a supernode does to the predictions. */
export type AblationFound = { readonly supernode: string; readonly predictions: readonly Likelihood[] };

/**
 * A circuit test that holds for a trace as it is: its top token and its probability, what each supernode carries to it,
 * and what ablating each does. Made to be edited.
 */
export function circuitTestOf(
  graph: CircuitGraph,
  prompt: TestPrompt,
  predictions: readonly Likelihood[],
  ablations: readonly AblationFound[],
): CircuitTest {
  const groups = featureGroups(graph);
  const supernodes = new Map(
    Array.from(groups, ([label, nodes]) => [label, nodes.map((node) => memberAt(graph, node))]),
  );
  const top = predictions[0];
  const statements: Statement[] = [];
  if (top !== undefined) {
    statements.push({ type: 'predicts', ablated: null, claim: { type: 'top token', token: top.text } });
    statements.push({
      type: 'predicts',
      ablated: null,
      claim: { type: 'probability', token: top.text, bounds: { atLeast: lower(top.probability), atMost: null } },
    });
    statements.push(...carried(graph, top.text, groups));
    for (const { supernode, predictions: after } of ablations) {
      if (!supernodes.has(supernode) || after[0] === undefined) continue;
      statements.push({ type: 'predicts', ablated: supernode, claim: { type: 'top token', token: after[0].text } });
    }
  }
  const name = `${graph.metadata.prompt.trim().slice(-60)} → ${(top?.text ?? '').trim()}`;
  return { name, prompt, supernodes, statements };
}

/** The features of each named supernode, as indices; supernodes of one name are one. */
function featureGroups(graph: CircuitGraph): Map<string, number[]> {
  const groups = new Map<string, number[]>();
  for (const { label, members } of graph.view.supernodes) {
    const wanted = new Set(members);
    const found = graph.nodes.flatMap(({ id, kind, feature }, index) =>
      kind === 'feature' && feature !== null && wanted.has(id) ? [index] : [],
    );
    if (label !== '' && found.length > 0) groups.set(label, [...new Set([...(groups.get(label) ?? []), ...found])]);
  }
  return groups;
}

/** A feature by layer, index and the text of its token; by its position where the token has no text. */
function memberAt(graph: CircuitGraph, index: number): Member {
  const { layer, feature, pos } = graph.nodes[index];
  const token = graph.metadata.promptTokens[pos] ?? '';
  return { layer, feature, pos: token === '' ? pos : null, token: token === '' ? null : token, label: null };
}

function carried(graph: CircuitGraph, to: string, groups: ReadonlyMap<string, readonly number[]>): Statement[] {
  const target = graph.nodes.findIndex((node) => node.kind === 'logit' && node.label === to);
  if (target < 0) return [];
  return Array.from(groups).flatMap(([supernode, nodes]): Statement[] => {
    const share = carriedShare(graph, nodes, target);
    return share === 0 ? [] : [{ type: 'carries', supernode, to, bounds: { atLeast: lower(share), atMost: null } }];
  });
}

function lower(share: number): number {
  return Math.floor(share * leeway * 1000) / 1000;
}
