import type { ComparedTraces, Side, ToComparison } from '../../src/protocol/comparison.ts';
import { receive as receiveInPane } from '../messageUpdates.ts';
import type { Update, ViewState } from '../store.ts';
import { initialState } from '../store.ts';
import { startThreshold } from '../visible.ts';
import type { Shown, Sorting } from './differences.ts';
import { counterpart, type Pairing, type Pane, pairTraces, paneNames } from './pairing.ts';

export type Mode = 'side' | 'one';

type Status = { readonly type: 'waiting' | 'ready' } | Extract<ToComparison, { readonly type: 'failed' }>;

/** What survives hiding the page and reloading the window. */
export type RememberedComparison = {
  /** The compared traces: the extension restores them. */
  readonly left: string | null;
  readonly right: string | null;
  readonly mode: Mode;
  readonly tableHeight: number;
};

/** Everything the comparison page shows is a function of this. */
export type CompareState = {
  readonly status: Status;
  readonly pairing: Pairing | null;
  /** Each picture has the state of a graph panel; what is chosen, hovered, pruned and zoomed agrees in all of them. */
  readonly panes: Readonly<Record<Pane, ViewState>>;
  readonly mode: Mode;
  readonly shown: Shown;
  readonly sorting: Sorting;
  readonly tableHeight: number;
  /** The picture in which something was chosen last. */
  readonly lastSide: Side;
};

export type CompareUpdate = (state: CompareState) => CompareState;

const startHeight = 210;

/** The state of a page that was told nothing yet. What it kept may be from an older version. */
export function startComparison(kept: unknown): CompareState {
  const remembered = typeof kept === 'object' && kept !== null ? (kept as Partial<RememberedComparison>) : {};
  const { tableHeight } = remembered;
  return {
    status: { type: 'waiting' },
    pairing: null,
    panes: { left: initialState(null), right: initialState(null), one: initialState(null) },
    mode: remembered.mode === 'one' ? 'one' : 'side',
    shown: 'all',
    sorting: { by: 'influence', isDescending: true },
    tableHeight: typeof tableHeight === 'number' && tableHeight >= 80 && tableHeight <= 800 ? tableHeight : startHeight,
    lastSide: 'left',
  };
}

export function rememberedOf({ pairing, mode, tableHeight }: CompareState): RememberedComparison {
  return { left: pairing?.traces.left.id ?? null, right: pairing?.traces.right.id ?? null, mode, tableHeight };
}

/** What a message from the extension changes. */
export function receive(message: ToComparison): CompareUpdate {
  return (state) => {
    switch (message.type) {
      case 'showComparison':
        return showTraces(state, message.traces);
      case 'labels':
        return { ...state, panes: mapPanes((pane) => receiveInPane(message)(state.panes[pane])) };
      case 'failed':
        return { ...state, status: message };
    }
  };
}

function showTraces(state: CompareState, traces: ComparedTraces): CompareState {
  const pairing = pairTraces(traces);
  const before = state.pairing?.traces;
  const isSame = before?.left.id === traces.left.id && before.right.id === traces.right.id;
  const threshold = isSame
    ? state.panes.left.view.pruningThreshold
    : Math.max(startThreshold(pairing.index.left), startThreshold(pairing.index.right));
  const panes = mapPanes((pane) => {
    const shown = receiveInPane({ type: 'showGraph', trace: pairing.panes[pane] })(state.panes[pane]);
    return { ...shown, view: { ...shown.view, linkType: 'either', pruningThreshold: threshold } };
  });
  return { ...state, status: { type: 'ready' }, pairing, panes };
}

/**
 * A change that a reader makes in one picture. What they look at — the chosen and the hovered node, how much is shown,
 * the part on screen — changes in the other pictures too; pins and groups belong to the traces' own graphs.
 */
export function inPane(pane: Pane, update: Update): CompareUpdate {
  return (state) => {
    const before = state.panes[pane];
    const changed = update(before);
    if (changed === before) return state;
    const { pinned, supernodes, labels, places } = before.view;
    const after = { ...changed, view: { ...changed.view, pinned, supernodes, labels, places } };
    const panes = mapPanes((other) =>
      other === pane ? after : follow(state.pairing, state.panes[other], other, before, after, pane),
    );
    const lastSide = pane !== 'one' && after.selected !== before.selected ? pane : state.lastSide;
    return { ...state, panes, lastSide };
  };
}

function follow(
  pairing: Pairing | null,
  other: ViewState,
  name: Pane,
  before: ViewState,
  after: ViewState,
  from: Pane,
): ViewState {
  if (pairing === null) return other;
  let next = other;
  const { linkType, pruningThreshold } = after.view;
  if (linkType !== other.view.linkType || pruningThreshold !== other.view.pruningThreshold)
    next = { ...next, view: { ...next.view, linkType, pruningThreshold } };
  if (after.filters !== before.filters) next = { ...next, filters: after.filters };
  if (after.selected !== before.selected)
    next = { ...next, selected: counterpart(pairing, after.selected, from, name) };
  if (after.hovered !== before.hovered) next = { ...next, hovered: counterpart(pairing, after.hovered, from, name) };
  if (after.isHoverFrozen !== before.isHoverFrozen) next = { ...next, isHoverFrozen: after.isHoverFrozen };
  // Both traces have the same columns; the one picture has its own.
  if (after.camera !== before.camera && name !== 'one' && from !== 'one') next = { ...next, camera: after.camera };
  return next;
}

/** The chosen pair; null when none is. */
export function selectedPair({ pairing, panes }: CompareState): number | null {
  return pairing === null ? null : pairAt(pairing, panes, 'selected');
}

/** The pair under the pointer. */
export function hoveredPair({ pairing, panes }: CompareState): number | null {
  return pairing === null ? null : pairAt(pairing, panes, 'hovered');
}

function pairAt(pairing: Pairing, panes: CompareState['panes'], what: 'selected' | 'hovered'): number | null {
  for (const pane of paneNames) {
    const node = panes[pane][what];
    if (node !== null) return pairing.pairOf[pane][node];
  }
  return null;
}

/** Chooses a pair in all pictures, or none. */
export function selectPair(pair: number | null): CompareUpdate {
  return onPair(pair, 'selected');
}

export function hoverPair(pair: number | null): CompareUpdate {
  return onPair(pair, 'hovered');
}

/** The one picture has every pair, so what is set there reaches the others. */
function onPair(pair: number | null, what: 'selected' | 'hovered'): CompareUpdate {
  return inPane('one', (state) => (state[what] === pair ? state : { ...state, [what]: pair }));
}

function mapPanes(paneOf: (pane: Pane) => ViewState): CompareState['panes'] {
  return { left: paneOf('left'), right: paneOf('right'), one: paneOf('one') };
}
