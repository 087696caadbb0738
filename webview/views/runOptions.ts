import { type Freeze, plainRun, type RunOptions } from '../../src/graph/interventions.ts';
import { dropdown, numberField, slider } from '../controls.ts';
import { make } from '../dom.ts';
import { changeInterventions } from '../steeringState.ts';
import { setSteering } from '../updates.ts';
import { plural, shortNumber } from '../words.ts';
import type { Changes } from './view.ts';

const lengths = [
  { value: '0', text: 'stop at the next token' },
  { value: '10', text: 'go on for 10 tokens' },
  { value: '20', text: 'go on for 20 tokens' },
  { value: '40', text: 'go on for 40 tokens' },
  { value: '100', text: 'go on for 100 tokens' },
] as const;
const choices = [
  { value: 'greedy', text: 'always the most likely token' },
  { value: 'sampled', text: 'tokens by chance' },
] as const;
type FreezeChoice = 'nothing' | 'attention' | 'all' | 'layers';
const freezes: readonly { readonly value: FreezeChoice; readonly text: string }[] = [
  { value: 'nothing', text: 'hold nothing else' },
  { value: 'attention', text: 'hold attention patterns' },
  { value: 'all', text: 'hold all else: direct effects' },
  { value: 'layers', text: 'hold all else in layers …' },
];
const firstSampling = { temperature: 1, topP: 0.9, seed: 1 };

/** How the model is run: how far, by which rule, and what is held as it is without the edits. */
export function createRunOptions(intents: Changes): {
  readonly element: HTMLElement;
  update(options: RunOptions, nLayers: number): void;
} {
  const change = (part: (now: RunOptions) => Partial<RunOptions>) =>
    intents.apply(
      setSteering((steering) =>
        changeInterventions(steering, (now) => ({ ...now, options: { ...now.options, ...part(now.options) } })),
      ),
    );
  let layers = 1;
  const length = dropdown<string>('How far both runs go on', lengths, (value) =>
    change(() => ({ newTokens: Number(value) })),
  );
  const choice = dropdown<'greedy' | 'sampled'>('How tokens are chosen', choices, (value) =>
    change(() => ({ sampling: value === 'greedy' ? null : firstSampling })),
  );
  const sampling = (part: Partial<typeof firstSampling>) =>
    change((now) => ({ sampling: { ...(now.sampling ?? firstSampling), ...part } }));
  const temperature = slider('Temperature', { min: 0.1, max: 2, step: 0.1 }, (value) =>
    sampling({ temperature: value }),
  );
  const topP = slider('Top-p', { min: 0.05, max: 1, step: 0.05 }, (value) => sampling({ topP: value }));
  const seed = numberField('Seed', { min: 0, max: 2 ** 32 - 1 }, (value) => sampling({ seed: value }));
  const bySampling = make(
    'div',
    { class: 'sampling' },
    temperature.element,
    topP.element,
    make('label', { class: 'seed' }, make('span', { text: 'Seed' }), seed.element),
  );
  const freeze = dropdown<FreezeChoice>('What is held as it is without the edits', freezes, (value) =>
    change(() => ({ freeze: freezeOf(value, layers) })),
  );
  const bound = (part: (range: { from: number; to: number }) => { from: number; to: number }) =>
    change((now) => ({ freeze: part(typeof now.freeze === 'string' ? { from: 0, to: layers - 1 } : now.freeze) }));
  const from = numberField('First layer', { min: 0, max: 999 }, (value) =>
    bound(({ to }) => ({ from: value, to: Math.max(value, to) })),
  );
  const to = numberField('Last layer', { min: 0, max: 999 }, (value) =>
    bound((range) => ({ from: Math.min(range.from, value), to: value })),
  );
  const range = make('span', { class: 'edit-range' }, 'from', from.element, 'to', to.element);
  const summary = make('summary');
  const element = make(
    'details',
    { class: 'run-details' },
    summary,
    make('div', { class: 'run-options' }, length.element, choice.element, bySampling, freeze.element, range),
  );
  return {
    element,
    update(options, nLayers) {
      layers = nLayers;
      const text = optionsText(options, nLayers);
      // What is not as usual is seen at once.
      if (text !== summary.textContent && text !== optionsText(plainRun, nLayers)) element.open = true;
      summary.textContent = text;
      length.set(String(options.newTokens));
      choice.element.hidden = options.newTokens === 0;
      choice.set(options.sampling === null ? 'greedy' : 'sampled');
      bySampling.hidden = options.newTokens === 0 || options.sampling === null;
      const { temperature: heat, topP: share, seed: start } = options.sampling ?? firstSampling;
      temperature.set(heat, shortNumber(heat));
      topP.set(share, shortNumber(share));
      seed.set(start);
      const chosen = choiceOf(options.freeze, nLayers);
      freeze.set(chosen);
      range.hidden = chosen !== 'layers';
      const bounds = typeof options.freeze === 'string' ? { from: 0, to: nLayers - 1 } : options.freeze;
      from.set(bounds.from);
      to.set(bounds.to);
    },
  };
}

/** "Runs to the next token, nothing else held". */
function optionsText({ newTokens, sampling, freeze }: RunOptions, nLayers: number): string {
  const length = newTokens === 0 ? 'to the next token' : `on for ${plural(newTokens, 'token')}`;
  const rule = newTokens > 0 && sampling ? ' by chance' : '';
  const choice = choiceOf(freeze, nLayers);
  const held = { nothing: 'nothing else', attention: 'attention', all: 'all else', layers: 'some layers' }[choice];
  return `Runs ${length}${rule}, ${held} held`;
}

function freezeOf(choice: FreezeChoice, nLayers: number): Freeze {
  if (choice === 'nothing' || choice === 'attention') return choice;
  // Less than all layers, or it would be the other choice: norms stay free then.
  return { from: 0, to: choice === 'all' ? nLayers - 1 : Math.max(0, nLayers - 2) };
}

function choiceOf(freeze: Freeze, nLayers: number): FreezeChoice {
  if (typeof freeze === 'string') return freeze;
  return freeze.from === 0 && freeze.to >= nLayers - 1 ? 'all' : 'layers';
}
