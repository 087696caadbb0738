import {
  provideVSCodeDesignSystem,
  vsCodeButton,
  vsCodeCheckbox,
  vsCodeDropdown,
  vsCodeOption,
  vsCodeProgressRing,
  vsCodeTextField,
} from '@vscode/webview-ui-toolkit';
import { applyTo, fill, make } from './dom.ts';
import type { IconName } from './views/icons.ts';
import { icon } from './views/icons.ts';

/** Registers the toolkit's elements; once, before any view is made. */
export function registerControls(): void {
  provideVSCodeDesignSystem().register(
    vsCodeButton(),
    vsCodeCheckbox(),
    vsCodeDropdown(),
    vsCodeOption(),
    vsCodeProgressRing(),
    vsCodeTextField(),
  );
}

type ToolkitElement = HTMLElement & { value: string; checked: boolean; disabled: boolean };

function toolkit(tag: string): ToolkitElement {
  return document.createElement(tag) as ToolkitElement;
}

/** A button with words. */
export function button(
  label: string,
  onClick: () => void,
  options: { appearance?: 'primary' | 'secondary'; title?: string; icon?: IconName } = {},
): HTMLElement & { disabled: boolean } {
  const made = toolkit('vscode-button');
  applyTo(made, {
    title: options.title ?? '',
    attributes: { appearance: options.appearance ?? 'secondary' },
    on: { click: onClick },
  });
  if (options.icon) {
    const picture = icon(options.icon);
    picture.setAttribute('slot', 'start');
    made.append(picture);
  }
  made.append(label);
  return made;
}

/** A small button that is a picture; its words are its name and tooltip. */
export function iconButton(name: IconName, label: string, onClick: (event: Event) => void): HTMLButtonElement {
  return make(
    'button',
    { class: 'icon-button', title: label, attributes: { type: 'button', 'aria-label': label }, on: { click: onClick } },
    icon(name),
  );
}

export type Checkbox = { readonly element: HTMLElement; set(isChecked: boolean): void };

/** A box to tick. A label that is hidden is still read to who cannot see the box. */
export function checkbox(
  label: string,
  onChange: (isChecked: boolean) => void,
  { isLabelHidden = false } = {},
): Checkbox {
  const made = toolkit('vscode-checkbox');
  // Even an empty text would take room beside the box.
  if (isLabelHidden) made.setAttribute('aria-label', label);
  else made.append(label);
  let isSetting = false;
  made.addEventListener('change', () => {
    if (!isSetting) onChange(made.checked);
  });
  return {
    element: made,
    set(isChecked) {
      isSetting = true;
      made.checked = isChecked;
      isSetting = false;
    },
  };
}

export type TextField = { readonly element: HTMLElement; set(value: string): void; focus(): void };

/** A line of text that reports every keystroke. */
export function textField(
  label: string,
  options: { placeholder?: string; icon?: IconName },
  onInput: (value: string) => void,
): TextField {
  const made = toolkit('vscode-text-field');
  applyTo(made, { attributes: { placeholder: options.placeholder ?? '', 'aria-label': label } });
  if (options.icon) {
    const picture = icon(options.icon);
    picture.setAttribute('slot', 'start');
    made.append(picture);
  }
  made.addEventListener('input', () => onInput(made.value));
  return {
    element: made,
    set(value) {
      if (made.value !== value) made.value = value;
    },
    focus: () => made.focus(),
  };
}

export type NumberField = { readonly element: HTMLElement; set(value: number): void };

/** A whole number that is typed or stepped; reports those within its range. */
export function numberField(
  label: string,
  { min, max }: { min: number; max: number },
  onChange: (value: number) => void,
): NumberField {
  const input = make('input', {
    class: 'number-field',
    attributes: { type: 'number', min, max, step: 1, 'aria-label': label },
    on: {
      change: () => {
        const value = Math.min(max, Math.max(min, Math.round(input.valueAsNumber)));
        if (Number.isFinite(value)) onChange(value);
      },
    },
  });
  return {
    element: input,
    set(value) {
      if (input.valueAsNumber !== value && document.activeElement !== input) input.valueAsNumber = value;
    },
  };
}

/** A ring that turns while something runs. */
export function progressRing(): HTMLElement {
  const made = toolkit('vscode-progress-ring');
  made.setAttribute('aria-label', 'Working');
  return made;
}

export type Slider = {
  readonly element: HTMLElement;
  set(value: number, shown: string): void;
  setDisabled(reason: string | null): void;
};

/** A labelled native range: the toolkit has none. */
export function slider(
  label: string,
  range: { min: number; max: number; step: number; title?: string },
  onInput: (value: number) => void,
): Slider {
  const shown = make('span', { class: 'slider-value' });
  const input = make('input', {
    attributes: { type: 'range', min: range.min, max: range.max, step: range.step, 'aria-label': label },
    on: { input: () => onInput(input.valueAsNumber) },
  });
  const element = make(
    'label',
    { class: 'slider', title: range.title ?? '' },
    make('span', { text: label }),
    input,
    shown,
  );
  return {
    element,
    set(value, text) {
      if (input.valueAsNumber !== value) input.valueAsNumber = value;
      const part = (input.valueAsNumber - range.min) / (range.max - range.min);
      input.style.setProperty('--part', `${part * 100}%`);
      input.setAttribute('aria-valuetext', text);
      shown.textContent = text;
    },
    setDisabled(reason) {
      input.disabled = reason !== null;
      element.title = reason ?? range.title ?? '';
    },
  };
}

export type Choice<Value extends string> = { readonly element: HTMLElement; set(value: Value): void };

/** One of a few, side by side; arrow keys move the choice as in any radio group. */
export function choice<Value extends string>(
  label: string,
  options: readonly { readonly value: Value; readonly text: string; readonly title?: string }[],
  onChange: (value: Value) => void,
): Choice<Value> {
  const buttons = options.map(({ value, text, title }) =>
    make('button', {
      class: 'segment',
      text,
      title: title ?? '',
      attributes: { type: 'button', role: 'radio', 'data-value': value },
      on: { click: () => onChange(value) },
    }),
  );
  const element = make(
    'div',
    { class: 'segments', attributes: { role: 'radiogroup', 'aria-label': label } },
    ...buttons,
  );
  element.addEventListener('keydown', (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const at = buttons.indexOf(document.activeElement as HTMLButtonElement);
    if (step === undefined || at < 0) return;
    event.preventDefault();
    const next = (at + step + buttons.length) % buttons.length;
    onChange(options[next].value);
    buttons[next].focus();
  });
  return {
    element,
    set(value) {
      buttons.forEach((segment, position) => {
        const isChosen = options[position].value === value;
        segment.setAttribute('aria-checked', String(isChosen));
        segment.tabIndex = isChosen ? 0 : -1;
      });
    },
  };
}

/** One of many, from a list that drops down. */
export function dropdown<Value extends string>(
  label: string,
  options: readonly { readonly value: Value; readonly text: string }[],
  onChange: (value: Value) => void,
): Choice<Value> {
  const made = toolkit('vscode-dropdown');
  made.setAttribute('aria-label', label);
  fill(
    made,
    ...options.map(({ value, text }) => {
      const option = toolkit('vscode-option');
      option.setAttribute('value', value);
      option.textContent = text;
      return option;
    }),
  );
  made.addEventListener('change', () => {
    const chosen = options.find(({ value }) => value === made.value);
    if (chosen) onChange(chosen.value);
  });
  return {
    element: made,
    set(value) {
      if (made.value !== value) made.value = value;
    },
  };
}

/** Shifts what has just been opened so far sideways that it lies within the page, in a narrow panel too. */
function keepInside(element: HTMLElement): void {
  const margin = 4;
  element.style.translate = '';
  const { left, right } = element.getBoundingClientRect();
  const over = Math.max(0, right - (document.documentElement.clientWidth - margin));
  const shift = Math.max(margin - left, -over);
  if (left < margin || over > 0) element.style.translate = `${Math.round(shift)}px 0`;
}

/** A button that opens a panel of controls under itself; Escape and a click elsewhere close it. */
export function popover(
  name: IconName,
  label: string,
  content: HTMLElement,
): { element: HTMLElement; trigger: HTMLButtonElement } {
  const trigger = iconButton(name, label, () => toggle(content.hidden === true));
  content.classList.add('popover');
  content.hidden = true;
  content.setAttribute('role', 'group');
  content.setAttribute('aria-label', label);
  trigger.setAttribute('aria-expanded', 'false');
  const element = make('div', { class: 'popover-anchor' }, trigger, content);
  const toggle = (isOpen: boolean) => {
    content.hidden = !isOpen;
    trigger.setAttribute('aria-expanded', String(isOpen));
    if (isOpen) keepInside(content);
  };
  element.addEventListener('keydown', (event) => {
    if (event.key !== 'Escape' || content.hidden) return;
    event.stopPropagation();
    toggle(false);
    trigger.focus();
  });
  document.addEventListener('pointerdown', (event) => {
    if (!event.composedPath().includes(element)) toggle(false);
  });
  return { element, trigger };
}
