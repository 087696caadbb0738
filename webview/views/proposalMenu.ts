import { button, popover } from '../controls.ts';
import { fill, make } from '../dom.ts';
import { dismiss, group, hover, mark } from '../updates.ts';
import { plural } from '../words.ts';
import type { Intents, View } from './view.ts';
import { changeOf } from './view.ts';

/** All proposed supernodes, each with its reason, to keep or dismiss. */
export function createProposalMenu(intents: Intents): View {
  const list = make('ul', { class: 'proposals' });
  const { element, trigger } = popover('idea', 'Proposed groups', list);
  const badge = make('span', { class: 'badge', attributes: { hidden: true } });
  trigger.append(badge);
  const isNew = changeOf();
  return {
    element,
    update(_state, derived) {
      if (!derived || !isNew(derived.proposals)) return;
      const { proposals } = derived;
      badge.hidden = proposals.length === 0;
      badge.textContent = String(proposals.length);
      trigger.title = plural(proposals.length, 'proposed group');
      const rows = proposals.map(({ id, name, members, reason }) =>
        make(
          'li',
          {
            on: {
              pointerenter: () => intents.apply(mark(members)),
              pointerleave: () => intents.apply(mark([])),
              focusin: () => intents.apply(hover(members[0])),
            },
          },
          make('strong', { text: `${name} ×${members.length}` }),
          make('p', { class: 'muted', text: reason }),
          make(
            'div',
            { class: 'proposal-actions' },
            button('Group', () => intents.apply(group(members, name))),
            button('Dismiss', () => intents.apply(dismiss(id))),
          ),
        ),
      );
      fill(
        list,
        ...rows,
        proposals.length === 0 ? make('li', { class: 'muted', text: 'No more groups to propose.' }) : null,
      );
    },
  };
}
