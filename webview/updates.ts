import type { GraphView, Supernode } from '../src/graph/circuitGraph.ts';
import type { ToPanel } from '../src/protocol/panel.ts';
import { nothingTested, withResult } from './claims.ts';
import type { Derived } from './derive.ts';
import type { Filters } from './filters.ts';
import { indexGraph } from './graphIndex.ts';
import type { SteeringState } from './steeringState.ts';
import { noSteering, withEdit } from './steeringState.ts';
import type { Camera, Panels, Tour, Update, ViewState } from './store.ts';
import { readPanels } from './store.ts';
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
      case 'remembered':
        return withRemembered(state, message.state);
      case 'select':
        return select(message.node === null ? null : (state.index?.indexOf.get(message.node) ?? null))(state);
      case 'featureCard':
        return withCard(state, message.layer, message.feature, { type: 'ready', card: message.card });
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
      case 'intervened':
        return { ...state, steering: { ...state.steering, result: message.result, isRunning: false } };
      case 'verified': {
        const verification = withResult(state.verification, message.claims, message.result);
        return { ...state, verification, status: { type: 'ready' } };
      }
      case 'failed': {
        const steering = { ...state.steering, isRunning: false };
        const verification = { ...state.verification, isRunning: false };
        return { ...state, steering, verification, status: message };
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

/** Another prompt's tokens: the graph of the last one must not stand below them. */
function previewOf(
  state: ViewState,
  tokens: readonly string[],
  predictions: NonNullable<ViewState['preview']>['predictions'],
): ViewState {
  const shown = state.trace?.graph.metadata.promptTokens ?? [];
  const isOther = shown.length !== tokens.length || shown.some((token, pos) => token !== tokens[pos]);
  const cleared = isOther ? { trace: null, index: null, selected: null, hovered: null, marked: [], camera: null } : {};
  return { ...state, ...cleared, preview: { tokens, predictions } };
}

function showTrace(state: ViewState, trace: NonNullable<ViewState['trace']>): ViewState {
  const index = indexGraph(trace.graph);
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
    steering: isOther ? noSteering : state.steering,
    verification: isOther ? nothingTested : state.verification,
    panels:
      isOther && (view.pinned.length > 0 || view.supernodes.length > 0)
        ? { ...state.panels, isSubgraphOpen: true }
        : state.panels,
  };
}

function withCard(
  state: ViewState,
  layer: number,
  feature: number,
  card: ViewState['cards'] extends ReadonlyMap<string, infer Value> ? Value : never,
): ViewState {
  const cards = new Map(state.cards).set(featureKey(layer, feature), card);
  if (card.type !== 'ready' || card.card.activationFrequency === null) return { ...state, cards };
  const frequencies = new Map(state.frequencies).set(featureKey(layer, feature), card.card.activationFrequency);
  return { ...state, cards, frequencies };
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

/** Sets a node's label; an empty one brings back the label it had. */
export function editLabel(node: number, label: string): Update {
  return withView((view, ids) => {
    const { [ids(node)]: _, ...others } = view.labels;
    return { ...view, labels: label.trim() === '' ? others : { ...others, [ids(node)]: label.trim() } };
  });
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
  return (state) => ({
    ...state,
    steering: withEdit(state.steering, name, nodes),
    panels: { ...state.panels, tab: 'steer', isSideOpen: true },
  });
}

/** The reader stopped what was running for a graph that is on screen. */
export const cancelled: Update = (state) =>
  state.index === null
    ? state
    : {
        ...state,
        status: { type: 'ready' },
        steering: { ...state.steering, isRunning: false, isWanted: false },
        verification: { ...state.verification, isRunning: false },
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
