import { button, iconButton, progressRing } from '../controls.ts';
import { fill, make } from '../dom.ts';
import type { ViewState } from '../store.ts';
import { closeMessage } from '../updates.ts';
import { percent } from '../words.ts';
import type { Intents, View } from './view.ts';
import { changeOf } from './view.ts';

const phaseNames: Readonly<Record<string, string>> = {
  'load model': 'Loading the model',
  tokenize: 'Splitting the prompt into tokens',
  forward: 'Running the model',
  features: 'Finding active features',
  targets: 'Choosing what to explain',
  'direct effects': 'Measuring direct effects',
  influence: 'Ranking by influence',
  prune: 'Keeping what matters',
  lens: 'Reading out every layer',
  'own text': 'Running the model on your text',
  generate: 'Generating',
  receive: 'Getting the graph',
  index: 'Finding what matters in it',
};

/** What ends by itself in a moment and cannot be stopped. */
const briefPhases: ReadonlySet<string> = new Set(['receive', 'index']);

/** What stands where the graph will be: waiting, progress with a way to stop it, a failure with a way on. */
export function createMessages(intents: Intents): View {
  const element = make('div', { class: 'messages', attributes: { role: 'status', 'aria-live': 'polite' } });
  const isNew = changeOf();
  return {
    element,
    update(state) {
      const { status, index } = state;
      if (!isNew(status, index === null)) return;
      const hasNothingToDraw = status.type === 'ready' && (index === null || index.graph.nodes.length === 0);
      element.hidden = status.type === 'ready' && !hasNothingToDraw;
      // With a graph on screen, news lies over its corner instead of in its place.
      element.classList.toggle('over', index !== null && !hasNothingToDraw);
      if (!element.hidden) fill(element, ...content(state, hasNothingToDraw, intents));
    },
  };
}

function content({ status, index }: ViewState, hasNothingToDraw: boolean, intents: Intents): HTMLElement[] {
  if (hasNothingToDraw) {
    return [
      make('h2', { text: 'Nothing to draw' }),
      make('p', { text: 'This graph has no nodes. A prompt of one token has no features to attribute to.' }),
    ];
  }
  if (status.type === 'failed') {
    return [
      ...(index ? [iconButton('close', 'Close', () => intents.apply(closeMessage))] : []),
      make('h2', { text: status.message }),
      make('p', { text: status.remedy }),
      ...(status.action === null ? [] : [button(status.action, intents.failedAction, { appearance: 'primary' })]),
    ];
  }
  if (status.type === 'progress') {
    const { title, phase, done, total } = status;
    const part = total > 0 ? done / total : 0;
    return [
      make('h2', { text: title }),
      make(
        'div',
        { class: 'progress-line' },
        progressRing(),
        make('span', { text: `${phaseNames[phase] ?? phase}${total > 1 ? ` · ${percent(part)}` : ''}` }),
      ),
      make('span', { class: 'bar progress-bar', style: { '--part': `${part * 100}%` } }),
      ...(briefPhases.has(phase) ? [] : [button('Cancel', intents.cancel)]),
    ];
  }
  return [
    make('h2', { text: 'No trace yet' }),
    make('p', { text: 'Highlight a prompt in any editor, right-click it and choose Trace Prompt.' }),
  ];
}
