import type { Scene } from '../drawing/scene.ts';
import { edgesOf } from '../graphIndex.ts';
import { nameForGroup } from '../groupName.ts';
import { toggleStage } from '../inspector.ts';
import type { ViewState } from '../store.ts';
import { freezeHover, group, hover, select, setCamera, stepBack, toggleMark, togglePin } from '../updates.ts';
import { zoomed } from './graphPointer.ts';
import type { Changes } from './view.ts';

/**
 * Keys on the graph. Arrows move to the next node in that direction, I and O along the strongest input and output,
 * Enter selects, P pins, M marks, G groups the marked, F freezes the hovered, + − 0 zoom and fit, Escape steps back.
 */
export function connectKeyboard(element: HTMLElement, intents: Changes, currentScene: () => Scene | null): void {
  element.addEventListener('keydown', (event) => {
    const scene = currentScene();
    if (!scene || event.altKey || event.ctrlKey || event.metaKey) return;
    const act = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!act) return;
    event.preventDefault();
    act(intents, scene);
  });
}

const keys: Readonly<Record<string, (intents: Changes, scene: Scene) => void>> = {
  l: (intents) => intents.apply(toggleStage),
  ArrowLeft: (intents, scene) => move(intents, scene, (from) => beside(scene, from, -1)),
  ArrowRight: (intents, scene) => move(intents, scene, (from) => beside(scene, from, 1)),
  ArrowUp: (intents, scene) => move(intents, scene, (from) => above(scene, from, -1)),
  ArrowDown: (intents, scene) => move(intents, scene, (from) => above(scene, from, 1)),
  i: (intents, scene) => move(intents, scene, (from) => strongest(scene, from, 'inputs')),
  o: (intents, scene) => move(intents, scene, (from) => strongest(scene, from, 'outputs')),
  Enter: (intents) => withCurrent(intents, (node) => intents.apply(select(node))),
  ' ': (intents) => withCurrent(intents, (node) => intents.apply(select(node))),
  p: (intents) => withCurrent(intents, (node) => intents.apply(togglePin([node]))),
  m: (intents) => withCurrent(intents, (node) => intents.apply(toggleMark(node))),
  g: (intents) =>
    intents.apply((state) => (state.marked.length > 1 ? group(state.marked, nameForGroup(state))(state) : state)),
  f: (intents) => intents.apply((state) => freezeHover(!state.isHoverFrozen)(state)),
  '+': (intents, scene) => zoom(intents, scene, 1.25),
  '=': (intents, scene) => zoom(intents, scene, 1.25),
  '-': (intents, scene) => zoom(intents, scene, 0.8),
  '0': (intents) => intents.apply(setCamera(null)),
  Escape: (intents) => intents.apply(stepBack),
};

function current(state: ViewState): number | null {
  return state.hovered ?? state.selected;
}

function withCurrent(intents: Changes, act: (node: number) => void): void {
  let node: number | null = null;
  intents.apply((state) => {
    node = current(state);
    return state;
  });
  if (node !== null) act(node);
}

function move(intents: Changes, scene: Scene, next: (from: number) => number | null): void {
  intents.apply((state) => {
    const from = current(state);
    // The first key lands on the explained output, which is where a reader starts.
    const first = scene.index.graph.nodes.findIndex((node) => node.kind === 'logit' && node.isTarget);
    const node = from === null ? Math.max(first, 0) : (next(from) ?? from);
    return hover(node)({ ...state, isHoverFrozen: false });
  });
}

function zoom(intents: Changes, scene: Scene, factor: number): void {
  intents.apply(setCamera(zoomed(scene, factor, { x: scene.size.width / 2, y: scene.size.height / 2 })));
}

function beside({ grid, visible }: Scene, from: number, direction: 1 | -1): number | null {
  let best: number | null = null;
  for (const node of visible.nodes) {
    if (grid.y[node] !== grid.y[from]) continue;
    const distance = (grid.x[node] - grid.x[from]) * direction;
    if (distance > 0 && (best === null || distance < (grid.x[best] - grid.x[from]) * direction)) best = node;
  }
  return best;
}

/** The node nearest to the same column in the next row that has one. */
function above({ grid, visible }: Scene, from: number, direction: 1 | -1): number | null {
  let best: number | null = null;
  for (const node of visible.nodes) {
    const rise = (grid.y[node] - grid.y[from]) * direction;
    if (rise <= 0) continue;
    if (best === null) best = node;
    const bestRise = (grid.y[best] - grid.y[from]) * direction;
    const isNearer = Math.abs(grid.x[node] - grid.x[from]) < Math.abs(grid.x[best] - grid.x[from]);
    if (rise < bestRise || (rise === bestRise && isNearer)) best = node;
  }
  return best;
}

function strongest({ index, visible }: Scene, from: number, side: 'inputs' | 'outputs'): number | null {
  const { source, target } = index.graph.edges;
  for (const edge of edgesOf(index, side, from)) {
    const other = side === 'inputs' ? source[edge] : target[edge];
    if (visible.isVisible[other] === 1) return other;
  }
  return null;
}
