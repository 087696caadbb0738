import type { NodeId } from '../../src/graph/node.ts';
import type { ComparedTraces } from '../../src/protocol/comparison.ts';
import type { PanelTrace } from '../../src/protocol/panel.ts';
import { dallasTrace } from './sampleTrace.ts';

/** Features by what the made-up circuit calls them: those of the one city and what the other city has instead. */
const instead = new Map([
  ['Texas', 'California'],
  ['Dallas', 'San Francisco'],
  ['say Austin', 'say Sacramento'],
  ['cities of the southern US', 'cities on the west coast'],
]);

/** The sample trace with another city of two tokens: some features are others, some fire more or less, the answer differs. */
export function sanFranciscoTrace(): PanelTrace {
  const trace = dallasTrace();
  const { graph } = trace;
  const city = graph.metadata.promptTokens.indexOf(' Dallas');
  const place = (pos: number): number => (pos >= city ? pos + 1 : pos);
  const answers = [' Sacramento', ' California', ' Oakland', ' San', ' the'];
  let answer = 0;
  const nodes = graph.nodes.map((node) => {
    const pos = place(node.pos);
    if (node.kind === 'logit') {
      const label = answers[answer++];
      const feature = label === ' the' ? node.feature : 900 + answer;
      return { ...node, pos, feature, label, id: `7_${feature}_${pos}` as NodeId };
    }
    const other = node.kind === 'feature' ? instead.get(node.label) : undefined;
    const feature = other === undefined ? node.feature : (node.feature ?? 0) + 1000;
    const isStronger = node.label === 'say a capital';
    return {
      ...node,
      pos,
      feature,
      label: other ?? node.label,
      activation: isStronger && node.activation !== null ? node.activation * 1.6 : node.activation,
      id: `${node.id} there` as NodeId,
    };
  });
  const promptTokens = graph.metadata.promptTokens.flatMap((token, pos) =>
    pos === city ? [' San', ' Francisco'] : [token],
  );
  const metadata = { ...graph.metadata, slug: 'san-francisco', prompt: promptTokens.join(''), promptTokens };
  return { ...trace, id: 'trace 2', predictions: [], graph: { ...graph, metadata, nodes } };
}

/** What the comparison page is told: the sample trace beside that of another city. */
export function comparedTraces(): ComparedTraces {
  return { left: dallasTrace(), right: sanFranciscoTrace(), names: { left: 'Dallas', right: 'Francisco' } };
}
