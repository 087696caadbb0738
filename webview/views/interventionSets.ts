import {
  type Interventions,
  keepSet,
  nameOfEdits,
  removeSet,
  renameSet,
  useSet,
} from '../../src/graph/interventions.ts';
import { dropdown, iconButton, textField } from '../controls.ts';
import { fill, make } from '../dom.ts';
import { changeInterventions } from '../steeringState.ts';
import { setSteering } from '../updates.ts';
import type { Changes } from './view.ts';
import { changeOf } from './view.ts';

/** No set can have this name: names are not empty. */
const noSet = '';

/** Sets of edits under names: one is put on the table, kept, given another name, or deleted. They are saved with the trace. */
export function createInterventionSets(intents: Changes): {
  readonly element: HTMLElement;
  update(interventions: Interventions): void;
} {
  let current: Interventions | null = null;
  let naming: 'keep' | 'rename' | null = null;
  let lastUsed: string | null = null;
  const change = (part: (now: Interventions) => Interventions) =>
    intents.apply(setSteering((steering) => changeInterventions(steering, part)));
  const list = make('span', { class: 'set-list' });
  const keep = iconButton('keep', 'Keep these edits under a name', () => ask('keep'));
  const rename = iconButton('edit', 'Rename this set of edits', () => ask('rename'));
  const remove = iconButton('trash', 'Delete this set of edits', () => {
    const name = nameNow();
    if (name !== null) change((now) => removeSet(now, name));
  });
  let typed = '';
  const field = textField('Name of the set of edits', { placeholder: 'Name' }, (value) => {
    typed = value;
  });
  const accept = () => {
    const name = typed.trim();
    const [purpose, old] = [naming, nameNow()];
    close();
    if (name === '' || purpose === null) return;
    lastUsed = name;
    change((now) => (purpose === 'rename' && old !== null ? renameSet(now, old, name) : keepSet(now, name)));
  };
  const close = () => {
    naming = null;
    show();
  };
  const form = make(
    'span',
    { class: 'set-name' },
    field.element,
    iconButton('check', 'Keep under this name', accept),
    iconButton('close', 'Do not keep', close),
  );
  form.addEventListener('keydown', (event) => {
    if (event.key !== 'Enter' && event.key !== 'Escape') return;
    event.stopPropagation();
    if (event.key === 'Enter') accept();
    else close();
    keep.focus();
  });
  const element = make(
    'div',
    { class: 'sets', attributes: { role: 'group', 'aria-label': 'Sets of edits' } },
    list,
    keep,
    rename,
    remove,
    form,
  );
  const isNewList = changeOf();
  let chooser: ReturnType<typeof dropdown<string>> | null = null;

  function nameNow(): string | null {
    if (current === null) return null;
    const same = nameOfEdits(current);
    if (same !== null) lastUsed = same;
    // A set that was changed after it was put on the table is still the one that is renamed or kept again.
    return same ?? (current.sets.some(({ name }) => name === lastUsed) ? lastUsed : null);
  }

  function ask(purpose: 'keep' | 'rename'): void {
    naming = purpose;
    typed = nameNow() ?? `Set ${(current?.sets.length ?? 0) + 1}`;
    field.set(typed);
    show();
    field.focus();
  }

  function show(): void {
    if (current === null) return;
    const { sets, edits } = current;
    const name = nameNow();
    const isAsKept = nameOfEdits(current) !== null;
    if (isNewList(sets.map((set) => set.name).join('\n'), name, isAsKept)) {
      const first = name === null ? 'Edits without a name' : `${name} (changed)`;
      const options = [
        ...(isAsKept ? [] : [{ value: noSet, text: first }]),
        ...sets.map((set) => ({ value: set.name, text: set.name })),
      ];
      chooser = dropdown<string>('Set of edits', options, (value) => {
        if (value === noSet) return;
        lastUsed = value;
        change((now) => useSet(now, value));
      });
      fill(list, chooser.element);
    }
    chooser?.set(isAsKept ? (name ?? noSet) : noSet);
    element.hidden = edits.length === 0 && sets.length === 0;
    list.hidden = sets.length === 0 || naming !== null;
    keep.hidden = edits.length === 0 || isAsKept || naming !== null;
    rename.hidden = remove.hidden = name === null || naming !== null;
    form.hidden = naming === null;
  }

  return {
    element,
    update(interventions) {
      if (interventions === current) return;
      current = interventions;
      show();
    },
  };
}
