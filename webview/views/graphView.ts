import type { Activity } from '../activity.ts';
import type { Derived } from '../derive.ts';
import { make } from '../dom.ts';
import type { Palette } from '../drawing/palette.ts';
import type { Scene } from '../drawing/scene.ts';
import { fittedCamera, gutter, paintFocus, paintScene, radiusOf, screenX, screenY } from '../drawing/scene.ts';
import { canvasSurface } from '../drawing/surface.ts';
import type { Grid } from '../layout/grid.ts';
import { cell } from '../memo.ts';
import { changedNodes, editedNodes } from '../steeringState.ts';
import type { Camera, ViewState } from '../store.ts';
import { setArea, setCamera } from '../updates.ts';
import { plural } from '../words.ts';
import { connectKeyboard } from './graphKeyboard.ts';
import { graphLabels } from './graphLabels.ts';
import { connectPointer, zoomed } from './graphPointer.ts';
import type { Changes, View } from './view.ts';
import { changeOf } from './view.ts';

/** A picture that takes longer than this is moved as an image while a gesture lasts, and redrawn when it rests. */
const slowPicture = 9;
const restTime = 90;

export type GraphView = View & {
  /** The middle of a node on the page, for tests and for what opens beside it; null when it is not on screen. */
  placeOf(node: number): { x: number; y: number } | null;
  scene(): Scene | null;
  setPalette(palette: Palette): void;
  /** Zooms around the middle of what is on screen. */
  zoomBy(factor: number): void;
};

/** The token × layer graph: a canvas at rest, and one above it for what follows the pointer. */
export function createGraphView(intents: Changes, activity: Activity, startPalette: Palette): GraphView {
  const base = make('canvas', { class: 'layer', attributes: { 'aria-hidden': 'true' } });
  const overlay = make('canvas', { class: 'layer', attributes: { 'aria-hidden': 'true' } });
  const lasso = make('div', { class: 'lasso', attributes: { hidden: true } });
  const element = make(
    'div',
    { class: 'graph', attributes: { tabindex: 0, role: 'application', 'aria-roledescription': 'graph' } },
    base,
    overlay,
    lasso,
  );
  let palette = startPalette;
  let scene: Scene | null = null;
  let drawn: { camera: Camera; milliseconds: number } | null = null;
  let restTimer: { id: number; end: () => void } | null = null;
  const isNewPicture = changeOf();
  const isNewContent = changeOf();
  const isNewFocus = changeOf();
  const isNewSelection = changeOf();
  const dimmed = cell<Uint8Array | null>();
  const edits = cell<ReadonlySet<number>>();
  const changes = cell<ReadonlyMap<number, number>>();

  new ResizeObserver(() => {
    intents.apply(setArea({ width: element.clientWidth, height: element.clientHeight }));
  }).observe(element);
  connectPointer(element, lasso, intents, () => scene);
  connectKeyboard(element, intents, () => scene);

  const drawBase = () => {
    if (!scene) return;
    const begin = performance.now();
    base.style.transform = '';
    paintScene(canvasSurface(prepare(base, scene)), scene);
    drawn = { camera: scene.camera, milliseconds: performance.now() - begin };
  };
  const drawWhenAtRest = () => {
    if (restTimer) {
      clearTimeout(restTimer.id);
      restTimer.end();
    }
    const end = activity.begin();
    const id = setTimeout(() => {
      restTimer = null;
      drawBase();
      end();
    }, restTime);
    restTimer = { id: Number(id), end };
  };

  return {
    element,
    scene: () => scene,
    setPalette: (next) => {
      palette = next;
    },
    zoomBy(factor) {
      if (!scene) return;
      const middle = { x: scene.size.width / 2, y: scene.size.height / 2 };
      intents.apply(setCamera(zoomed(scene, factor, middle)));
    },
    placeOf(node) {
      if (!scene || scene.visible.isVisible[node] === 0) return null;
      const corner = element.getBoundingClientRect();
      return { x: corner.x + screenX(scene, scene.grid.x[node]), y: corner.y + screenY(scene, scene.grid.y[node]) };
    },
    update(state, derived) {
      if (!derived || state.area.width === 0) return;
      const { index, visible, grid, pinned, groupColor, selectedEdges, matches, nameOf, focus, focusEdges } = derived;
      const camera = state.camera ?? fittedCamera(grid, state.area);
      if (isNewSelection(state.selected, grid) && state.selected !== null) {
        reveal(intents, camera, grid, state.selected, state.area);
      }
      const back = dimmed([index, selectedEdges, state.selected, matches, state.marked, state.search], () =>
        dimmedNodes(state, derived),
      );
      const edited = edits([state.steering.interventions.edits, index], () => editedNodes(state.steering, index.graph));
      const changed = changes([state.steering.run.result, index], () => changedNodes(state.steering, index.graph));
      const content = [
        grid,
        visible,
        palette,
        groupColor,
        pinned,
        back,
        nameOf,
        state.area,
        state.showAllEdges,
        edited,
        changed,
      ];
      const isChangedContent = isNewContent(...content);
      if (isNewPicture(camera, ...content)) {
        const partial = {
          index,
          grid,
          visible,
          camera,
          size: state.area,
          palette,
          groupColor,
          pinned,
          edited,
          changed,
        };
        const isCrowded = state.selected !== null && !state.showAllEdges;
        const bare: Scene = {
          ...partial,
          dimmed: back,
          focusEdges: [],
          restEdges: isCrowded ? new Uint32Array() : visible.edges,
          labels: [],
        };
        scene = { ...bare, labels: graphLabels(bare, derived, state.selected) };
        if (!isChangedContent && drawn && drawn.milliseconds > slowPicture) {
          moveAsImage(base, drawn.camera, camera);
          drawWhenAtRest();
        } else drawBase();
        element.setAttribute(
          'aria-label',
          `Attribution graph: ${plural(visible.featureCount, 'feature')}, ${plural(visible.errorCount, 'error')} on screen. Arrow keys move between nodes, Enter selects, P pins.`,
        );
      }
      if (scene && isNewFocus(scene, focus, focusEdges, selectedEdges, state.selected, state.marked)) {
        drawOverlay(overlay, scene, state, derived);
      }
    },
  };
}

function drawOverlay(overlay: HTMLCanvasElement, scene: Scene, state: ViewState, derived: Derived): void {
  const surface = canvasSurface(prepare(overlay, scene));
  const { selected, hovered } = state;
  if (selected !== null && hovered !== null && hovered !== selected) {
    paintFocus(surface, { ...scene, focusEdges: [] }, selected);
  }
  paintFocus(surface, { ...scene, focusEdges: derived.focusEdges }, derived.focus);
  for (const node of state.marked) {
    const x = screenX(scene, scene.grid.x[node]);
    const y = screenY(scene, scene.grid.y[node]);
    if (Number.isNaN(x)) continue;
    const radius = radiusOf(scene.index, node, scene.camera) + 4;
    surface.glyph('circle', x, y, radius, null, { color: scene.palette.match, width: 2, isDashed: true });
  }
}

/** Moves the picture sideways when the selected node, chosen in a list or in the editor, lies outside of it. */
function reveal(intents: Changes, camera: Camera, grid: Grid, node: number, area: ViewState['area']): void {
  const width = (area.width - gutter) / camera.scaleX;
  const x = grid.x[node];
  if (Number.isNaN(x) || (x >= camera.x && x <= camera.x + width)) return;
  intents.apply(setCamera({ ...camera, x: Math.min(Math.max(0, x - width / 2), Math.max(0, grid.width - width)) }));
}

/** Nodes drawn back: all but the marked, the found, or the selected node's neighbours. */
function dimmedNodes(state: ViewState, derived: Derived): Uint8Array | null {
  const { index, selectedEdges, matches } = derived;
  const bright = new Set<number>();
  if (state.marked.length > 0) for (const node of state.marked) bright.add(node);
  else if (state.search.trim() !== '') for (const node of matches) bright.add(node);
  else if (state.selected !== null) {
    bright.add(state.selected);
    const { source, target } = index.graph.edges;
    for (const edge of selectedEdges) bright.add(source[edge]).add(target[edge]);
  } else return null;
  if (state.selected !== null) bright.add(state.selected);
  const back = new Uint8Array(index.graph.nodes.length).fill(1);
  for (const node of bright) back[node] = 0;
  return back;
}

/** Fits the canvas to its area in device pixels and clears it. */
function prepare(canvas: HTMLCanvasElement, scene: Scene): CanvasRenderingContext2D {
  const ratio = window.devicePixelRatio || 1;
  const width = Math.round(scene.size.width * ratio);
  const height = Math.round(scene.size.height * ratio);
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
    canvas.style.width = `${scene.size.width}px`;
    canvas.style.height = `${scene.size.height}px`;
  }
  const context = canvas.getContext('2d')!;
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, scene.size.width, scene.size.height);
  return context;
}

/** Shows the picture drawn for one camera as the other would see it. */
function moveAsImage(canvas: HTMLCanvasElement, from: Camera, to: Camera): void {
  const scaleX = to.scaleX / from.scaleX;
  const scaleY = to.scaleY / from.scaleY;
  const x = gutter + (from.x - to.x) * to.scaleX - gutter * scaleX;
  const y = (from.y - to.y) * to.scaleY;
  canvas.style.transformOrigin = '0 0';
  canvas.style.transform = `matrix(${scaleX}, 0, 0, ${scaleY}, ${x}, ${y})`;
}
