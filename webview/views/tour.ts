import { button, iconButton } from '../controls.ts';
import { fill, make } from '../dom.ts';
import { setTour } from '../updates.ts';
import type { Intents, View } from './view.ts';
import { changeOf } from './view.ts';

type Stop = { readonly at: string; readonly title: string; readonly text: string };

const stops: readonly Stop[] = [
  {
    at: '.says',
    title: 'What the model would say',
    text: 'The most likely next tokens of your prompt. The tokens above are coloured by how much of the answer starts at them.',
  },
  {
    at: '.because',
    title: 'What got it there',
    text: 'A few groups of features and how much of the answer passes through each. Dotted groups are proposals: keep or dismiss them.',
  },
  {
    at: '.graph-frame',
    title: 'Every step',
    text: 'One column a token, one row a layer; information flows from the tokens at the bottom to the answer on top. Hover a node for its edges, click for its meaning.',
  },
  {
    at: '.toolbar',
    title: 'As much as you want to see',
    text: 'Move the slider for the gist or the whole picture, search for a word, filter by kind or layer.',
  },
  {
    at: '.side',
    title: 'Ask, then test',
    text: 'The card says what a feature responds to and what feeds it. The dial turns it up or off and runs the model again: a graph is a claim until it is tested.',
  },
];

/** A short walk past the parts of the page: on first use, and again from the legend. */
export function createTour(intents: Intents): View & { readonly invitation: HTMLElement } {
  const element = make('div', { class: 'tour', attributes: { role: 'dialog', 'aria-label': 'Tour', hidden: true } });
  const ring = make('div', { class: 'tour-ring' });
  // The first graph that a reader ever sees comes with an offer, not with a walk.
  const invitation = make(
    'div',
    { class: 'invitation', attributes: { hidden: true } },
    make('span', { text: 'First time here?' }),
    button('Take the tour', () => intents.apply(setTour({ step: 0 }))),
    iconButton('close', 'No tour, thanks', () => intents.apply(setTour(null))),
  );
  const frame = make('div', {}, ring, element);
  const isNew = changeOf();
  return {
    element: frame,
    invitation,
    update(state, derived) {
      invitation.hidden = !derived || state.tour !== null || state.isTourDone;
      if (!isNew(state.tour, state.area, derived === null)) return;
      const step = derived ? state.tour?.step : undefined;
      const stop = step === undefined ? undefined : stops[step];
      element.hidden = ring.hidden = !stop;
      if (step === undefined || !stop) return;
      const isLast = step === stops.length - 1;
      const end = () => intents.apply(setTour(null));
      const next = button(isLast ? 'Done' : 'Next', isLast ? end : () => intents.apply(setTour({ step: step + 1 })), {
        appearance: 'primary',
      });
      fill(
        element,
        iconButton('close', 'Skip the tour (Escape)', end),
        make('h2', { text: stop.title }),
        make('p', { text: stop.text }),
        make(
          'div',
          { class: 'tour-actions' },
          make('span', { class: 'muted', text: `${step + 1} of ${stops.length}` }),
          next,
        ),
      );
      place(element, ring, document.querySelector(stop.at));
    },
  };
}

/** Puts the card beside its target: below where there is room, or else inside its upper part. */
function place(element: HTMLElement, ring: HTMLElement, target: Element | null): void {
  const box = target?.getBoundingClientRect() ?? new DOMRect(20, 20, 0, 0);
  ring.style.transform = `translate(${box.x - 3}px, ${box.y - 3}px)`;
  ring.style.width = `${box.width + 6}px`;
  ring.style.height = `${box.height + 6}px`;
  const { offsetWidth: width, offsetHeight: height } = element;
  const fitsBelow = box.bottom + height + 16 < window.innerHeight;
  const top = fitsBelow ? box.bottom + 12 : Math.max(12, Math.min(box.top + 24, window.innerHeight - height - 12));
  const left = Math.min(Math.max(12, box.left + (fitsBelow ? 0 : 24)), window.innerWidth - width - 12);
  element.style.transform = `translate(${left}px, ${top}px)`;
}
