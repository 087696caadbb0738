import type { Activity } from '../activity.ts';
import { iconButton } from '../controls.ts';
import type { Derived } from '../derive.ts';
import { fill, make, makeSvg } from '../dom.ts';
import { nameForGroup } from '../groupName.ts';
import { columnLayout } from '../layout/columns.ts';
import type { Layouter, LayoutRequest, LayoutResult } from '../layout/elk.ts';
import { cell } from '../memo.ts';
import type { ViewState } from '../store.ts';
import type { Box, Subgraph } from '../subgraph.ts';
import { subgraphScores } from '../subgraph.ts';
import { clearPins, forgetPlaces, group, pinGroups } from '../updates.ts';
import { shortNumber, signedPercent } from '../words.ts';
import { createBoxElement } from './boxElement.ts';
import { boxName } from './boxWords.ts';
import { createProposalMenu } from './proposalMenu.ts';
import type { Intents, View } from './view.ts';
import { changeOf } from './view.ts';

const boxHeight = 40;
const smallestZoom = 0.68;

type Placed = { readonly request: LayoutRequest; readonly result: LayoutResult };
type Corner = { readonly x: number; readonly y: number };

/** Pinned nodes and supernodes as boxes, laid out by ELK, with the direct effects between them summed. */
export function createSubgraphView(
  intents: Intents,
  activity: Activity,
  layouter: Layouter,
  measure: (text: string) => number,
): View {
  const proposals = createProposalMenu(intents);
  const scores = make('span', { class: 'muted subgraph-scores' });
  const groupMarked = iconButton('group', 'Group the marked boxes (G)', () =>
    intents.apply((state) => (state.marked.length > 1 ? group(state.marked, nameForGroup(state))(state) : state)),
  );
  const header = make(
    'div',
    { class: 'subgraph-header' },
    make('h2', { text: 'Subgraph' }),
    scores,
    make('span', { class: 'spacer' }),
    proposals.element,
    groupMarked,
    iconButton('layout', 'Lay out again', () => intents.apply(forgetPlaces)),
    iconButton('trash', 'Unpin all', () => intents.apply(clearPins())),
  );
  const lines = makeSvg('svg', { class: 'box-edges', 'aria-hidden': 'true' });
  const boxes = make('div', { class: 'boxes' });
  boxes.append(lines);
  const field = make('div', { class: 'box-field' }, boxes);
  const element = make('section', { class: 'subgraph', attributes: { 'aria-label': 'Subgraph' } }, header, field);
  const isNew = changeOf();
  const sum = cell<string>();
  let placed: Placed | null = null;
  let layoutKey = '';
  let redraw: () => void = () => undefined;

  const askForLayout = (request: LayoutRequest) => {
    placed = { request, result: columnLayout(request) };
    const end = activity.begin();
    layouter
      .layout(request)
      .then((result) => {
        placed = { request, result };
        redraw();
      })
      // A newer request took its place, or the worker did not start: the plain layout stands.
      .catch(() => undefined)
      .finally(end);
  };

  return {
    element,
    update(state, derived) {
      element.hidden = !derived || !state.panels.isSubgraphOpen;
      if (!derived || element.hidden) return;
      proposals.update(state, derived);
      const { subgraph, nameOf, groupColor } = derived;
      redraw = () => drawBoxes(state, derived, placed);
      const size = [field.clientWidth, field.clientHeight];
      if (
        !isNew(
          subgraph,
          nameOf,
          groupColor,
          state.view.places,
          state.selected,
          state.marked,
          state.verification,
          ...size,
        )
      )
        return;
      groupMarked.disabled = state.marked.length < 2;
      scores.textContent = sum([subgraph, derived.index], () => scoreText(derived));
      if (subgraph.boxes.length === 0) {
        placed = null;
        layoutKey = '';
        fill(boxes, emptyHint(derived, intents));
        boxes.style.width = boxes.style.height = '';
        return;
      }
      const request = requestFor(subgraph, nameOf, state.view, measure, field);
      const key = JSON.stringify(request);
      if (key !== layoutKey) {
        layoutKey = key;
        askForLayout(request);
      }
      drawBoxes(state, derived, placed);
    },
  };

  function drawBoxes(state: ViewState, derived: Derived, layout: Placed | null): void {
    if (!layout) return;
    const { result, request } = layout;
    // A picture that is somewhat too large is drawn smaller; a much larger one scrolls.
    const fit = Math.min((field.clientWidth - 2) / result.width, (field.clientHeight - 2) / result.height);
    const zoom = Math.min(1, Math.max(smallestZoom, fit));
    const width = Math.max(result.width, (field.clientWidth - 2) / zoom);
    const height = Math.max(result.height, (field.clientHeight - 2) / zoom);
    boxes.style.setProperty('zoom', String(zoom));
    boxes.style.width = `${width}px`;
    boxes.style.height = `${height}px`;
    const offset = {
      x: Math.max(0, (width - result.width) / 2),
      y: Math.max(0, (height - result.height) / 2),
    };
    const corners = derived.subgraph.boxes.map((box, position): Corner => {
      const saved = state.view.places[placeKey(derived, box)];
      const size = request.boxes[position] ?? { width: 120, height: boxHeight };
      if (saved) return { x: (saved[0] / 1000) * (width - size.width), y: (saved[1] / 1000) * (height - size.height) };
      const place = result.places.get(box.id) ?? { x: 0, y: 0 };
      return { x: place.x + offset.x, y: place.y + offset.y };
    });
    const sizes = derived.subgraph.boxes.map((_, position) => request.boxes[position]?.width ?? 120);
    const focused = document.activeElement?.closest('[data-box]')?.getAttribute('data-box');
    fill(
      boxes,
      lines,
      ...derived.subgraph.boxes.map((box, position) =>
        createBoxElement({
          state,
          derived,
          box,
          corner: corners[position],
          width: sizes[position],
          zoom,
          room: { width: width - sizes[position], height: height - boxHeight },
          intents,
          placeKey: placeKey(derived, box),
        }),
      ),
    );
    lines.replaceChildren(...edgeLines(derived, corners, sizes, request.direction));
    if (focused) boxes.querySelector<HTMLElement>(`[data-box="${CSS.escape(focused)}"]`)?.focus();
  }
}

/** Places are kept by node id, so that they survive in the file: a supernode's by its first member's. */
function placeKey({ index }: Derived, box: Box): string {
  return index.graph.nodes[box.members[0]].id;
}

function requestFor(
  subgraph: Subgraph,
  nameOf: (node: number) => string,
  view: ViewState['view'],
  measure: (text: string) => number,
  field: HTMLElement,
): LayoutRequest {
  const boxes = subgraph.boxes.map((box) => {
    const name = boxName(box, nameOf, view);
    return { id: box.id, width: Math.round(Math.min(210, Math.max(108, measure(name) + 58))), height: boxHeight };
  });
  // Weak edges would only pull the boxes apart; they are drawn all the same.
  const strong = subgraph.edges.filter(({ share }) => Math.abs(share) >= 0.02);
  const edges = strong.map(({ source, target }) => ({ source: boxes[source].id, target: boxes[target].id }));
  const isFlat = field.clientWidth > 1.3 * field.clientHeight;
  return { boxes, edges, direction: isFlat ? 'RIGHT' : 'UP' };
}

function edgeLines(
  { subgraph, selectedEdges, index }: Derived,
  corners: readonly Corner[],
  widths: readonly number[],
  direction: 'RIGHT' | 'UP',
): SVGElement[] {
  const touched = new Set(
    selectedEdges.flatMap((edge) => [index.graph.edges.source[edge], index.graph.edges.target[edge]]),
  );
  return subgraph.edges
    .filter(({ share }) => Math.abs(share) > 0.001)
    .map(({ source, target, share, weight }) => {
      const from = corners[source];
      const to = corners[target];
      const isRight = direction === 'RIGHT';
      const x1 = isRight ? from.x + widths[source] : from.x + widths[source] / 2;
      const y1 = isRight ? from.y + boxHeight / 2 : from.y;
      const x2 = isRight ? to.x : to.x + widths[target] / 2;
      const y2 = isRight ? to.y + boxHeight / 2 : to.y + boxHeight;
      const bend = isRight ? Math.max(24, Math.abs(x2 - x1) / 2) : Math.max(18, Math.abs(y2 - y1) / 2);
      const d = isRight
        ? `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`
        : `M${x1} ${y1}C${x1} ${y1 - bend} ${x2} ${y2 + bend} ${x2} ${y2}`;
      const strength = Math.sqrt(Math.min(1, Math.abs(share)));
      const isTouched = touched.size === 0 || subgraph.boxes[source].members.some((node) => touched.has(node));
      const path = makeSvg('path', {
        d,
        class: `box-edge ${share < 0 ? 'negative' : 'positive'}`,
        'stroke-width': (0.8 + 7 * strength).toFixed(2),
        opacity: (isTouched ? 0.25 + 0.65 * strength : 0.15).toFixed(2),
      });
      const title = makeSvg('title', {});
      title.textContent = `${signedPercent(share)} of the direct input, summed effect ${shortNumber(weight)}`;
      path.append(title);
      return path;
    });
}

function scoreText({ index, pinned, subgraph }: Derived): string {
  if (subgraph.boxes.length === 0) return '';
  const { replacement, completeness } = subgraphScores(index, pinned);
  const whole = index.graph.metadata.scores;
  const of = (value: number | undefined) => (value === undefined ? '' : ` (graph ${value.toFixed(2)})`);
  return `replacement ${replacement.toFixed(2)}${of(whole?.replacement)} · completeness ${completeness.toFixed(2)}${of(whole?.completeness)}`;
}

function emptyHint(derived: Derived, intents: Intents): HTMLElement {
  const { story } = derived;
  const offer = make('button', {
    class: 'link',
    text: 'Start from the groups above',
    attributes: { type: 'button' },
    on: { click: () => intents.apply(pinGroups(derived)) },
  });
  return make(
    'div',
    { class: 'hint muted' },
    make('p', { text: 'Pin nodes with Ctrl or Cmd and a click, or with P, to build the circuit in a few boxes.' }),
    story.groups.length > 0 ? offer : null,
  );
}
