import { button, choice, iconButton } from '../controls.ts';
import { fill, make } from '../dom.ts';
import type { TraceDialogState } from '../traceDialogState.ts';
import { writeDraft } from '../traceDialogState.ts';
import { showToken } from '../words.ts';
import { icon } from './icons.ts';
import { createField, type Field } from './traceFields.ts';
import { createTargetFields } from './traceTargets.ts';
import type { Intents, View } from './view.ts';
import { changeOf } from './view.ts';

/** Fields outside the targets, by the section they stand in. */
const sections = {
  compute: [
    { name: 'batchSize', label: 'Features at a time', hint: 'More at a time is faster and takes more memory.' },
  ],
  keep: [
    {
      name: 'nodeThreshold',
      label: 'Influence of the nodes',
      hint: 'Share of the influence that the nodes shown carry together.',
    },
    {
      name: 'edgeThreshold',
      label: 'Influence of the edges',
      hint: 'Share of the influence that the edges shown carry together.',
    },
  ],
  positions: [
    { name: 'explainedAt', label: 'Explain after token', placeholder: 'the last' },
    { name: 'attributed', label: 'Features at', placeholder: 'all, or 5, 8-12' },
    { name: 'sources', label: 'Sources at', placeholder: 'all, or 5, 8-12' },
  ],
} as const;

/**
 * What a trace explains and how, before it runs: the prompt's tokens, targets, how much is computed and kept, and what
 * that takes. Modal: the browser keeps the keyboard inside and gives it back.
 */
export function createTraceDialog(intents: Intents): View {
  const close = () => intents.traceDialog('close');
  const heading = make('h2', { text: 'Trace with Options', attributes: { id: 'trace-dialog-title' } });
  const model = make('p', { class: 'muted' });
  const prompt = make('ol', { class: 'dialog-prompt', attributes: { 'aria-label': 'Tokens of the prompt' } });
  const targets = createTargetFields(intents);
  const features = choice(
    'How many features are attributed',
    [
      {
        value: 'adaptive',
        text: 'Until the graph stays the same',
        title: 'The most influential first, until the rest carries little or nothing else would be kept',
      },
      { value: 'number', text: 'A number' },
      { value: 'all', text: 'All', title: 'Every feature that fires on the prompt' },
    ],
    (mode) => intents.apply(writeDraft({ features: mode })),
  );
  const count = createField('featureCount', { label: 'Features', isNumber: true }, (featureCount) =>
    intents.apply(writeDraft({ featureCount })),
  );
  const plain = new Map<keyof TraceDialogState['draft'], Field>([['featureCount', count]]);
  const fieldsOf = (section: keyof typeof sections): HTMLElement[] =>
    sections[section].map(({ name, ...options }) => {
      const field = createField(name, { ...options, isNumber: section !== 'positions' }, (value) =>
        intents.apply(writeDraft({ [name]: value })),
      );
      plain.set(name, field);
      return field.element;
    });
  const estimate = make('p', { class: 'estimate', attributes: { role: 'status' } });
  const trace = button('Trace', () => intents.traceDialog('start'), { appearance: 'primary' });
  const reset = button('Reset', () => {}, { title: 'Back to what the settings say' });
  const content = make(
    'div',
    { class: 'dialog-body' },
    prompt,
    section('What to explain', targets.element),
    section(
      'What to compute',
      features.element,
      make('div', { class: 'fields' }, count.element, ...fieldsOf('compute')),
    ),
    section('What to show', make('div', { class: 'fields' }, ...fieldsOf('keep'))),
    section('Where in the prompt', make('div', { class: 'fields' }, ...fieldsOf('positions'))),
  );
  const element = make(
    'dialog',
    { class: 'trace-dialog', attributes: { 'aria-labelledby': 'trace-dialog-title' } },
    make('header', {}, make('div', {}, heading, model), iconButton('close', 'Close (Escape)', close)),
    content,
    make('footer', {}, estimate, make('div', { class: 'dialog-actions' }, reset, button('Cancel', close), trace)),
  );
  element.addEventListener('cancel', (event) => {
    // The extension closes it: it keeps what was written.
    event.preventDefault();
    close();
  });
  element.addEventListener('keydown', (event) => {
    // The page's own keys are not for here.
    event.stopPropagation();
    const isButton = event.target instanceof HTMLElement && event.target.closest('button, vscode-button') !== null;
    if (event.key === 'Enter' && !isButton) intents.traceDialog('start');
  });

  let defaults: TraceDialogState['setup']['defaults'] | null = null;
  reset.addEventListener('click', () => {
    if (defaults) intents.apply(writeDraft(defaults));
  });
  const isNewSetup = changeOf();
  const isNewDialog = changeOf();
  const isNewRefusal = changeOf();
  return {
    element,
    update({ dialog }) {
      if (dialog === null) {
        if (element.open) element.close();
        isNewDialog(null);
        return;
      }
      if (!isNewDialog(dialog)) return;
      const { setup, draft, check, isStarting, refusals } = dialog;
      defaults = setup.defaults;
      if (isNewSetup(setup, draft.explainedAt)) {
        model.textContent = setup.model;
        fill(prompt, ...promptTokens(dialog, intents));
      }
      targets.update(dialog);
      features.set(draft.features);
      count.element.hidden = draft.features !== 'number';
      for (const [name, field] of plain) {
        field.set(String(draft[name]));
        field.say(check?.errors[name as 'batchSize'] ?? null, []);
      }
      fill(estimate, ...estimateWords(dialog));
      estimate.className = `estimate ${check?.estimate?.verdict ?? ''}`;
      trace.disabled = isStarting;
      trace.replaceChildren(isStarting ? 'Starting…' : check?.estimate?.verdict === 'over' ? 'Trace Anyway' : 'Trace');
      if (!element.open) {
        element.showModal();
        targets.focus();
      }
      if (isNewRefusal(refusals) && refusals > 0) {
        element.querySelector<HTMLInputElement>('[aria-invalid="true"]')?.focus();
      }
    },
  };
}

function section(title: string, ...children: HTMLElement[]): HTMLElement {
  return make('section', { attributes: { 'aria-label': title } }, make('h3', { text: title }), ...children);
}

/** Each token explains what follows it when it is pressed; pressed again, the last one does. */
function promptTokens({ setup, draft }: TraceDialogState, intents: Intents): HTMLElement[] {
  const last = setup.promptTokens.length - 1;
  const explained = draft.explainedAt.trim() === '' ? last : Number(draft.explainedAt);
  return setup.promptTokens.map((token, pos) => {
    const isChosen = pos === explained;
    const press = () => intents.apply(writeDraft({ explainedAt: isChosen || pos === last ? '' : String(pos) }));
    return make(
      'li',
      {},
      make(
        'button',
        {
          class: `dialog-token${isChosen ? ' chosen' : ''}${pos > explained ? ' left-out' : ''}`,
          title: `Token ${pos}. Press to explain what follows it.`,
          attributes: { type: 'button', 'aria-pressed': isChosen },
          on: { click: press },
        },
        make('span', { text: showToken(token) }),
        make('span', { class: 'dialog-pos', text: String(pos) }),
      ),
    );
  });
}

function estimateWords({ check, number }: TraceDialogState): (Node | string)[] {
  if (check === null) return ['Looking at the model…'];
  const errors = Object.keys(check.errors).length;
  if (check.estimate === null) return [icon('warning'), 'Correct what is marked to see what the trace takes.'];
  const { words, verdict, advice } = check.estimate;
  const takes = `This trace takes ${words}.`;
  const note = verdict === 'over' ? ' That is too much.' : verdict === 'slow' ? ' That is long.' : '';
  return [
    ...(verdict === 'fits' && errors === 0 ? [] : [icon('warning')]),
    make(
      'span',
      {},
      make('strong', { text: `${takes}${note}` }),
      advice === '' ? null : make('span', { class: 'advice', text: ` ${advice}` }),
      errors === 0 || check.number !== number
        ? null
        : make('span', {
            class: 'field-error',
            text: ` ${errors === 1 ? 'One field is' : `${errors} fields are`} not right yet.`,
          }),
    ),
  ];
}
