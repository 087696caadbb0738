import type { Derived } from '../derive.ts';
import { fill, make } from '../dom.ts';
import { fittedCamera, gutter } from '../drawing/scene.ts';
import { togglePosition } from '../filters.ts';
import { setFilters } from '../updates.ts';
import { showToken } from '../words.ts';
import type { Changes, View } from './view.ts';
import { changeOf } from './view.ts';

const letterWidth = 6.7;

/**
 * The prompt's tokens below their columns; a click shows only that column.
 * @param isGap positions that stand for no token of this prompt, in a picture that is aligned with another
 */
export function createTokenAxis(intents: Changes, isGap: (position: number) => boolean = () => false): View {
  const element = make('div', { class: 'token-axis', attributes: { 'aria-hidden': 'true' } });
  const isNew = changeOf();
  return {
    element,
    update(state, derived) {
      if (!derived || state.area.width === 0) return;
      const { camera, area, filters } = state;
      const position = derived.focus === null ? null : derived.index.graph.nodes[derived.focus].pos;
      if (!isNew(derived.grid, camera, area, filters.positions, position)) return;
      const columns = columnsOnScreen(derived, camera ?? fittedCamera(derived.grid, area), area.width);
      const isSlanted = isCrowded(columns);
      element.classList.toggle('slanted', isSlanted);
      const tokens = columns.filter((column) => !isGap(column.position));
      fill(element, ...tokens.map((column) => label(column, isSlanted, position, intents)));
    },
  };
}

type Column = { readonly position: number; readonly token: string; readonly left: number; readonly right: number };

/** Only the columns on screen: prompts may have thousands. */
function columnsOnScreen({ grid, index }: Derived, camera: { x: number; scaleX: number }, width: number): Column[] {
  const all = index.graph.metadata.promptTokens.map((token, position): Column => {
    const left = gutter + (grid.columns[position] - camera.x) * camera.scaleX;
    const right = gutter + (grid.columns[position + 1] - camera.x) * camera.scaleX;
    return { position, token: showToken(token), left: Math.max(left, gutter), right };
  });
  return all.filter(({ left, right }) => right > gutter && left < width && right - left >= 6);
}

/** True when more than a few words would be cut off in their columns. */
function isCrowded(columns: readonly Column[]): boolean {
  const cut = columns.filter(({ token, left, right }) => token.length * letterWidth > right - left);
  return cut.length > columns.length * 0.2;
}

function label(
  { position, token, left, right }: Column,
  isSlanted: boolean,
  focused: number | null,
  intents: Changes,
): HTMLElement {
  const made = make('span', {
    class: `axis-token${position === focused ? ' focused' : ''}`,
    text: token,
    title: `${token} · position ${position}`,
    on: { click: () => intents.apply(setFilters((filters) => togglePosition(filters, position))) },
  });
  made.style.left = `${isSlanted ? (left + right) / 2 + 4 : left}px`;
  if (!isSlanted) made.style.width = `${right - left}px`;
  return made;
}
