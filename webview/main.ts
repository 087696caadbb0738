import { inSlices, nextTurn, workFor } from '../src/graph/steps.ts';
import { createActivity } from './activity.ts';
import { keptSites, strongestClaims } from './claims.ts';
import { registerControls } from './controls.ts';
import { createDeriver } from './derive.ts';
import { make } from './dom.ts';
import { readPalette, watchTheme } from './drawing/palette.ts';
import { exportGraph } from './exports/exportGraph.ts';
import { connectHost } from './host.ts';
import { keepHostInformed } from './hostSync.ts';
import { createReceiver } from './incomingGraph.ts';
import { createStore, initialState } from './store.ts';
import { starting } from './traceDialogState.ts';
import { cancelled, verifying } from './updates.ts';
import { createPage } from './views/page.ts';
import type { Intents } from './views/view.ts';

declare global {
  interface Window {
    /** Resolves when no message, layout, frame or animation is pending: for tests. */
    whenIdle: () => Promise<void>;
    /** Where on the page a node is drawn: for tests that use the mouse. */
    placeOfNode: (id: string) => { x: number; y: number } | null;
  }
}

function start(root: HTMLElement): void {
  registerControls();
  const host = connectHost();
  const store = createStore(initialState(host.remembered()));
  const activity = createActivity();
  const derive = createDeriver();
  const intents: Intents = {
    apply: (update) => store.apply(update),
    cancel: () => {
      host.post({ type: 'cancel' });
      store.apply(cancelled);
    },
    verify: (wanted) => {
      const derived = derive(store.state());
      if (!derived) return;
      const { index, visible, story, pinned } = derived;
      const claims = wanted === 'strongest' ? strongestClaims(index, visible, story.groups) : [wanted];
      host.post({ type: 'verify', claims, kept: wanted === 'strongest' ? keptSites(index, pinned) : null });
      store.apply(verifying);
    },
    ask: (type) => host.post({ type }),
    findExamples: () => host.post({ type: 'findExamples' }),
    useNeuronpedia: () => host.post({ type: 'useNeuronpedia' }),
    traceDialog: (action) => {
      const { dialog } = store.state();
      if (action !== 'start') host.post({ type: 'traceDialog', action });
      else if (dialog !== null && !dialog.isStarting) {
        host.post({ type: 'startTrace', number: dialog.number, draft: dialog.draft });
        store.apply(starting);
      }
    },
    failedAction: () => host.post({ type: 'failedAction' }),
    export: (format) => {
      const state = store.state();
      const derived = derive(state);
      if (!derived) return;
      const palette = readPalette(document.body);
      const data = exportGraph(format, state, derived, palette, (scene) => page.placeLabels(scene, derived));
      host.post({ type: 'export', format, data });
    },
  };
  const page = createPage(intents, activity, host, readPalette(document.body));
  root.replaceChildren(page.element);

  // However many changes a frame brings, the page is drawn once. What a very large graph needs for that is made in
  // slices; changes that come meanwhile are drawn after it.
  let isScheduled = false;
  let isDrawing = false;
  const draw = () => {
    if (isScheduled) return;
    isScheduled = true;
    const end = activity.begin();
    requestAnimationFrame(() => {
      isScheduled = false;
      if (isDrawing) draw();
      else void drawNow();
      end();
    });
  };
  const drawNow = async () => {
    isDrawing = true;
    const end = activity.begin();
    const state = store.state();
    const steps = derive.steps(state);
    try {
      const first = workFor(steps);
      const derived = first.done ? first.value : await inSlices(steps, () => true);
      if (!first.done) await nextTurn();
      page.update(state, derived);
    } finally {
      isDrawing = false;
      end();
    }
  };
  store.subscribe(draw);
  keepHostInformed(store, host);
  watchTheme(() => {
    page.setPalette(readPalette(document.body));
    draw();
  });
  host.onMessage(createReceiver(store, activity));
  window.whenIdle = activity.whenIdle;
  window.placeOfNode = (id) => {
    const node = store.state().index?.indexOf.get(id);
    return node === undefined ? null : page.placeOf(node);
  };
  draw();
  host.post({ type: 'ready' });
}

start(document.getElementById('app') ?? document.body.appendChild(make('div')));
