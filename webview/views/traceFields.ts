import type { TraceField } from '../../src/protocol/traceDialog.ts';
import { fill, make, setAttribute } from '../dom.ts';
import { showToken } from '../words.ts';

/** A labelled line of text with room for what is said of it. */
export type Field = {
  readonly element: HTMLElement;
  readonly input: HTMLInputElement;
  set(value: string): void;
  /** @param error null: nothing is wrong */
  say(error: string | null, pieces: readonly { readonly id: number; readonly text: string }[]): void;
};

export type FieldOptions = {
  readonly label: string;
  readonly hint?: string;
  readonly placeholder?: string;
  readonly isNumber?: boolean;
};

/** Only letters, digits and dashes are safe in an element's id. */
function idOf(name: TraceField): string {
  return `trace-${name.replace('.', '-')}`;
}

export function createField(name: TraceField, options: FieldOptions, onInput: (value: string) => void): Field {
  const { label, hint = '', placeholder = '', isNumber = false } = options;
  const id = idOf(name);
  const input = make('input', {
    class: 'field-input',
    attributes: {
      id,
      type: 'text',
      inputmode: isNumber ? 'decimal' : 'text',
      autocomplete: 'off',
      spellcheck: 'false',
      placeholder,
      'aria-describedby': `${id}-said`,
    },
    on: { input: () => onInput(input.value) },
  });
  const said = make('span', { class: 'field-said', attributes: { id: `${id}-said` } });
  const element = make(
    'div',
    { class: `field${isNumber ? ' number' : ''}`, attributes: { 'data-field': name } },
    make('label', { text: label, title: hint, attributes: { for: id } }),
    input,
    said,
  );
  return {
    element,
    input,
    set(value) {
      if (input.value !== value) input.value = value;
    },
    say(error, pieces) {
      setAttribute(input, 'aria-invalid', error === null ? null : 'true');
      element.classList.toggle('wrong', error !== null);
      fill(
        said,
        ...pieces.map(({ id: token, text }) =>
          make('code', { class: 'piece', text: showToken(text), title: `Token ${token}` }),
        ),
        error === null ? null : make('span', { class: 'field-error', text: error }),
      );
      said.hidden = pieces.length === 0 && error === null;
    },
  };
}
