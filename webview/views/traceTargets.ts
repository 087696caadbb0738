import type { TargetKind, TraceDraft } from '../../src/protocol/traceDialog.ts';
import { button, choice, iconButton } from '../controls.ts';
import { fill, make } from '../dom.ts';
import type { TraceDialogState } from '../traceDialogState.ts';
import { addToken, removeToken, suggestForDifference, writeDraft, writeToken } from '../traceDialogState.ts';
import { showToken } from '../words.ts';
import { createField, type Field } from './traceFields.ts';
import type { Intents } from './view.ts';
import { changeOf } from './view.ts';

const mostSuggestions = 8;

export type TargetFields = {
  readonly element: HTMLElement;
  update(dialog: TraceDialogState): void;
  focus(): void;
};

/** What the trace explains: the kind of target, and the fields of that kind. */
export function createTargetFields(intents: Intents): TargetFields {
  const write = (change: Partial<TraceDraft>) => intents.apply(writeDraft(change));
  const kinds = choice<TargetKind>(
    'What the trace explains',
    [
      { value: 'top', text: 'Likeliest tokens', title: 'The most likely next tokens, together' },
      { value: 'tokens', text: 'Tokens', title: 'Tokens that you write' },
      {
        value: 'difference',
        text: 'A − B',
        title: 'Why one token rather than another: the difference of their logits',
      },
      { value: 'ids', text: 'Token ids' },
      { value: 'directions', text: 'Directions', title: 'Vectors of your own, from a file' },
    ],
    (target) => write({ target }),
  );
  const fields = {
    maxLogits: createField(
      'maxLogits',
      { label: 'At most', hint: 'Tokens that are explained', isNumber: true },
      (value) => write({ maxLogits: value }),
    ),
    logitProbability: createField(
      'logitProbability',
      { label: 'Together as likely as', hint: 'No more than it takes to reach this probability', isNumber: true },
      (value) => write({ logitProbability: value }),
    ),
    a: createField('a', { label: 'A', placeholder: 'a token, such as “ Austin”' }, (a) => write({ a })),
    b: createField('b', { label: 'B', placeholder: 'the token it is compared with' }, (b) => write({ b })),
    ids: createField('ids', { label: 'Ids', placeholder: 'such as 1723, 9' }, (ids) => write({ ids })),
    directionsFile: createField(
      'directionsFile',
      { label: 'File', placeholder: 'vectors in .safetensors, .npz or .json' },
      (directionsFile) => write({ directionsFile }),
    ),
  };
  const tokens = createTokenList(intents);
  const directions = make('p', { class: 'muted' });
  const panels: Readonly<Record<TargetKind, HTMLElement>> = {
    top: make('div', { class: 'fields' }, fields.maxLogits.element, fields.logitProbability.element),
    tokens: tokens.element,
    difference: make('div', { class: 'fields' }, fields.a.element, fields.b.element),
    ids: make('div', { class: 'fields wide' }, fields.ids.element),
    directions: make(
      'div',
      { class: 'file-field' },
      fields.directionsFile.element,
      button('Choose…', () => intents.traceDialog('pickDirections')),
      directions,
    ),
  };
  const suggestions = make('div', { class: 'suggestions' });
  const element = make('div', { class: 'targets' }, kinds.element, ...Object.values(panels), suggestions);
  const isNewSuggestions = changeOf();
  return {
    element,
    focus: () => kinds.element.querySelector<HTMLElement>('[aria-checked="true"]')?.focus(),
    update(dialog) {
      const { draft, check, setup } = dialog;
      kinds.set(draft.target);
      for (const [kind, panel] of Object.entries(panels)) panel.hidden = kind !== draft.target;
      for (const [name, field] of Object.entries(fields) as [keyof typeof fields, Field][]) {
        field.set(draft[name]);
        field.say(check?.errors[name] ?? null, check?.pieces[name] ?? []);
      }
      tokens.update(dialog);
      const found = check?.directions ?? [];
      directions.textContent = directionWords(found);
      directions.hidden = found.length === 0;
      const isSuggesting = draft.target === 'tokens' || draft.target === 'difference';
      suggestions.hidden = !isSuggesting || setup.suggestions.length === 0;
      if (isNewSuggestions(setup.suggestions, draft.target)) {
        fill(suggestions, 'The model says:', ...suggestionButtons(dialog, intents));
      }
    },
  };
}

function directionWords(names: readonly string[]): string {
  const shown = names.slice(0, 5).join(', ');
  const more = names.length > 5 ? ` and ${names.length - 5} more` : '';
  return `${names.length === 1 ? 'One direction' : `${names.length} directions`}: ${shown}${more}.`;
}

function suggestionButtons({ setup, draft }: TraceDialogState, intents: Intents): HTMLElement[] {
  const put = draft.target === 'difference' ? suggestForDifference : addToken;
  return setup.suggestions.slice(0, mostSuggestions).map((text) =>
    make('button', {
      class: 'piece',
      text: showToken(text),
      title: draft.target === 'difference' ? 'Put it into A or B' : 'Explain this token',
      attributes: { type: 'button' },
      on: { click: () => intents.apply(put(text)) },
    }),
  );
}

/** One line for each token, and one more on demand. */
function createTokenList(intents: Intents): Pick<TargetFields, 'element' | 'update'> {
  const list = make('ul', { class: 'token-list' });
  const add = button('Add a Token', () => {
    intents.apply(addToken(''));
    // The new line is there after the next frame.
    requestAnimationFrame(() => requestAnimationFrame(() => rows.at(-1)?.field.input.focus()));
  });
  let rows: { readonly field: Field; readonly row: HTMLElement }[] = [];
  const makeRow = (place: number) => {
    const label = `Token ${place + 1}`;
    const field = createField(`tokens.${place}`, { label, placeholder: 'such as “ Paris”' }, (text) =>
      intents.apply(writeToken(place, text)),
    );
    const remove = iconButton('trash', `Remove token ${place + 1}`, () => intents.apply(removeToken(place)));
    return { field, row: make('li', {}, field.element, remove) };
  };
  return {
    element: make('div', { class: 'token-lines' }, list, add),
    update({ draft, check }) {
      if (rows.length !== draft.tokens.length) {
        rows = draft.tokens.map((_, place) => rows[place] ?? makeRow(place));
        fill(list, ...rows.map(({ row }) => row));
      }
      draft.tokens.forEach((text, place) => {
        const { field } = rows[place];
        field.set(text);
        const isOwn = check !== null && check.number > 0;
        field.say((isOwn && check.errors[`tokens.${place}`]) || null, (isOwn && check.pieces[`tokens.${place}`]) || []);
      });
    },
  };
}
