import type { GraphView, Supernode } from '../src/graph/circuitGraph.ts';
import { nodesOfFeature } from '../src/graph/node.ts';
import type { ToPanel } from '../src/protocol/panel.ts';
import { nothingTested, withResult } from './claims.ts';
import type { Derived } from './derive.ts';
import type { Filters } from './filters.ts';
import { type GraphIndex, indexGraph } from './graphIndex.ts';
import { inspectorOfNewTrace, showLayersAt, showStage, withInspection, withoutInspection } from './inspector.ts';
import type { SteeringState } from './steeringState.ts';
import { noSteering, steeringOf, withEdit } from './steeringState.ts';
import type { Camera, Panels, Tour, Update, ViewState } from './store.ts';
import { readPanels } from './store.ts';
import { closeTraceDialog, openTraceDialog, withCheck, writeDraft } from './traceDialogState.ts';
import { featureKey } from './visible.ts';

/** What a message from the extension changes. */
export function receive(message: ToPanel): Update {
  return (state) => {
    switch (message.type) {
      case 'progress':
        return { ...state, status: message };
      case 'preview':
        return previewOf(state, message.tokens, message.predictions);
      case 'showGraph':
        return showTrace(state, message.trace);
      case 'showView':
        return showView(state, message.id, message.view);
      case 'remembered':
        return withRemembered(state, message.state);
      case 'select':
        return select(message.node === null ? null : (state.index?.indexOf.get(message.node) ?? null))(state);
      case 'featureCard':
        return withCard(withOffer(state, message), message.layer, message.feature, {
          type: 'ready',
          card: message.card,
        });
      case 'featureCardFailed':
        return withCard(state, message.layer, message.feature, { type: 'failed', message: message.message });
      case 'labels': {
        const setLabels = new Map(state.setLabels);
        const frequencies = new Map(state.frequencies);
        for (const { layer, feature, label, source, frequency } of message.labels) {
          const key = featureKey(layer, feature);
          if (label !== '') setLabels.set(key, { label, source: source ?? 'from the transcoder set' });
          if (typeof frequency === 'number') frequencies.set(key, frequency);
        }
        return { ...state, setLabels, frequencies };
      }
      case 'interventions': {
        const { interventions } = message;
        return { ...state, steering: { ...state.steering, interventions, told: interventions } };
      }
      case 'interventionRun':
        return { ...state, steering: { ...state.steering, run: message.run } };
      case 'nothing':
        return { ...state, ...noTrace, status: { type: 'ready' } };
      case 'verified': {
        const verification = withResult(state.verification, message.claims, message.result);
        return { ...state, verification, status: { type: 'ready' } };
      }
      case 'inspection':
        return withInspection(message.inspection)(state);
      case 'showLayers':
        return showLayersAt(message.pos)(state);
      case 'tokensSelected':
        return selectTokens(message.positions)(state);
      case 'settled':
        return { ...state, status: { type: 'ready' } };
      case 'traceDialog':
        return openTraceDialog(message.setup)(state);
      case 'traceChecked':
        return withCheck(message.check, message.isRefused)(state);
      case 'directionsPicked':
        return writeDraft({ target: 'directions', directionsFile: message.file })(state);
      case 'traceDialogClosed':
        return closeTraceDialog(state);
      case 'failed': {
        const verification = { ...state.verification, isRunning: false };
        const inspector = withoutInspection(state.inspector, message.message);
        return { ...state, verification, inspector, status: message };
      }
      default:
        return state;
    }
  };
}

/** How another panel was left; a page that has its own memory, or is in use already, keeps that. */
function withRemembered(state: ViewState, remembered: unknown): ViewState {
  if (typeof remembered !== 'object' || remembered === null || state.hasOwnMemory) return state;
  const isTourDone = 'isTourDone' in remembered && remembered.isTourDone === true;
  const kept = 'panels' in remembered ? remembered.panels : null;
  return { ...state, isTourDone, panels: readPanels(kept, state.panels), hasOwnMemory: true };
}

const noTrace = {
  trace: null,
  index: null,
  selected: null,
  hovered: null,
  marked: [],
  camera: null,
  steering: noSteering,
} as const;

/** Another prompt's tokens: the graph of the last one must not stand below them. */
function previewOf(
  state: ViewState,
  tokens: readonly string[],
  predictions: NonNullable<ViewState['preview']>['predictions'],
): ViewState {
  const shown = state.trace?.graph.metadata.promptTokens ?? [];
  const isOther = shown.length !== tokens.length || shown.some((token, pos) => token !== tokens[pos]);
  const cleared = isOther ? noTrace : {};
  return { ...state, ...cleared, preview: { tokens, predictions } };
}

/** Shows a graph whose index was made elsewhere, in slices. */
export function showIndexed(trace: NonNullable<ViewState['trace']>, index: GraphIndex): Update {
  return (state) => showTrace(state, trace, index);
}

/** What was made of the graph on screen was changed elsewhere: in a tree, in another panel, by undo. */
function showView(state: ViewState, id: string, view: GraphView): ViewState {
  const { trace, index } = state;
  if (trace?.id !== id || index === null) return state;
  return showTrace(state, { ...trace, graph: { ...trace.graph, view } }, index);
}

function showTrace(
  state: ViewState,
  trace: NonNullable<ViewState['trace']>,
  index: GraphIndex = indexGraph(trace.graph),
): ViewState {
  const saved = trace.graph.view;
  // "Only between pinned" is what files say by default; without pins it would mean "nothing".
  const isBare = saved.linkType === 'both' && saved.pinned.length === 0;
  const isOther = state.trace?.id !== trace.id;
  // Which edges are shown is chosen here and nowhere else, so a trace that is sent again does not change it.
  const linkType = isOther ? (isBare ? 'either' : saved.linkType) : state.view.linkType;
  const view: GraphView = { ...saved, linkType };
  // A trace that is sent again, because its labels or groups changed elsewhere, keeps what is selected.
  const clicked = view.clicked ?? (isOther ? null : state.view.clicked);
  return {
    ...state,
    status: { type: 'ready' },
    preview: { tokens: trace.graph.metadata.promptTokens, predictions: trace.predictions },
    trace,
    index,
    view: { ...view, clicked },
    selected: clicked === null ? null : (index.indexOf.get(clicked) ?? null),
    hovered: null,
    isHoverFrozen: false,
    marked: [],
    search: isOther ? '' : state.search,
    camera: isOther ? null : state.camera,
    dismissed: isOther ? new Set() : state.dismissed,
    steering: isOther ? steeringOf(trace.graph) : state.steering,
    verification: isOther ? nothingTested : state.verification,
    inspector: isOther ? inspectorOfNewTrace({ ...state, trace }) : state.inspector,
    filters: isOther && state.editorPositions ? { ...state.filters, positions: null } : state.filters,
    editorPositions: isOther ? null : state.editorPositions,
    offers: isOther ? new Map() : state.offers,
    panels:
      isOther && (view.pinned.length > 0 || view.supernodes.length > 0)
        ? { ...state.panels, isSubgraphOpen: true }
        : state.panels,
  };
}

/** Keeps what Neuronpedia would be asked of the card's feature, or forgets it. */
function withOffer(
  state: ViewState,
  { layer, feature, offer }: { readonly layer: number; readonly feature: number; readonly offer?: string },
): ViewState {
  const offers = new Map(state.offers);
  if (offer === undefined) offers.delete(featureKey(layer, feature));
  else offers.set(featureKey(layer, feature), offer);
  return { ...state, offers };
}

/** Shows only the columns of the tokens that are selected in an editor; with none selected, what was shown before. */
function selectTokens(positions: readonly number[]): Update {
  return (state) => {
    const isOurs = state.editorPositions !== null && state.filters.positions === state.editorPositions;
    const known = positions.filter((pos) => pos < (state.index?.nPositions ?? 0));
    if (known.length > 0) return { ...state, filters: { ...state.filters, positions: known }, editorPositions: known };
    if (!isOurs) return state.editorPositions === null ? state : { ...state, editorPositions: null };
    return { ...state, filters: { ...state.filters, positions: null }, editorPositions: null };
  };
}

function withCard(
  state: ViewState,
  layer: number,
  feature: number,
  card: ViewState['cards'] extends ReadonlyMap<string, infer Value> ? Value : never,
): ViewState {
  const key = featureKey(layer, feature);
  const cards = new Map(state.cards).set(key, card);
  if (card.type !== 'ready') return { ...state, cards };
  const { label, labelSource, activationFrequency } = card.card;
  // A card may know a name that the set's list does not have, as those from Neuronpedia.
  const isNamed = label === '' || state.setLabels.has(key);
  const setLabels = isNamed ? state.setLabels : new Map(state.setLabels).set(key, { label, source: labelSource });
  if (activationFrequency === null) return { ...state, cards, setLabels };
  return { ...state, cards, setLabels, frequencies: new Map(state.frequencies).set(key, activationFrequency) };
}

/** Chooses a node, or none. */
export function select(node: number | null): Update {
  return (state) => {
    if (state.selected === node) return state;
    const clicked = node === null || !state.index ? null : state.index.graph.nodes[node].id;
    return { ...state, selected: node, isHoverFrozen: false, view: { ...state.view, clicked } };
  };
}

export function hover(node: number | null): Update {
  return (state) => (state.isHoverFrozen || state.hovered === node ? state : { ...state, hovered: node });
}

export function freezeHover(isFrozen: boolean): Update {
  return (state) =>
    state.isHoverFrozen === isFrozen || (isFrozen && state.hovered === null)
      ? state
      : { ...state, isHoverFrozen: isFrozen };
}

/** One step back, as Escape does: unfreeze, unmark, unselect, clear the search. */
export const stepBack: Update = (state) => {
  if (state.tour) return { ...state, tour: null, isTourDone: true };
  if (state.isHoverFrozen) return { ...state, isHoverFrozen: false, hovered: null };
  if (state.marked.length > 0) return { ...state, marked: [] };
  if (state.panels.stage === 'layers') return showStage('graph')(state);
  if (state.selected !== null) return select(null)(state);
  return state.search === '' ? state : { ...state, search: '' };
};

/** Pins the nodes, or takes the pins away when all of them have one. Unpinned nodes leave their supernode too. */
export function togglePin(nodes: readonly number[]): Update {
  return withView((view, ids) => {
    const chosen = nodes.map(ids);
    const areAllPinned = chosen.every((id) => view.pinned.includes(id));
    if (!areAllPinned)
      return { ...view, pinned: [...view.pinned, ...chosen.filter((id) => !view.pinned.includes(id))] };
    return {
      ...view,
      pinned: view.pinned.filter((id) => !chosen.includes(id)),
      supernodes: without(view.supernodes, new Set(chosen)),
    };
  }, true);
}

/** Makes one supernode of the nodes; they are pinned, and leave the supernodes they were in. */
export function group(nodes: readonly number[], label: string): Update {
  return (state) => {
    const grouped = withView((view, ids) => {
      const members = [...new Set(nodes.map(ids))];
      if (members.length === 0) return view;
      return {
        ...view,
        pinned: [...view.pinned, ...members.filter((id) => !view.pinned.includes(id))],
        supernodes: [...without(view.supernodes, new Set(members)), { label, members }],
      };
    }, true)(state);
    return { ...grouped, marked: [], announcement: `Grouped ${nodes.length} nodes as ${label}` };
  };
}

/**
 * Starts a subgraph from the summary: its groups as supernodes, its single features, the tokens that matter most and the
 * explained output.
 */
export function pinGroups({ index, story }: Pick<Derived, 'index' | 'story'>): Update {
  const single = story.groups.filter(({ members }) => members.length === 1).flatMap(({ members }) => members);
  const tokens = Array.from(index.graph.nodes.keys())
    .filter((node) => index.graph.nodes[node].kind === 'token' && index.influence[node] > 0.05)
    .sort((a, b) => index.influence[b] - index.influence[a])
    .slice(0, 4);
  const target = index.graph.nodes.findIndex(({ kind, isTarget }) => kind === 'logit' && isTarget);
  const pins = [...single, ...tokens, ...(target < 0 ? [] : [target])];
  return (state) => {
    let next = state;
    for (const { type, members, name } of story.groups) if (type === 'proposed') next = group(members, name)(next);
    const loose = pins.filter((node) => !next.view.pinned.includes(index.graph.nodes[node].id));
    return loose.length > 0 ? togglePin(loose)(next) : next;
  };
}

/** Takes a supernode apart; its members stay pinned. */
export function ungroup(supernode: number): Update {
  return withView((view) => ({ ...view, supernodes: view.supernodes.filter((_, position) => position !== supernode) }));
}

export function renameSupernode(supernode: number, label: string): Update {
  return withView((view) => ({
    ...view,
    supernodes: view.supernodes.map((entry, position) => (position === supernode ? { ...entry, label } : entry)),
  }));
}

/** Labels a node, and with it every node of the same feature; an empty label brings back the one that they had. */
export function editLabel(node: number, label: string): Update {
  return (state) =>
    withView((view, idOf) => {
      const labels = { ...view.labels };
      for (const same of nodesOfFeature(state.index?.graph.nodes ?? [], node)) {
        if (label.trim() === '') delete labels[idOf(same)];
        else labels[idOf(same)] = label.trim();
      }
      return { ...view, labels };
    })(state);
}

export function clearPins(): Update {
  return withView((view) => ({ ...view, pinned: [], supernodes: [], places: {} }));
}

/** Keeps where a box of the subgraph was put, in thousandths of its panel. */
export function placeBox(id: string, place: readonly [number, number]): Update {
  return withView((view) => ({ ...view, places: { ...view.places, [id]: place } }));
}

export const forgetPlaces: Update = (state) => withView((view) => ({ ...view, places: {} }))(state);

export function setThreshold(pruningThreshold: number): Update {
  return withView((view) => ({ ...view, pruningThreshold }));
}

export function setLinkType(linkType: GraphView['linkType']): Update {
  return withView((view) => ({ ...view, linkType }));
}

export function mark(nodes: readonly number[]): Update {
  return (state) => ({ ...state, marked: nodes });
}

export function toggleMark(node: number): Update {
  return (state) => ({
    ...state,
    marked: state.marked.includes(node) ? state.marked.filter((other) => other !== node) : [...state.marked, node],
  });
}

export function setFilters(change: (filters: Filters) => Filters): Update {
  return (state) => ({ ...state, filters: change(state.filters) });
}

export function setSearch(search: string): Update {
  return (state) => (state.search === search ? state : { ...state, search });
}

export function setCamera(camera: Camera | null): Update {
  return (state) => ({ ...state, camera });
}

/** The size of the drawing area, from the page's layout. */
export function setArea(area: ViewState['area']): Update {
  return (state) => (state.area.width === area.width && state.area.height === area.height ? state : { ...state, area });
}

export function setPanels(change: Partial<Panels>): Update {
  return (state) => ({ ...state, panels: { ...state.panels, ...change } });
}

export function setSteering(change: (steering: SteeringState) => SteeringState): Update {
  return (state) => ({ ...state, steering: change(state.steering) });
}

/** Adds a row to the interventions and shows them. */
export function addEdit(name: string, nodes: readonly number[]): Update {
  return (state) =>
    state.index === null
      ? state
      : {
          ...state,
          steering: withEdit(state.steering, name, nodes, state.index.graph),
          panels: { ...state.panels, tab: 'steer', isSideOpen: true },
        };
}

/** The reader stopped what was running for a graph that is on screen. */
export const cancelled: Update = (state) =>
  state.index === null
    ? state
    : {
        ...state,
        status: { type: 'ready' },
        steering: { ...state.steering, isWanted: false },
        verification: { ...state.verification, isRunning: false },
        inspector: withoutInspection(state.inspector, 'Cancelled.'),
      };

export const verifying: Update = (state) => ({ ...state, verification: { ...state.verification, isRunning: true } });

/** Takes the news off the picture. */
export const closeMessage: Update = (state) => ({ ...state, status: { type: 'ready' } });

export function dismiss(proposal: string): Update {
  return (state) => ({ ...state, dismissed: new Set(state.dismissed).add(proposal) });
}

export function cardRequested(layer: number, feature: number): Update {
  return (state) => withCard(state, layer, feature, { type: 'loading' });
}

export function setTour(tour: Tour): Update {
  return (state) => ({ ...state, tour, isTourDone: tour === null ? true : state.isTourDone });
}

export function announce(announcement: string): Update {
  return (state) => ({ ...state, announcement });
}

function without(supernodes: readonly Supernode[], ids: ReadonlySet<string>): Supernode[] {
  return supernodes
    .map((entry) => ({ ...entry, members: entry.members.filter((id) => !ids.has(id)) }))
    .filter((entry) => entry.members.length > 0);
}

/** Changes the part of the state that is kept with the graph. */
function withView(
  change: (view: GraphView, idOf: (node: number) => string) => GraphView,
  opensSubgraph = false,
): Update {
  return (state) => {
    const { index } = state;
    if (!index) return state;
    const view = change(state.view, (node) => index.graph.nodes[node].id);
    if (view === state.view) return state;
    const isFirstPin = opensSubgraph && state.view.pinned.length === 0 && view.pinned.length > 0;
    const panels = isFirstPin ? { ...state.panels, isSubgraphOpen: true } : state.panels;
    return { ...state, view, panels };
  };
}
