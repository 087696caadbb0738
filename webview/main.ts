import { createActivity } from './activity.ts';
import { keptSites, strongestClaims } from './claims.ts';
import { registerControls } from './controls.ts';
import { createDeriver } from './derive.ts';
import { make } from './dom.ts';
import { readPalette, watchTheme } from './drawing/palette.ts';
import { exportGraph } from './exports/exportGraph.ts';
import { connectHost } from './host.ts';
import { keepHostInformed } from './hostSync.ts';
import { createStore, initialState } from './store.ts';
import { cancelled, receive, verifying } from './updates.ts';
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

  // However many changes a frame brings, the page is drawn once.
  let isScheduled = false;
  const draw = () => {
    if (isScheduled) return;
    isScheduled = true;
    const end = activity.begin();
    requestAnimationFrame(() => {
      isScheduled = false;
      const state = store.state();
      page.update(state, derive(state));
      end();
    });
  };
  store.subscribe(draw);
  keepHostInformed(store, host);
  watchTheme(() => {
    page.setPalette(readPalette(document.body));
    draw();
  });
  host.onMessage((message) => store.apply(receive(message)));
  window.whenIdle = activity.whenIdle;
  window.placeOfNode = (id) => {
    const node = store.state().index?.indexOf.get(id);
    return node === undefined ? null : page.placeOf(node);
  };
  draw();
  host.post({ type: 'ready' });
}

start(document.getElementById('app') ?? document.body.appendChild(make('div')));
