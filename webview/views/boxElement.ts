import { groupClaim } from '../claims.ts';
import { iconButton } from '../controls.ts';
import type { Derived } from '../derive.ts';
import { make } from '../dom.ts';
import type { ViewState } from '../store.ts';
import type { Box } from '../subgraph.ts';
import { addEdit, hover, mark, placeBox, renameSupernode, select, togglePin, ungroup } from '../updates.ts';
import { boxName, boxShape, boxShare, describeBox } from './boxWords.ts';
import { glyphIcon } from './icons.ts';
import { verdictBadge } from './verdict.ts';
import type { Intents } from './view.ts';

type BoxProperties = {
  readonly state: ViewState;
  readonly derived: Derived;
  readonly box: Box;
  readonly corner: { readonly x: number; readonly y: number };
  readonly width: number;
  /** Screen pixels per unit of the field. */
  readonly zoom: number;
  /** How far the box can move before it leaves the field. */
  readonly room: { readonly width: number; readonly height: number };
  readonly intents: Intents;
  readonly placeKey: string;
};

const dragSlack = 4;

/** One box: click selects, Ctrl/Cmd- or Shift-click marks, drag moves, F2 renames a supernode, Delete unpins. */
export function createBoxElement(properties: BoxProperties): HTMLElement {
  const { state, derived, box, corner, width, intents } = properties;
  const color = derived.groupColor[box.members[0]];
  const isSelected = state.selected !== null && box.members.includes(state.selected);
  const isMarked = box.members.every((node) => state.marked.includes(node));
  const name = make('span', { class: 'box-name', text: boxName(box, derived.nameOf, state.view) });
  const rename = () => {
    if (box.supernode !== null) editName(name, (label) => intents.apply(renameSupernode(box.supernode ?? 0, label)));
  };
  const unpin = () => intents.apply(box.supernode === null ? togglePin(box.members) : ungroup(box.supernode));
  const canSteer =
    state.trace?.hasModel === true && box.members.some((node) => derived.index.graph.nodes[node].kind === 'feature');
  const steer = () => intents.apply(addEdit(boxName(box, derived.nameOf, state.view), box.members));
  const actions = make(
    'span',
    { class: 'box-actions' },
    ...(box.supernode === null ? [] : [iconButton('edit', 'Rename (F2)', rename)]),
    ...(canSteer ? [iconButton('dial', 'Change these features and run again', steer)] : []),
    iconButton('close', box.supernode === null ? 'Unpin (Delete)' : 'Ungroup (Delete)', unpin),
  );
  const count = box.members.length > 1 ? `×${box.members.length} · ` : '';
  const element = make(
    'div',
    {
      class: `box${box.supernode === null ? '' : ' supernode'}${isSelected ? ' selected' : ''}${isMarked ? ' marked' : ''}`,
      title: describeBox(derived, box, state.view),
      attributes: {
        role: 'button',
        tabindex: 0,
        'data-box': box.id,
        'aria-pressed': String(isSelected),
        'aria-description': describeBox(derived, box, state.view),
        'data-color': color >= 0 ? (color % 6) + 1 : null,
      },
    },
    glyphIcon(boxShape(box), derived.index.graph.nodes[box.members[0]].kind.replace(' ', '-')),
    make(
      'span',
      { class: 'box-text' },
      name,
      make(
        'span',
        { class: 'muted box-share' },
        `${count}${boxShare(derived, box)}`,
        verdictBadge(state, groupClaim(derived.index, box.members)),
      ),
    ),
    actions,
  );
  element.style.transform = `translate(${corner.x}px, ${corner.y}px)`;
  element.style.width = `${width}px`;
  const toggleMark = () =>
    intents.apply((now) =>
      mark(isMarked ? now.marked.filter((node) => !box.members.includes(node)) : [...now.marked, ...box.members])(now),
    );
  element.addEventListener('dblclick', rename);
  element.addEventListener('pointerenter', () => intents.apply(hover(box.members[0])));
  element.addEventListener('pointerleave', () => intents.apply(hover(null)));
  element.addEventListener('keydown', (event) => {
    if (event.target !== element) return;
    const act = {
      Enter: () => intents.apply(select(box.members[0])),
      ' ': toggleMark,
      F2: rename,
      Delete: unpin,
    }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
  connectDrag(element, properties, (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) toggleMark();
    else intents.apply(select(box.members[0]));
  });
  return element;
}

function connectDrag(element: HTMLElement, properties: BoxProperties, onClick: (event: PointerEvent) => void): void {
  const { corner, room, zoom, intents, placeKey } = properties;
  let from: { x: number; y: number } | null = null;
  let place: { x: number; y: number } | null = null;
  element.addEventListener('pointerdown', (event) => {
    if (event.button !== 0 || (event.target as Element).closest('.icon-button, input')) return;
    from = { x: event.clientX, y: event.clientY };
    place = null;
    element.setPointerCapture(event.pointerId);
  });
  element.addEventListener('pointermove', (event) => {
    if (!from) return;
    const dx = (event.clientX - from.x) / zoom;
    const dy = (event.clientY - from.y) / zoom;
    if (!place && Math.hypot(dx, dy) < dragSlack) return;
    place = {
      x: Math.min(Math.max(0, corner.x + dx), Math.max(0, room.width)),
      y: Math.min(Math.max(0, corner.y + dy), Math.max(0, room.height)),
    };
    element.style.transform = `translate(${place.x}px, ${place.y}px)`;
  });
  element.addEventListener('pointerup', (event) => {
    if (!from) return;
    from = null;
    if (!place) return onClick(event);
    const thousandths = (value: number, whole: number) => Math.round((1000 * value) / Math.max(1, whole));
    intents.apply(placeBox(placeKey, [thousandths(place.x, room.width), thousandths(place.y, room.height)]));
  });
}

/** Puts a field in place of the name; Enter and leaving keep it, Escape does not. */
function editName(name: HTMLElement, onKeep: (label: string) => void): void {
  const before = name.textContent ?? '';
  const input = make('input', {
    class: 'box-rename',
    attributes: { type: 'text', value: before, 'aria-label': 'Name of the group' },
  });
  let isKept = true;
  input.addEventListener('keydown', (event) => {
    event.stopPropagation();
    if (event.key === 'Escape') isKept = false;
    if (event.key === 'Enter' || event.key === 'Escape') input.blur();
  });
  input.addEventListener('blur', () => {
    const label = input.value.trim();
    name.textContent = before;
    if (isKept && label !== '' && label !== before) onKeep(label);
  });
  name.replaceChildren(input);
  input.focus();
  input.select();
}
