import { make } from '../dom.ts';
import type { SideTab } from '../store.ts';
import { setPanels } from '../updates.ts';
import type { Intents, View } from './view.ts';

const names: Readonly<Record<SideTab, string>> = { node: 'Node', outline: 'Outline', steer: 'Interventions' };

/** The column beside the picture: one of the chosen node, the outline and the interventions at a time. */
export function createSidePanel(intents: Intents, views: Readonly<Record<SideTab, View>>): View {
  const order: readonly SideTab[] = ['node', 'outline', 'steer'];
  const tabs = order.map((tab) =>
    make('button', {
      class: 'tab',
      text: names[tab],
      attributes: { type: 'button', role: 'tab', id: `tab-${tab}`, 'aria-controls': `panel-${tab}` },
      on: { click: () => intents.apply(setPanels({ tab })) },
    }),
  );
  const panels = order.map((tab) =>
    make(
      'div',
      { class: 'tab-panel', attributes: { role: 'tabpanel', id: `panel-${tab}`, 'aria-labelledby': `tab-${tab}` } },
      views[tab].element,
    ),
  );
  const list = make('div', { class: 'tabs', attributes: { role: 'tablist', 'aria-label': 'Side panel' } }, ...tabs);
  list.addEventListener('keydown', (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const at = tabs.indexOf(document.activeElement as HTMLButtonElement);
    if (step === undefined || at < 0) return;
    const next = (at + step + order.length) % order.length;
    intents.apply(setPanels({ tab: order[next] }));
    tabs[next].focus();
  });
  const element = make('aside', { class: 'side', attributes: { 'aria-label': 'Details' } }, list, ...panels);
  return {
    element,
    update(state, derived) {
      element.classList.toggle('idle', state.panels.tab === 'node' && state.selected === null);
      order.forEach((tab, position) => {
        const isChosen = state.panels.tab === tab;
        tabs[position].setAttribute('aria-selected', String(isChosen));
        tabs[position].tabIndex = isChosen ? 0 : -1;
        panels[position].hidden = !isChosen;
      });
      const edits = state.steering.interventions.edits.length;
      tabs[2].textContent = edits > 0 ? `${names.steer} (${edits})` : names.steer;
      for (const tab of order) views[tab].update(state, derived);
    },
  };
}
