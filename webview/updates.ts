import type { GraphView, Supernode } from '../src/graph/circuitGraph.ts';
import { nodesOfFeature } from '../src/graph/node.ts';
import type { Derived } from './derive.ts';
import type { Filters } from './filters.ts';
import { showStage, withoutInspection } from './inspector.ts';
import type { SteeringState } from './steeringState.ts';
import { withEdit } from './steeringState.ts';
import type { Camera, Panels, Tour, Update, ViewState } from './store.ts';

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
