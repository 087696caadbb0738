import type { Activity } from '../activity.ts';
import { iconButton } from '../controls.ts';
import type { Derived } from '../derive.ts';
import { make } from '../dom.ts';
import type { Palette } from '../drawing/palette.ts';
import type { Scene } from '../drawing/scene.ts';
import { createTextMeasure } from '../drawing/textMeasure.ts';
import type { Host } from '../host.ts';
import { toggleStage } from '../inspector.ts';
import { createLayouter } from '../layout/elk.ts';
import type { PlacedLabel } from '../layout/labels.ts';
import { setCamera, setPanels, stepBack } from '../updates.ts';
import { describeNode } from '../words.ts';
import { graphLabels } from './graphLabels.ts';
import { createGraphView } from './graphView.ts';
import { createLayersView } from './layersView.ts';
import { createLegend } from './legend.ts';
import { createMessages } from './messages.ts';
import { createMinimap } from './minimap.ts';
import { createNodeDetails } from './nodeDetails.ts';
import { createOutline } from './outline.ts';
import { createSidePanel } from './sidePanel.ts';
import { createSplitter } from './splitter.ts';
import { createSteering } from './steering.ts';
import { createStoryView } from './storyView.ts';
import { createSubgraphView } from './subgraphView.ts';
import { createTokenAxis } from './tokenAxis.ts';
import { createToolbar } from './toolbar.ts';
import { createTooltip } from './tooltip.ts';
import { createTour } from './tour.ts';
import { createTraceDialog } from './traceDialog.ts';
import { createVerifyPanel } from './verifyPanel.ts';
import type { Intents, View } from './view.ts';
import { changeOf } from './view.ts';

export type Page = View & {
  placeOf(node: number): { x: number; y: number } | null;
  setPalette(palette: Palette): void;
  /** Labels for a picture of the graph that leaves the panel. */
  placeLabels(scene: Scene, derived: Derived): readonly PlacedLabel[];
};

/** Puts the views together on the page; they know nothing of each other. */
export function createPage(intents: Intents, activity: Activity, host: Host, palette: Palette): Page {
  const graph = createGraphView(intents, activity, palette);
  const axis = createTokenAxis(intents);
  const toolbar = createToolbar(
    intents,
    () => intents.apply((state) => setPanels({ isLegendOpen: !state.panels.isLegendOpen })(state)),
    () => graph.element.focus(),
  );
  const story = createStoryView(intents);
  const layers = createLayersView(intents);
  const legend = createLegend(intents);
  const messages = createMessages(intents);
  const tour = createTour(intents);
  const dialog = createTraceDialog(intents);
  const minimap = createMinimap(intents, palette);
  const tooltip = createTooltip(graph.element, graph.placeOf);
  const zoom = make(
    'div',
    { class: 'zoom', attributes: { role: 'group', 'aria-label': 'Zoom' } },
    iconButton('plus', 'Zoom in (+)', () => graph.zoomBy(1.3)),
    iconButton('minus', 'Zoom out (−)', () => graph.zoomBy(1 / 1.3)),
    iconButton('fit', 'Fit (0)', () => intents.apply(setCamera(null))),
  );
  const subgraph = createSubgraphView(
    intents,
    activity,
    createLayouter(host.elkWorker),
    createTextMeasure(palette.fontFamily, palette.fontSize),
  );
  const below = createSplitter('horizontal', 'Height of the subgraph', { min: 110, max: 560 }, (subgraphHeight) =>
    intents.apply(setPanels({ subgraphHeight })),
  );
  const stage = make(
    'div',
    { class: 'stage' },
    make(
      'div',
      { class: 'graph-frame' },
      graph.element,
      minimap.element,
      zoom,
      layers.element,
      legend.element,
      tour.invitation,
    ),
    axis.element,
    below.element,
    subgraph.element,
  );
  const side = createSidePanel(intents, {
    node: createNodeDetails(intents),
    outline: createOutline(intents),
    steer: withVerification(createSteering(intents), createVerifyPanel(intents)),
  });
  const splitter = createSplitter('vertical', 'Width of the node panel', { min: 220, max: 720 }, (sideWidth) =>
    intents.apply(setPanels({ sideWidth })),
  );
  const live = make('div', { class: 'visually-hidden', attributes: { 'aria-live': 'polite' } });
  const element = make(
    'div',
    { class: 'page' },
    story.element,
    toolbar.element,
    make('main', { class: 'main' }, stage, splitter.element, side.element),
    messages.element,
    tooltip.element,
    tour.element,
    dialog.element,
    live,
  );
  const views: readonly View[] = [
    story,
    toolbar,
    subgraph,
    graph,
    axis,
    layers,
    side,
    legend,
    messages,
    minimap,
    tooltip,
    tour,
    dialog,
  ];
  const isNewPanels = changeOf();
  const isNewAnnouncement = changeOf();

  document.addEventListener('keydown', (event) => {
    if (isTyping(event)) return;
    if (event.key === '/') {
      event.preventDefault();
      toolbar.focusSearch();
    }
    if (event.key === 'l' && !event.ctrlKey && !event.metaKey && !event.altKey) intents.apply(toggleStage);
    if (event.key === 'Escape') intents.apply(stepBack);
  });

  return {
    element,
    placeOf: graph.placeOf,
    setPalette(next) {
      graph.setPalette(next);
      minimap.setPalette(next);
    },
    placeLabels: (scene, derived) => graphLabels(scene, derived, null),
    update(state, derived) {
      if (isNewPanels(state.panels, derived === null)) {
        side.element.hidden = splitter.element.hidden = !state.panels.isSideOpen || !derived;
        element.style.setProperty('--side-width', `${state.panels.sideWidth}px`);
        element.style.setProperty('--subgraph-height', `${state.panels.subgraphHeight}px`);
        below.element.hidden = !state.panels.isSubgraphOpen;
        below.set(state.panels.subgraphHeight);
        splitter.set(state.panels.sideWidth);
        stage.hidden = !derived;
        stage.classList.toggle('with-subgraph', state.panels.isSubgraphOpen);
        stage.classList.toggle('with-layers', state.panels.stage === 'layers');
        for (const covered of [graph.element, minimap.element, zoom]) covered.inert = state.panels.stage === 'layers';
      }
      for (const view of views) view.update(state, derived);
      if (derived && isNewAnnouncement(state.hovered, state.selected, state.announcement)) {
        live.textContent =
          derived.focus === null
            ? state.announcement
            : describeNode(derived.index, derived.focus, state.view, state.setLabels);
      }
    },
  };
}

/** The interventions, and below them the claims that can be tested. */
function withVerification(steering: View, verify: View): View {
  return {
    element: make('div', {}, steering.element, verify.element),
    update(state, derived) {
      steering.update(state, derived);
      verify.update(state, derived);
    },
  };
}

function isTyping(event: KeyboardEvent): boolean {
  const [target] = event.composedPath();
  if (!(target instanceof HTMLElement)) return false;
  if (target instanceof HTMLInputElement) return target.type !== 'range';
  return target instanceof HTMLTextAreaElement || target.isContentEditable || target.closest('.graph') !== null;
}
