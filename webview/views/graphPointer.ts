import type { Scene } from '../drawing/scene.ts';
import { gutter, screenX, screenY } from '../drawing/scene.ts';
import type { SpatialIndex } from '../layout/spatialIndex.ts';
import { spatialIndex } from '../layout/spatialIndex.ts';
import { cell } from '../memo.ts';
import type { Camera } from '../store.ts';
import { freezeHover, hover, mark, select, setCamera, toggleMark, togglePin } from '../updates.ts';
import type { Changes } from './view.ts';

const reach = 22;
const clickSlack = 4;

type Drag = { readonly x: number; readonly y: number; readonly camera: Camera; readonly isLasso: boolean };

/**
 * Mouse, pen and touch on the graph: hover finds the nearest node, click selects, Ctrl/Cmd-click pins, Shift-click marks,
 * drag pans, Shift-drag marks all nodes in a rectangle, the wheel zooms at the pointer (with Shift it pans sideways).
 */
export function connectPointer(
  element: HTMLElement,
  lasso: HTMLElement,
  intents: Changes,
  currentScene: () => Scene | null,
): void {
  let drag: Drag | null = null;
  let hasMoved = false;
  const points = cell<SpatialIndex>();

  const at = (event: MouseEvent) => {
    const corner = element.getBoundingClientRect();
    return { x: event.clientX - corner.x, y: event.clientY - corner.y };
  };
  const nodeAt = (event: MouseEvent): number | null => {
    const scene = currentScene();
    if (!scene) return null;
    const { grid, visible, camera } = scene;
    const found = points([grid, visible], () => spatialIndex(visible.nodes, grid.x, grid.y));
    const { x, y } = at(event);
    const gridX = (x - gutter) / camera.scaleX + camera.x;
    const gridY = y / camera.scaleY + camera.y;
    return found.nearest(gridX, gridY, reach, camera.scaleX, camera.scaleY);
  };

  element.addEventListener('pointerdown', (event) => {
    const scene = currentScene();
    if (!scene || event.button > 1) return;
    drag = { ...at(event), camera: scene.camera, isLasso: event.shiftKey };
    hasMoved = false;
    element.setPointerCapture(event.pointerId);
  });
  element.addEventListener('pointermove', (event) => {
    const scene = currentScene();
    if (!scene) return;
    if (!drag) {
      intents.apply(hover(nodeAt(event)));
      return;
    }
    const { x, y } = at(event);
    if (!hasMoved && Math.hypot(x - drag.x, y - drag.y) < clickSlack) return;
    hasMoved = true;
    if (drag.isLasso) {
      showLasso(lasso, drag, { x, y });
      return;
    }
    element.classList.add('panning');
    const { camera } = drag;
    const moved = { ...camera, x: camera.x - (x - drag.x) / camera.scaleX, y: camera.y - (y - drag.y) / camera.scaleY };
    intents.apply(setCamera(clampCamera(moved, scene)));
  });
  element.addEventListener('pointerup', (event) => {
    const scene = currentScene();
    const started = drag;
    drag = null;
    element.classList.remove('panning');
    lasso.hidden = true;
    if (!scene || !started) return;
    if (!hasMoved) {
      click(nodeAt(event), event, intents);
      return;
    }
    if (started.isLasso) intents.apply(mark(nodesWithin(scene, started, at(event))));
  });
  element.addEventListener('pointercancel', () => {
    drag = null;
    lasso.hidden = true;
    element.classList.remove('panning');
  });
  element.addEventListener('pointerleave', () => {
    if (!drag) intents.apply(hover(null));
  });
  element.addEventListener('contextmenu', (event) => {
    event.preventDefault();
    intents.apply(freezeHover(true));
  });
  element.addEventListener(
    'wheel',
    (event) => {
      const scene = currentScene();
      if (!scene) return;
      event.preventDefault();
      const isPan = event.shiftKey || (Math.abs(event.deltaX) > Math.abs(event.deltaY) && !event.ctrlKey);
      const { camera } = scene;
      if (isPan) {
        const x = camera.x + (event.deltaX || event.deltaY) / camera.scaleX;
        intents.apply(setCamera(clampCamera({ ...camera, x }, scene)));
      } else intents.apply(setCamera(zoomed(scene, Math.exp(-event.deltaY * 0.0016), at(event))));
    },
    { passive: false },
  );
}

/** The camera after zooming by a factor around a point on screen. */
export function zoomed(scene: Scene, factor: number, point: { x: number; y: number }): Camera {
  const { camera } = scene;
  const scaleX = Math.min(12, Math.max(0.05, camera.scaleX * factor));
  const scaleY = Math.min(12, Math.max(0.05, camera.scaleY * factor));
  const gridX = (point.x - gutter) / camera.scaleX + camera.x;
  const gridY = point.y / camera.scaleY + camera.y;
  const next = { x: gridX - (point.x - gutter) / scaleX, y: gridY - point.y / scaleY, scaleX, scaleY };
  return clampCamera(next, scene);
}

/** Keeps some of the grid on screen. */
function clampCamera(camera: Camera, { grid, size }: Pick<Scene, 'grid' | 'size'>): Camera {
  const width = (size.width - gutter) / camera.scaleX;
  const height = size.height / camera.scaleY;
  const x = Math.min(Math.max(camera.x, -width * 0.6), grid.width - width * 0.4);
  const y = Math.min(Math.max(camera.y, -height * 0.6), grid.height - height * 0.4);
  return { ...camera, x, y };
}

function click(node: number | null, event: PointerEvent, intents: Changes): void {
  if (node === null) intents.apply(select(null));
  else if (event.ctrlKey || event.metaKey) intents.apply(togglePin([node]));
  else if (event.shiftKey) intents.apply(toggleMark(node));
  else intents.apply(select(node));
}

function showLasso(lasso: HTMLElement, from: { x: number; y: number }, to: { x: number; y: number }): void {
  lasso.hidden = false;
  lasso.style.left = `${Math.min(from.x, to.x)}px`;
  lasso.style.top = `${Math.min(from.y, to.y)}px`;
  lasso.style.width = `${Math.abs(from.x - to.x)}px`;
  lasso.style.height = `${Math.abs(from.y - to.y)}px`;
}

function nodesWithin(scene: Scene, from: { x: number; y: number }, to: { x: number; y: number }): number[] {
  const [left, right] = [Math.min(from.x, to.x), Math.max(from.x, to.x)];
  const [top, bottom] = [Math.min(from.y, to.y), Math.max(from.y, to.y)];
  return Array.from(scene.visible.nodes).filter((node) => {
    const x = screenX(scene, scene.grid.x[node]);
    const y = screenY(scene, scene.grid.y[node]);
    const { kind } = scene.index.graph.nodes[node];
    return kind === 'feature' && x >= left && x <= right && y >= top && y <= bottom;
  });
}
