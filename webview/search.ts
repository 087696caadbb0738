import { atOnce, type Steps } from '../src/graph/steps.ts';
import type { GraphIndex } from './graphIndex.ts';
import type { CardState } from './store.ts';
import { featureKey } from './visible.ts';

/**
 * Nodes that hold all words of the query in their label, token, kind, place ("L3", "3/24", "24"), examples or top logits;
 * most influential first. An empty query finds nothing.
 * @param nameOf the node's name, labels included
 */
export function findNodes(
  index: GraphIndex,
  query: string,
  nameOf: (node: number) => string,
  cards: ReadonlyMap<string, CardState>,
): number[] {
  return atOnce(findSteps(index, query, nameOf, cards));
}

/** Nodes that are looked at between two steps. */
const nodesAStep = 2000;

/** The same in steps. */
export function* findSteps(
  index: GraphIndex,
  query: string,
  nameOf: (node: number) => string,
  cards: ReadonlyMap<string, CardState>,
): Steps<number[]> {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return [];
  const cardTexts = new Map<string, string>();
  for (const [key, state] of cards) if (state.type === 'ready') cardTexts.set(key, cardText(state).toLowerCase());
  const { nodes, metadata } = index.graph;
  const isFound = (node: number): boolean => {
    const { kind, layer, feature, pos } = nodes[node];
    const key = featureKey(layer, feature ?? -1);
    const places = kind === 'feature' || kind === 'attention' ? [`l${layer}`, key, String(feature)] : [`l${layer}`];
    const text = `${nameOf(node)}\n${metadata.promptTokens[pos] ?? ''}\n${kind}\n${nodes[node].label}`.toLowerCase();
    return words.every(
      (word) =>
        places.includes(word) ||
        (!isPlace(word) && (text.includes(word) || (cardTexts.get(key)?.includes(word) ?? false))),
    );
  };
  const found: number[] = [];
  for (let node = 0; node < nodes.length; node++) {
    if (node % nodesAStep === nodesAStep - 1) yield;
    if (isFound(node)) found.push(node);
  }
  return found.sort((a, b) => index.influence[b] - index.influence[a] || a - b);
}

/** Numbers and layers are matched whole: "2" is not every feature with a 2 in it. */
function isPlace(word: string): boolean {
  return /^(l\d+|\d+\/\d+)$/.test(word);
}

function cardText({ card }: Extract<CardState, { type: 'ready' }>): string {
  const examples = card.quantiles.flatMap(({ examples: list }) => list.map(({ tokens }) => tokens.join('')));
  return [card.label, ...card.topLogits, ...examples].join('\n');
}
