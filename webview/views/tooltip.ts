import type { Derived } from '../derive.ts';
import { fill, make } from '../dom.ts';
import { kindNames } from '../drawing/glyphs.ts';
import type { ViewState } from '../store.ts';
import { percent, plainName, quoteToken, shortNumber } from '../words.ts';
import type { View } from './view.ts';
import { changeOf } from './view.ts';

/** The card beside the pointer: what the hovered node is, in three lines or those of another page. */
export function createTooltip(
  graph: HTMLElement,
  placeOf: (node: number) => { x: number; y: number } | null,
  linesOf: (state: ViewState, derived: Derived, node: number) => HTMLElement[] = lines,
): View {
  const element = make('div', { class: 'tooltip', attributes: { role: 'tooltip', hidden: true } });
  const isNew = changeOf();
  return {
    element,
    update(state, derived) {
      const { hovered, cards, isHoverFrozen } = state;
      if (!isNew(hovered, cards, derived?.nameOf, isHoverFrozen, state.camera)) return;
      // Beside the pointer only: a hovered row of a list, or the selected node's card, says all of this itself.
      const isOnGraph = graph.matches(':hover, :focus-visible') && hovered !== state.selected;
      const place = hovered === null || !isOnGraph ? null : placeOf(hovered);
      element.hidden = !derived || hovered === null || place === null;
      if (!derived || hovered === null || place === null) return;
      fill(element, ...linesOf(state, derived, hovered));
      const { offsetWidth: width, offsetHeight: height } = element;
      const isRight = place.x + 18 + width < graph.getBoundingClientRect().right;
      const left = isRight ? place.x + 18 : Math.max(4, place.x - 18 - width);
      const top = Math.min(Math.max(4, place.y - height / 2), window.innerHeight - height - 4);
      element.style.transform = `translate(${Math.round(left)}px, ${Math.round(top)}px)`;
    },
  };
}

function lines(state: ViewState, derived: Derived, node: number): HTMLElement[] {
  const { index } = derived;
  const { kind, pos, activation, probability } = index.graph.nodes[node];
  const name = derived.nameOf(node);
  const plain = plainName(index, node);
  const token = quoteToken(index.graph.metadata.promptTokens[pos] ?? '');
  const at = kind === 'logit' ? 'Output' : kind === 'token' ? `Token ${pos}` : `at ${token} (${pos})`;
  const facts = [
    kind === 'logit' ? `probability ${percent(probability ?? 0)}` : `${percent(index.influence[node])} of the answer`,
    activation === null || kind !== 'feature' ? null : `activation ${shortNumber(activation)}`,
  ];
  const edge = edgeToSelected(state, derived, node);
  const change = changeOfNode(state, derived, node);
  const what = name === plain ? kindNames[kind] : plain;
  return [
    make('strong', { text: name }),
    make('span', { class: 'muted', text: kind === 'token' || kind === 'logit' ? at : `${what} ${at}` }),
    make('span', { text: facts.filter((fact) => fact !== null).join(' · ') }),
    ...(change === null ? [] : [make('span', { text: change })]),
    ...(edge ? [make('span', { class: edge.isNegative ? 'negative' : 'positive', text: edge.text })] : []),
  ];
}

/** What the last run with edits made of the feature's activation; null where it is not among those that changed most. */
function changeOfNode({ steering }: ViewState, { index }: Derived, node: number): string | null {
  const { kind, layer, pos, feature } = index.graph.nodes[node];
  const change = steering.run.result?.changed.find(
    (one) => kind === 'feature' && one.layer === layer && one.pos === pos && one.feature === feature,
  );
  return change === undefined
    ? null
    : `${shortNumber(change.before)} → ${shortNumber(change.after)} with the interventions`;
}

function edgeToSelected(
  { selected }: ViewState,
  { index }: Derived,
  node: number,
): { text: string; isNegative: boolean } | null {
  if (selected === null || selected === node) return null;
  const { source, target, weight } = index.graph.edges;
  for (let edge = 0; edge < weight.length; edge++) {
    const isInput = source[edge] === node && target[edge] === selected;
    const isOutput = source[edge] === selected && target[edge] === node;
    if (!isInput && !isOutput) continue;
    const way = isInput ? 'to the selected' : 'from the selected';
    return {
      text: `${weight[edge] < 0 ? '−' : '+'}${shortNumber(Math.abs(weight[edge]))} ${way} (${percent(Math.abs(index.share[edge]))} of its input)`,
      isNegative: weight[edge] < 0,
    };
  }
  return null;
}
