import type { GraphView } from '../src/graph/circuitGraph.ts';
import type { ToPanel } from '../src/protocol/panel.ts';
import { nothingTested, withResult } from './claims.ts';
import { type GraphIndex, indexGraph } from './graphIndex.ts';
import { inspectorOfNewTrace, showLayersAt, withInspection, withoutInspection } from './inspector.ts';
import { noSteering, steeringOf } from './steeringState.ts';
import type { Update, ViewState } from './store.ts';
import { readPanels } from './store.ts';
import { closeTraceDialog, openTraceDialog, withCheck, writeDraft } from './traceDialogState.ts';
import { select } from './updates.ts';
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

/** A card that was asked for is on its way. */
export function cardRequested(layer: number, feature: number): Update {
  return (state) => withCard(state, layer, feature, { type: 'loading' });
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
