import type { Inspection, LayerInspection } from '../src/protocol/engine.ts';
import type { Update, ViewState } from './store.ts';

/** What the cells of the table of layers show. */
export type Quantity = 'lens' | 'residNorm' | 'attentionNorm' | 'mlpNorm' | 'errorNorm' | 'activeFeatures';

/** A cell: a layer at a token. */
export type LayerCell = { readonly pos: number; readonly layer: number };

/** What is known of every layer at the prompt's tokens, and what of it is looked at. */
export type InspectorState = {
  readonly inspection: Inspection | null;
  /** Tokens that the extension is still to be asked for: those from `first` on, or the last ones. */
  readonly wanted: { readonly first: number | null } | null;
  readonly isRunning: boolean;
  /** Why there is nothing to show; null while that is not known. */
  readonly failure: string | null;
  readonly chosen: LayerCell | null;
  readonly quantity: Quantity;
};

export const noInspection: InspectorState = {
  inspection: null,
  wanted: null,
  isRunning: false,
  failure: null,
  chosen: null,
  quantity: 'lens',
};

/** Brings up the graph or the table of layers; what the table lacks is asked for. */
export function showStage(stage: 'graph' | 'layers'): Update {
  return (state) => {
    const panels = { ...state.panels, stage };
    return stage === 'graph' ? { ...state, panels } : withCellOfSelected(wanting({ ...state, panels }));
  };
}

/** From the graph to the table of layers and back. */
export const toggleStage: Update = (state) => showStage(state.panels.stage === 'layers' ? 'graph' : 'layers')(state);

/** Brings up the table at a token, which is looked into where it was not yet. */
export function showLayersAt(pos: number): Update {
  return (state) => {
    const shown = showStage('layers')(state);
    const { inspection } = shown.inspector;
    const nLayers = shown.index?.nLayers ?? 1;
    const layer = shown.inspector.chosen?.layer ?? nLayers - 1;
    const isThere = inspection === null || columnOf(inspection, pos) !== null;
    const wanted = isThere ? shown.inspector.wanted : { first: Math.max(0, pos - 8) };
    return { ...shown, inspector: { ...shown.inspector, chosen: { pos, layer }, wanted } };
  };
}

/** Asks for other tokens of the prompt than those in the table. */
export function inspectFrom(first: number): Update {
  return (state) => ({ ...state, inspector: { ...state.inspector, wanted: { first: Math.max(0, first) } } });
}

export function chooseCell(chosen: LayerCell | null): Update {
  return (state) => ({ ...state, inspector: { ...state.inspector, chosen } });
}

export function showQuantity(quantity: Quantity): Update {
  return (state) => ({ ...state, inspector: { ...state.inspector, quantity } });
}

/** The extension was asked. */
export const inspecting: Update = (state) => ({
  ...state,
  inspector: { ...state.inspector, wanted: null, isRunning: true, failure: null },
});

/** The extension's answer; a cell that is not in it is chosen no longer. */
export function withInspection(inspection: Inspection): Update {
  return (state) => {
    const { chosen } = state.inspector;
    const last = { pos: inspection.tokens.length - 1, layer: (inspection.columns[0]?.length ?? 1) - 1 };
    const isThere = chosen !== null && columnOf(inspection, chosen.pos) !== null;
    const inspector = { ...state.inspector, inspection, isRunning: false, chosen: isThere ? chosen : last };
    return { ...state, status: { type: 'ready' }, inspector };
  };
}

/** Ends the waiting, after a failure or a cancel. */
export function withoutInspection(inspector: InspectorState, failure: string): InspectorState {
  return inspector.isRunning ? { ...inspector, isRunning: false, failure } : inspector;
}

/** Another trace: nothing is known of it yet, and asked for only while the table is on screen. */
export function inspectorOfNewTrace(state: ViewState): InspectorState {
  const { quantity } = state.inspector;
  const isOpen = state.panels.stage === 'layers' && (state.trace?.hasModel ?? false);
  return { ...noInspection, quantity, wanted: isOpen ? { first: null } : null };
}

/** The layers at a position; null where it is outside of what was looked into. */
export function columnOf({ first, columns }: Inspection, pos: number): readonly LayerInspection[] | null {
  return columns[pos - first] ?? null;
}

/**
 * How strongly each cell is coloured, 0…1 [column][layer]: probabilities as they are, others against the largest of
 * all tokens but the first, whose vectors are many times longer in most models.
 */
export function heatOf({ first, columns }: Inspection, quantity: Quantity): number[][] {
  if (quantity === 'lens') return columns.map((layers) => layers.map(({ lens }) => lens[0]?.probability ?? 0));
  const counted = first === 0 && columns.length > 1 ? columns.slice(1) : columns;
  const most = Math.max(...counted.flatMap((layers) => layers.map((layer) => layer[quantity] ?? 0)), 1e-9);
  return columns.map((layers) => layers.map((layer) => Math.min(1, (layer[quantity] ?? 0) / most)));
}

function wanting(state: ViewState): ViewState {
  const { inspection, isRunning } = state.inspector;
  if (inspection !== null || isRunning || !state.trace?.hasModel) return state;
  return { ...state, inspector: { ...state.inspector, wanted: { first: null }, failure: null } };
}

/** The selected feature's place is where a reader wants to look. */
function withCellOfSelected(state: ViewState): ViewState {
  const node = state.selected === null ? null : state.index?.graph.nodes[state.selected];
  if (node?.kind !== 'feature' && node?.kind !== 'error') return state;
  return { ...state, inspector: { ...state.inspector, chosen: { pos: node.pos, layer: node.layer } } };
}
