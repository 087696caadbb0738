import type { Host } from './host.ts';
import { inspecting } from './inspector.ts';
import { cardRequested } from './messageUpdates.ts';
import { tellInterventions } from './steeringSync.ts';
import type { Remembered, Store, ViewState } from './store.ts';
import { featureKey } from './visible.ts';

/** Tells the extension what the reader did, and asks it for what the page lacks. */
export function keepHostInformed(store: Store, host: Host): void {
  tellInterventions(store, host);
  store.subscribe((state, previous) => {
    const isSameTrace = state.trace === previous.trace;
    if (state.selected !== previous.selected) {
      if (isSameTrace) host.post({ type: 'selectNode', node: idOf(state, state.selected) });
      askForCard(state, store, host);
    } else if (!isSameTrace) askForCard(state, store, host);
    if (state.hovered !== previous.hovered) host.post({ type: 'hoverNode', node: idOf(state, state.hovered) });
    // Choosing a node alone is not a change worth keeping: it must not make the file look edited.
    if (isSameTrace && isEdited(state, previous)) host.post({ type: 'viewChanged', view: state.view });
    if (state.inspector.wanted && !state.inspector.isRunning) {
      host.post({ type: 'inspect', first: state.inspector.wanted.first });
      store.apply(inspecting);
    }
    const { dialog } = state;
    if (dialog !== null && dialog.draft !== previous.dialog?.draft) {
      host.post({ type: 'checkTrace', number: dialog.number, draft: dialog.draft });
    }
    const isLeftOtherwise = state.panels !== previous.panels || state.isTourDone !== previous.isTourDone;
    if (!isSameTrace || isLeftOtherwise) host.remember(rememberedOf(state));
    if (isLeftOtherwise) host.post({ type: 'remember', state: rememberedOf(state) });
  });
}

function rememberedOf({ panels, isTourDone, trace }: ViewState): Remembered {
  return { panels, isTourDone, traceId: trace?.id ?? null };
}

function isEdited({ view }: ViewState, { view: previous }: ViewState): boolean {
  return (Object.keys(view) as (keyof typeof view)[]).some((key) => key !== 'clicked' && view[key] !== previous[key]);
}

function askForCard(state: ViewState, store: Store, host: Host): void {
  const { selected, index, cards } = state;
  if (selected === null || !index) return;
  const { kind, layer, feature } = index.graph.nodes[selected];
  if (kind !== 'feature' || feature === null || cards.has(featureKey(layer, feature))) return;
  store.apply(cardRequested(layer, feature));
  host.post({ type: 'needCard', layer, feature });
}

function idOf({ index }: ViewState, node: number | null): string | null {
  return node === null || !index ? null : index.graph.nodes[node].id;
}
