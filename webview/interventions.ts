import { createActivity } from './activity.ts';
import { registerControls } from './controls.ts';
import { make } from './dom.ts';
import { connectHost } from './host.ts';
import { cell } from './memo.ts';
import { receive } from './messageUpdates.ts';
import { tellInterventions } from './steeringSync.ts';
import { createStore, initialState } from './store.ts';
import { cancelled } from './updates.ts';
import type { SteeringDerived } from './views/steering.ts';
import { createSteering } from './views/steering.ts';
import { nodeName } from './words.ts';

/** The page of the side bar: the same interventions as in the graph panel, without the picture. */
function start(root: HTMLElement): void {
  registerControls();
  const host = connectHost();
  const store = createStore(initialState(null));
  const activity = createActivity();
  const naming = cell<SteeringDerived>();
  const steering = createSteering({
    apply: (update) => store.apply(update),
    ask: (type) => host.post({ type }),
    cancel: () => {
      host.post({ type: 'cancel' });
      store.apply(cancelled);
    },
  });
  document.body.classList.add('in-side-bar');
  root.replaceChildren(make('main', { class: 'side-page' }, steering.element));

  let isScheduled = false;
  const draw = () => {
    if (isScheduled) return;
    isScheduled = true;
    const end = activity.begin();
    requestAnimationFrame(() => {
      isScheduled = false;
      const state = store.state();
      const { index, view, setLabels } = state;
      const derived =
        index &&
        naming([index, view.labels, setLabels], () => ({
          index,
          nameOf: (node) => nodeName(index, node, view, setLabels),
        }));
      steering.update(state, derived);
      end();
    });
  };
  store.subscribe(draw);
  tellInterventions(store, host);
  store.subscribe((state, previous) => {
    if (state.trace !== previous.trace || !state.index) return;
    const idOf = (node: number | null) => (node === null ? null : (state.index?.graph.nodes[node].id ?? null));
    if (state.selected !== previous.selected && state.selected !== null) {
      host.post({ type: 'selectNode', node: idOf(state.selected) });
    }
    if (state.hovered !== previous.hovered) host.post({ type: 'hoverNode', node: idOf(state.hovered) });
  });
  host.onMessage((message) => store.apply(receive(message)));
  window.whenIdle = activity.whenIdle;
  draw();
  host.post({ type: 'ready' });
}

start(document.getElementById('app') ?? document.body.appendChild(make('div')));
