import type { GraphView } from '../src/graph/circuitGraph.ts';
import { emptyView } from '../src/graph/circuitGraph.ts';
import type { FeatureCard, Prediction } from '../src/protocol/engine.ts';
import type { PanelTrace, ToPanel } from '../src/protocol/panel.ts';
import type { Verification } from './claims.ts';
import { nothingTested } from './claims.ts';
import type { Filters } from './filters.ts';
import { noFilters } from './filters.ts';
import type { GraphIndex } from './graphIndex.ts';
import type { InspectorState } from './inspector.ts';
import { noInspection } from './inspector.ts';
import type { SteeringState } from './steeringState.ts';
import { noSteering } from './steeringState.ts';
import type { TraceDialogState } from './traceDialogState.ts';
import type { SetLabels } from './words.ts';

/** Progress and failures are what the extension said last. */
type Status =
  | { readonly type: 'waiting' }
  | { readonly type: 'ready' }
  | Extract<ToPanel, { readonly type: 'progress' | 'failed' }>;

export type CardState =
  | { readonly type: 'loading' }
  | { readonly type: 'ready'; readonly card: FeatureCard }
  | { readonly type: 'failed'; readonly message: string };

/** Where the drawing area looks: screen = (grid − offset) × scale. Null: the whole width is fitted. */
export type Camera = { readonly x: number; readonly y: number; readonly scaleX: number; readonly scaleY: number };

export type SideTab = 'node' | 'steer' | 'outline';

/** Sizes and open parts, kept between sessions by VS Code. */
export type Panels = {
  readonly sideWidth: number;
  readonly subgraphHeight: number;
  readonly isStoryOpen: boolean;
  readonly isSideOpen: boolean;
  readonly isSubgraphOpen: boolean;
  readonly isLegendOpen: boolean;
  readonly tab: SideTab;
  /** What stands in the middle of the page. */
  readonly stage: 'graph' | 'layers';
};

/** What survives hiding the panel and closing the window, besides the graph's own view. */
export type Remembered = {
  readonly panels: Panels;
  readonly isTourDone: boolean;
  /** The trace on screen: the extension restores it after the window was reloaded. */
  readonly traceId: string | null;
};

export type Tour = { readonly step: number } | null;

/** Everything the panel shows is a function of this. */
export type ViewState = {
  readonly status: Status;
  readonly preview: { readonly tokens: readonly string[]; readonly predictions: readonly Prediction[] } | null;
  readonly trace: PanelTrace | null;
  readonly index: GraphIndex | null;
  /** The part that is kept with the graph. `view.clicked` is the selected node's id. */
  readonly view: GraphView;
  readonly selected: number | null;
  readonly hovered: number | null;
  readonly isHoverFrozen: boolean;
  /** Nodes marked for grouping. */
  readonly marked: readonly number[];
  readonly showAllEdges: boolean;
  readonly filters: Filters;
  readonly search: string;
  readonly cards: ReadonlyMap<string, CardState>;
  readonly setLabels: SetLabels;
  readonly frequencies: ReadonlyMap<string, number>;
  readonly dismissed: ReadonlySet<string>;
  /** The drawing area in pixels. */
  readonly area: { readonly width: number; readonly height: number };
  readonly camera: Camera | null;
  readonly panels: Panels;
  readonly steering: SteeringState;
  readonly inspector: InspectorState;
  /** The positions that are filtered by because their tokens are selected in an editor; null: none are. */
  readonly editorPositions: readonly number[] | null;
  readonly verification: Verification;
  /** Null: closed. */
  readonly dialog: TraceDialogState | null;
  readonly tour: Tour;
  readonly isTourDone: boolean;
  /** By feature key: what Neuronpedia would be asked, if the reader turns that on. */
  readonly offers: ReadonlyMap<string, string>;
  /** True when this page was shown before, or was told how another was left. */
  readonly hasOwnMemory: boolean;
  /** Said once to screen readers. */
  readonly announcement: string;
};

const startPanels: Panels = {
  sideWidth: 340,
  subgraphHeight: 270,
  isStoryOpen: true,
  isSideOpen: true,
  isSubgraphOpen: false,
  isLegendOpen: false,
  tab: 'node',
  stage: 'graph',
};

/** Panels as they were kept, by an older version perhaps: fields of another type are left as they are. */
export function readPanels(kept: unknown, current: Panels): Panels {
  if (typeof kept !== 'object' || kept === null) return current;
  const known = Object.entries(kept).filter(
    ([key, value]) => key in current && typeof value === typeof current[key as keyof Panels],
  );
  return { ...current, ...Object.fromEntries(known) };
}

/** The state of a page that was told nothing yet. */
export function initialState(remembered: Remembered | null): ViewState {
  return {
    status: { type: 'waiting' },
    preview: null,
    trace: null,
    index: null,
    view: emptyView,
    selected: null,
    hovered: null,
    isHoverFrozen: false,
    marked: [],
    showAllEdges: false,
    filters: noFilters,
    search: '',
    cards: new Map(),
    setLabels: new Map(),
    frequencies: new Map(),
    dismissed: new Set(),
    offers: new Map(),
    area: { width: 0, height: 0 },
    camera: null,
    panels: readPanels(remembered?.panels, startPanels),
    steering: noSteering,
    inspector: noInspection,
    editorPositions: null,
    verification: nothingTested,
    dialog: null,
    tour: null,
    isTourDone: remembered?.isTourDone ?? false,
    hasOwnMemory: remembered !== null,
    announcement: '',
  };
}

export type Update = (state: ViewState) => ViewState;
export type Store = {
  state(): ViewState;
  /** Applies one update and tells the listeners when it changed something. */
  apply(update: Update): void;
  subscribe(listener: (state: ViewState, previous: ViewState) => void): void;
};

/** Holds the one state of the page. */
export function createStore(start: ViewState): Store {
  let current = start;
  const listeners: ((state: ViewState, previous: ViewState) => void)[] = [];
  return {
    state: () => current,
    apply(update) {
      const previous = current;
      current = update(previous);
      if (current !== previous) for (const listener of listeners) listener(current, previous);
    },
    subscribe: (listener) => {
      listeners.push(listener);
    },
  };
}
