import type { Derived } from '../derive.ts';
import { make } from '../dom.ts';
import type { Palette } from '../drawing/palette.ts';
import { fittedCamera, gutter } from '../drawing/scene.ts';
import type { Camera, ViewState } from '../store.ts';
import { setCamera } from '../updates.ts';
import type { Changes, View } from './view.ts';
import { changeOf } from './view.ts';

const width = 190;
const mostHeight = 64;

/** The whole graph small, with a frame around what is on screen; only where not all of it is. Drag to go there. */
export function createMinimap(intents: Changes, startPalette: Palette): View & { setPalette(palette: Palette): void } {
  const canvas = make('canvas', { attributes: { 'aria-hidden': 'true' } });
  const frame = make('div', { class: 'minimap-frame' });
  const element = make('div', { class: 'minimap', title: 'The whole graph: drag to move' }, canvas, frame);
  let palette = startPalette;
  let isDragging = false;
  let latest: { state: ViewState; derived: Derived } | null = null;
  const isNewPicture = changeOf();
  const isNewFrame = changeOf();

  const goTo = (event: PointerEvent) => {
    if (!latest) return;
    const { state, derived } = latest;
    const camera = cameraOf(state, derived);
    const corner = element.getBoundingClientRect();
    const scale = scaleOf(derived);
    const shown = shownPart(state, camera);
    intents.apply(
      setCamera({
        ...camera,
        x: (event.clientX - corner.x) / scale.x - shown.width / 2,
        y: (event.clientY - corner.y) / scale.y - shown.height / 2,
      }),
    );
  };
  element.addEventListener('pointerdown', (event) => {
    isDragging = true;
    element.setPointerCapture(event.pointerId);
    goTo(event);
  });
  element.addEventListener('pointermove', (event) => {
    if (isDragging) goTo(event);
  });
  element.addEventListener('pointerup', () => {
    isDragging = false;
  });

  return {
    element,
    setPalette: (next) => {
      palette = next;
    },
    update(state, derived) {
      if (!derived || state.area.width === 0) {
        element.hidden = true;
        return;
      }
      latest = { state, derived };
      const { grid, visible, groupColor } = derived;
      const camera = cameraOf(state, derived);
      if (!isNewFrame(grid, camera, palette, groupColor)) return;
      const shown = shownPart(state, camera);
      element.hidden = shown.width >= grid.width * 0.98 && shown.height >= grid.height * 0.98;
      if (element.hidden) return;
      const scale = scaleOf(derived);
      if (isNewPicture(visible, grid, palette, groupColor)) drawNodes(canvas, derived, palette, scale);
      frame.style.left = `${Math.max(0, camera.x * scale.x)}px`;
      frame.style.top = `${Math.max(0, camera.y * scale.y)}px`;
      frame.style.width = `${Math.min(width, shown.width * scale.x)}px`;
      frame.style.height = `${Math.min(grid.height, shown.height) * scale.y}px`;
    },
  };
}

function cameraOf(state: ViewState, { grid }: Derived): Camera {
  return state.camera ?? fittedCamera(grid, state.area);
}

function shownPart({ area }: ViewState, { scaleX, scaleY }: Camera): { width: number; height: number } {
  return { width: (area.width - gutter) / scaleX, height: area.height / scaleY };
}

function scaleOf({ grid }: Derived): { x: number; y: number } {
  return { x: width / grid.width, y: Math.min(mostHeight, (width / grid.width) * grid.height * 4) / grid.height };
}

function drawNodes(
  canvas: HTMLCanvasElement,
  { grid, visible, groupColor, index }: Derived,
  palette: Palette,
  scale: { x: number; y: number },
): void {
  const ratio = window.devicePixelRatio || 1;
  const height = grid.height * scale.y;
  canvas.width = width * ratio;
  canvas.height = Math.max(1, height * ratio);
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const context = canvas.getContext('2d')!;
  context.scale(ratio, ratio);
  for (const node of visible.nodes) {
    const color = groupColor[node];
    const isInner = index.graph.nodes[node].kind === 'feature';
    context.fillStyle =
      color >= 0 ? palette.groups[color % palette.groups.length] : isInner ? palette.node : palette.muted;
    context.globalAlpha = color >= 0 ? 1 : 0.6;
    context.fillRect(grid.x[node] * scale.x - 0.75, grid.y[node] * scale.y - 0.75, 1.5, 1.5);
  }
}
