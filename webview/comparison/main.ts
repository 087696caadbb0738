import type { FromComparison, ToComparison } from '../../src/protocol/comparison.ts';
import { createActivity } from '../activity.ts';
import { registerControls } from '../controls.ts';
import { make } from '../dom.ts';
import { readPalette, watchTheme } from '../drawing/palette.ts';
import type { CompareState, CompareUpdate } from './compareStore.ts';
import { receive, rememberedOf, startComparison } from './compareStore.ts';
import { createComparisonDeriver } from './comparisonDerive.ts';
import type { ComparisonIntents } from './comparisonIntents.ts';
import { createComparisonPage } from './comparisonPage.ts';
import type { Pane } from './pairing.ts';

declare global {
  interface Window {
    /** Where on the page a picture's node is drawn: for tests that use the mouse. */
    placeInPane: (pane: Pane, id: string) => { x: number; y: number } | null;
  }
}

/** The page that compares two traces. */
function start(root: HTMLElement): void {
  registerControls();
  const api = acquireVsCodeApi<unknown>();
  const post = (message: FromComparison): void => api.postMessage(message);
  const activity = createActivity();
  const derive = createComparisonDeriver();
  let state = startComparison(api.getState());
  const intents: ComparisonIntents = {
    apply,
    openTrace: (side) => {
      const { selected } = state.panes[side];
      const node = selected === null ? null : (state.pairing?.traces[side].graph.nodes[selected].id ?? null);
      post({ type: 'openTrace', side, node });
    },
    openMerged: () => post({ type: 'openMerged' }),
    failedAction: () => post({ type: 'failedAction' }),
  };
  const page = createComparisonPage(intents, activity, readPalette(document.body));
  root.replaceChildren(page.element);

  let isScheduled = false;
  function draw(): void {
    if (isScheduled) return;
    isScheduled = true;
    const end = activity.begin();
    requestAnimationFrame(() => {
      isScheduled = false;
      page.update(state, derive(state));
      end();
    });
  }
  function apply(update: CompareUpdate): void {
    const previous = state;
    state = update(previous);
    if (state === previous) return;
    draw();
    tell(state, previous);
  }
  /** Tells the extension what was chosen, and VS Code what to keep. */
  function tell(now: CompareState, previous: CompareState): void {
    const { pairing, lastSide, mode, tableHeight } = now;
    const isSame = pairing === previous.pairing;
    if (!isSame || mode !== previous.mode || tableHeight !== previous.tableHeight) api.setState(rememberedOf(now));
    if (pairing === null || !isSame) return;
    const other = lastSide === 'left' ? 'right' : 'left';
    for (const side of [lastSide, other] as const) {
      const { selected } = now.panes[side];
      if (selected === null) continue;
      if (selected === previous.panes[side].selected) return;
      post({ type: 'selectNode', side, node: pairing.traces[side].graph.nodes[selected].id });
      return;
    }
  }

  watchTheme(() => {
    page.setPalette(readPalette(document.body));
    draw();
  });
  window.addEventListener('message', (event: MessageEvent<unknown>) => {
    if (isMessage(event.data)) apply(receive(event.data));
  });
  window.whenIdle = activity.whenIdle;
  window.placeInPane = (pane, id) => {
    const node = state.pairing?.index[pane].indexOf.get(id);
    return node === undefined ? null : page.placeOf(pane, node);
  };
  draw();
  post({ type: 'ready' });
}

/** The extension is our own code, but other frames could post here too: only typed objects get through. */
function isMessage(data: unknown): data is ToComparison {
  return typeof data === 'object' && data !== null && 'type' in data && typeof data.type === 'string';
}

start(document.getElementById('app') ?? document.body.appendChild(make('div')));
