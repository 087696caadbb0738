import type { Activity } from '../activity.ts';
import { make } from '../dom.ts';
import { kindNames } from '../drawing/glyphs.ts';
import type { Palette } from '../drawing/palette.ts';
import { createGraphView } from '../views/graphView.ts';
import { createMinimap } from '../views/minimap.ts';
import { createTokenAxis } from '../views/tokenAxis.ts';
import { createTooltip } from '../views/tooltip.ts';
import type { CompareState } from './compareStore.ts';
import type { ComparisonDerived } from './comparisonDerive.ts';
import type { ComparisonIntents, ComparisonView } from './comparisonIntents.ts';
import { paneChanges } from './comparisonIntents.ts';
import { differenceOf } from './differences.ts';
import type { Pane } from './pairing.ts';
import { presenceText } from './presence.ts';
import { changeText, valueText } from './values.ts';

export type GraphPane = ComparisonView & {
  /** Lies above the page. */
  readonly tooltip: HTMLElement;
  readonly graph: HTMLElement;
  placeOf(node: number): { x: number; y: number } | null;
  zoomBy(factor: number): void;
  setPalette(palette: Palette): void;
};

/** One picture of the comparison: the graph panel's own drawing, over this picture's tokens. */
export function createGraphPane(
  pane: Pane,
  intents: ComparisonIntents,
  activity: Activity,
  palette: Palette,
): GraphPane {
  const changes = paneChanges(pane, intents);
  let latest: ComparisonDerived | null = null;
  const graph = createGraphView(changes, activity, palette);
  const minimap = createMinimap(changes, palette);
  const axis = createTokenAxis(changes, (place) => pane !== 'one' && (latest?.pairing.gaps[pane].has(place) ?? false));
  const tooltip = createTooltip(graph.element, graph.placeOf, (_, __, node) =>
    latest === null ? [] : tooltipLines(latest, pane, node),
  );
  const element = make(
    'div',
    { class: `pane ${pane}` },
    make('div', { class: 'graph-frame' }, graph.element, minimap.element),
    axis.element,
  );
  return {
    element,
    tooltip: tooltip.element,
    graph: graph.element,
    placeOf: graph.placeOf,
    zoomBy: graph.zoomBy,
    setPalette(next) {
      graph.setPalette(next);
      minimap.setPalette(next);
    },
    update(state: CompareState, derived: ComparisonDerived | null) {
      latest = derived;
      element.hidden = derived !== null && derived.panes[pane] === null;
      for (const view of [graph, axis, minimap, tooltip]) view.update(state.panes[pane], derived?.panes[pane] ?? null);
      if (derived) graph.element.setAttribute('aria-label', spokenName(state, derived, pane));
    },
  };
}

function spokenName({ panes }: CompareState, { pairing, panes: drawn }: ComparisonDerived, pane: Pane): string {
  const { names } = pairing.traces;
  const what = pane === 'one' ? `${names.left} and ${names.right} as one graph` : `Graph of ${names[pane]}`;
  const count = drawn[pane]?.visible.nodes.length ?? 0;
  const isChosen = panes[pane].selected !== null;
  return `${what}: ${count} nodes on screen${isChosen ? ', one chosen' : ''}. Arrow keys move between nodes, Enter selects.`;
}

function tooltipLines(comparison: ComparisonDerived, pane: Pane, node: number): HTMLElement[] {
  const { pairing, nameOf, tokenOf } = comparison;
  const pair = pairing.pairOf[pane][node];
  const { kind, layer } = pairing.index.one.graph.nodes[pair];
  const isInner = kind !== 'token' && kind !== 'logit';
  const where = isInner ? `${kindNames[kind]} · layer ${layer} at ${tokenOf(pair)}` : kindNames[kind];
  const { presence, activation, activationChange, influence, influenceChange } = differenceOf(pairing, pair);
  return [
    make('strong', { text: nameOf(pair) }),
    make('span', { class: 'muted', text: `${where} · ${presenceText(pairing, presence)}` }),
    ...(activation.left === null && activation.right === null
      ? []
      : [
          make('span', {
            text: `activation ${bothText(activation, 'number')}${inBrackets(activationChange, 'number')}`,
          }),
        ]),
    make('span', {
      text: `share of the answer ${bothText(influence, 'share')}${inBrackets(influenceChange, 'share')}`,
    }),
  ];
}

function bothText(values: { left: number | null; right: number | null }, unit: 'number' | 'share'): string {
  return `${valueText(values.left, unit)} → ${valueText(values.right, unit)}`;
}

function inBrackets(change: number | null, unit: 'number' | 'share'): string {
  return change === null ? '' : ` (${changeText(change, unit)})`;
}
