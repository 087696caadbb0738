import type { Derived } from '../derive.ts';
import { fill, make } from '../dom.ts';
import { fittedCamera, gutter } from '../drawing/scene.ts';
import { togglePosition } from '../filters.ts';
import { setFilters } from '../updates.ts';
import { showToken } from '../words.ts';
import type { Intents, View } from './view.ts';
import { changeOf } from './view.ts';

/** The prompt's tokens below their columns; a click shows only that column. */
export function createTokenAxis(intents: Intents): View {
  const element = make('div', { class: 'token-axis', attributes: { 'aria-hidden': 'true' } });
  const isNew = changeOf();
  return {
    element,
    update(state, derived) {
      if (!derived || state.area.width === 0) return;
      const { camera, area, filters } = state;
      const position = derived.focus === null ? null : derived.index.graph.nodes[derived.focus].pos;
      if (!isNew(derived.grid, camera, area, filters.positions, position)) return;
      fill(element, ...labels(derived, camera ?? fittedCamera(derived.grid, area), area.width, position, intents));
    },
  };
}

/** Only the columns on screen: prompts may have thousands. */
function labels(
  { grid, index }: Derived,
  camera: { x: number; scaleX: number },
  width: number,
  focused: number | null,
  intents: Intents,
): HTMLElement[] {
  const made: HTMLElement[] = [];
  index.graph.metadata.promptTokens.forEach((token, position) => {
    const left = gutter + (grid.columns[position] - camera.x) * camera.scaleX;
    const right = gutter + (grid.columns[position + 1] - camera.x) * camera.scaleX;
    if (right < gutter || left > width || right - left < 6) return;
    const label = make('span', {
      class: `axis-token${position === focused ? ' focused' : ''}`,
      text: showToken(token),
      title: `${showToken(token)} · position ${position}`,
      on: { click: () => intents.apply(setFilters((filters) => togglePosition(filters, position))) },
    });
    label.style.left = `${Math.max(left, gutter)}px`;
    label.style.width = `${right - Math.max(left, gutter)}px`;
    made.push(label);
  });
  return made;
}
