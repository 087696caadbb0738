import type { GraphIndex } from '../graphIndex.ts';
import type { Grid } from '../layout/grid.ts';
import type { PlacedLabel } from '../layout/labels.ts';
import type { Camera } from '../store.ts';
import type { Visible } from '../visible.ts';
import { showToken } from '../words.ts';
import { shapeOf } from './glyphs.ts';
import type { Palette } from './palette.ts';
import type { Stroke, Surface } from './surface.ts';

/** Left of the grid: the layers' names. */
export const gutter = 46;
/** Pixels at the right that a picture at rest leaves free: the zoom buttons stand there, and hide no token. */
export const controlsWidth = 44;

/** What one picture of the token × layer graph holds. */
export type Scene = {
  readonly index: GraphIndex;
  readonly grid: Grid;
  readonly visible: Visible;
  readonly camera: Camera;
  readonly size: { readonly width: number; readonly height: number };
  readonly palette: Palette;
  /** [node] which group colour, −1 for none. */
  readonly groupColor: Int8Array;
  readonly pinned: ReadonlySet<number>;
  /** Nodes that an intervention changes. */
  readonly edited: ReadonlySet<number>;
  /** By node: how a run with edits changed it, as a part of the largest change, negative for less. */
  readonly changed: ReadonlyMap<number, number>;
  /** [node] 1 for nodes drawn back, or null when none is. */
  readonly dimmed: Uint8Array | null;
  /** Edges drawn stronger, and those drawn at rest. */
  readonly focusEdges: readonly number[];
  readonly restEdges: Uint32Array;
  readonly labels: readonly PlacedLabel[];
};

export function screenX(scene: Pick<Scene, 'camera'>, x: number): number {
  return gutter + (x - scene.camera.x) * scene.camera.scaleX;
}

export function screenY(scene: Pick<Scene, 'camera'>, y: number): number {
  return (y - scene.camera.y) * scene.camera.scaleY;
}

/** Radius on screen: area follows influence, with a floor so that every node can be hit. */
export function radiusOf(index: GraphIndex, node: number, camera: Camera): number {
  const base = index.graph.nodes[node].kind === 'token' ? 4.2 : 2.7;
  const zoom = Math.sqrt(Math.min(camera.scaleX, camera.scaleY));
  return (base + 6.5 * Math.sqrt(Math.min(1, index.influence[node]))) * Math.min(1.9, Math.max(0.75, zoom));
}

/** The camera that shows the grid at its own size, or the whole width when asked to fit. */
export function fittedCamera(grid: Grid, size: { width: number; height: number }, isWhole = false): Camera {
  const width = Math.max(1, size.width - gutter - controlsWidth);
  // A little too wide is squeezed; much too wide scrolls.
  const wanted = Math.min(1, width / grid.width);
  const scaleX = isWhole || wanted > 0.42 ? wanted : 1;
  const scaleY = Math.min(1, size.height / grid.height);
  // A grid lower than the area hangs in its middle; a wider one starts at its right end, where the answer is.
  const y = -Math.max(0, (size.height - grid.height * scaleY) / 2) / scaleY;
  return { x: Math.max(0, grid.width - width / scaleX), y, scaleX, scaleY };
}

/** Rows, columns, resting edges, nodes and labels. */
export function paintScene(surface: Surface, scene: Scene): void {
  paintGrid(surface, scene);
  paintRestEdges(surface, scene);
  paintNodes(surface, scene, scene.visible.nodes, scene.dimmed);
  paintLabels(surface, scene);
  paintLayerNames(surface, scene);
}

/** The edges of the chosen node over the picture, its neighbours redrawn on top. */
export function paintFocus(surface: Surface, scene: Scene, focus: number | null): void {
  const { index, palette } = scene;
  const touched = new Set<number>();
  for (let order = scene.focusEdges.length - 1; order >= 0; order--) {
    const edge = scene.focusEdges[order];
    const strength = Math.abs(index.share[edge]);
    surface.setOpacity(palette.isHighContrast ? 1 : 0.35 + 0.6 * Math.min(1, Math.sqrt(strength) * 1.6));
    paintEdge(surface, scene, edge, edgeStroke(scene, edge, 0.8 + 5.2 * Math.sqrt(strength)));
    touched.add(index.graph.edges.source[edge]).add(index.graph.edges.target[edge]);
  }
  surface.setOpacity(1);
  if (focus !== null) touched.add(focus);
  paintNodes(surface, scene, touched, null);
  if (focus === null || Number.isNaN(scene.grid.x[focus])) return;
  const x = screenX(scene, scene.grid.x[focus]);
  const y = screenY(scene, scene.grid.y[focus]);
  const radius = radiusOf(index, focus, scene.camera);
  surface.glyph('circle', x, y, radius + 4.5, null, { color: palette.focus, width: 2 });
}

/** The prompt's tokens under their columns, for pictures that leave the panel. */
export function paintTokenAxis(surface: Surface, scene: Scene, top: number): void {
  const { grid, palette, index } = scene;
  index.graph.metadata.promptTokens.forEach((token, pos) => {
    const left = screenX(scene, grid.columns[pos]);
    const right = screenX(scene, grid.columns[pos + 1]);
    const most = Math.max(1, Math.floor((right - left) / (palette.fontSize * 0.58)));
    const shown = showToken(token);
    const text = shown.length > most ? `${shown.slice(0, Math.max(1, most - 1))}…` : shown;
    surface.text(text, (left + right) / 2, top, {
      color: palette.foreground,
      size: palette.fontSize - 1,
      family: palette.fontFamily,
      align: 'center',
    });
  });
}

function paintGrid(surface: Surface, scene: Scene): void {
  const { grid, palette, size } = scene;
  const rows = grid.nLayers + 2;
  const every = layerStep(scene);
  surface.setOpacity(palette.isHighContrast ? 0.22 : 0.55);
  for (let pos = 1; pos < grid.columns.length - 1; pos++) {
    const x = screenX(scene, grid.columns[pos]);
    if (x < gutter || x > size.width) continue;
    surface.line(x, screenY(scene, 0), x, screenY(scene, grid.height), { color: palette.line, width: 0.5 });
  }
  for (let row = 0; row < rows; row++) {
    const y = screenY(scene, (rows - 1 - row + 0.5) * grid.rowHeight);
    if (y < -10 || y > size.height + 10) continue;
    const isEnd = row === 0 || row === rows - 1;
    if (isEnd || (row - 1) % every === 0) {
      surface.setOpacity(palette.isHighContrast ? 0.22 : 0.4);
      surface.line(gutter, y, size.width, y, { color: palette.line, width: 0.75 });
    }
  }
  surface.setOpacity(1);
}

/** The names of the layers, on a strip that covers what was moved out to the left. */
function paintLayerNames(surface: Surface, scene: Scene): void {
  const { grid, palette, size } = scene;
  const rows = grid.nLayers + 2;
  const every = layerStep(scene);
  surface.box(0, 0, gutter - 4, size.height, 0, palette.background, null);
  for (let row = 0; row < rows; row++) {
    const y = screenY(scene, (rows - 1 - row + 0.5) * grid.rowHeight);
    const isEnd = row === 0 || row === rows - 1;
    if (y < 0 || y > size.height || (!isEnd && (row - 1) % every !== 0)) continue;
    const text = row === 0 ? 'tokens' : row === rows - 1 ? 'output' : `L${row - 1}`;
    const textSize = palette.fontSize - 2.5;
    surface.text(text, gutter - 8, y, {
      color: palette.muted,
      size: textSize,
      family: palette.fontFamily,
      align: 'right',
    });
  }
}

/** Only every n-th layer is named where rows are lower than a line of text. */
function layerStep({ grid, camera }: Scene): number {
  return Math.max(1, Math.ceil(13 / (grid.rowHeight * camera.scaleY)));
}

function paintRestEdges(surface: Surface, scene: Scene): void {
  const { index, palette } = scene;
  const isBehind = scene.dimmed !== null;
  for (const edge of scene.restEdges) {
    const strength = Math.sqrt(Math.min(1, index.flow[edge]));
    const opacity = palette.isHighContrast ? 0.35 + 0.6 * strength : 0.07 + 0.85 * strength;
    surface.setOpacity(isBehind ? opacity * 0.22 : opacity);
    paintEdge(surface, scene, edge, edgeStroke(scene, edge, 0.6 + 6.5 * strength));
  }
  surface.setOpacity(1);
}

function edgeStroke(scene: Scene, edge: number, width: number): Stroke {
  const isNegative = scene.index.graph.edges.weight[edge] < 0;
  return { color: isNegative ? scene.palette.negative : scene.palette.positive, width, isDashed: isNegative };
}

function paintEdge(surface: Surface, scene: Scene, edge: number, stroke: Stroke): void {
  const { grid, index, size } = scene;
  const { source, target } = index.graph.edges;
  const x1 = screenX(scene, grid.x[source[edge]]);
  const x2 = screenX(scene, grid.x[target[edge]]);
  if (Number.isNaN(x1) || Number.isNaN(x2)) return;
  if (Math.max(x1, x2) < 0 || Math.min(x1, x2) > size.width) return;
  const y1 = screenY(scene, grid.y[source[edge]]);
  const y2 = screenY(scene, grid.y[target[edge]]);
  if (Math.max(y1, y2) < 0 || Math.min(y1, y2) > size.height) return;
  if (Math.abs(y1 - y2) < 1) surface.line(x1, y1, x2, y2, stroke);
  else surface.curve(x1, y1, x2, y2, stroke);
}

function paintNodes(surface: Surface, scene: Scene, nodes: Iterable<number>, dimmed: Uint8Array | null): void {
  const { grid, index, palette, camera, size } = scene;
  for (const node of nodes) {
    const x = screenX(scene, grid.x[node]);
    const y = screenY(scene, grid.y[node]);
    if (!(x >= gutter - 20 && x <= size.width + 20 && y >= -20 && y <= size.height + 20)) continue;
    const { kind } = index.graph.nodes[node];
    const radius = radiusOf(index, node, camera);
    const color = nodeColor(scene, node);
    const isHollow = kind === 'error' || kind === 'attention error' || kind === 'unknown';
    surface.setOpacity(dimmed?.[node] === 1 ? (palette.isHighContrast ? 0.35 : 0.16) : 1);
    surface.glyph(
      shapeOf[kind],
      x,
      y,
      radius,
      isHollow ? palette.background : color,
      isHollow ? { color, width: 1.4 } : { color: palette.background, width: 1.2 },
    );
    if (scene.edited.has(node)) paintEditMark(surface, x, y, radius, palette);
    const change = scene.changed.get(node);
    if (change !== undefined) paintChange(surface, x, y, radius, change, palette);
    if (scene.pinned.has(node)) surface.glyph('circle', x, y, radius + 3, null, { color, width: 1.5 });
  }
  surface.setOpacity(1);
}

/** A square frame: this node is not left as the model had it. */
function paintEditMark(surface: Surface, x: number, y: number, radius: number, palette: Palette): void {
  const half = radius + 5.5;
  surface.box(x - half, y - half, 2 * half, 2 * half, 3, null, {
    color: palette.foreground,
    width: 1.5,
    isDashed: true,
  });
}

/** An arrowhead above a node that became stronger in a run with edits, below one that became weaker; larger for more. */
function paintChange(surface: Surface, x: number, y: number, radius: number, change: number, palette: Palette): void {
  const size = 3 + 4 * Math.sqrt(Math.abs(change));
  const way = change > 0 ? -1 : 1;
  const base = y + way * (radius + 4);
  const stroke = { color: change > 0 ? palette.positive : palette.negative, width: 1.6 + 1.4 * Math.abs(change) };
  surface.line(x - size, base, x, base + way * size, stroke);
  surface.line(x, base + way * size, x + size, base, stroke);
}

function nodeColor(scene: Scene, node: number): string {
  const { palette, index } = scene;
  const group = scene.groupColor[node];
  if (group >= 0) return palette.groups[group % palette.groups.length];
  const { kind } = index.graph.nodes[node];
  if (kind === 'error' || kind === 'attention error') return palette.error;
  if (kind === 'token') return palette.token;
  return kind === 'logit' ? palette.logit : palette.node;
}

function paintLabels(surface: Surface, scene: Scene): void {
  const { palette, index } = scene;
  for (const { node, text, x, y } of scene.labels) {
    const isOutput = index.graph.nodes[node].kind === 'logit';
    surface.setOpacity(scene.dimmed?.[node] === 1 ? 0.3 : 1);
    surface.text(text, x, y, {
      color: isOutput ? palette.foreground : scene.groupColor[node] >= 0 ? palette.foreground : palette.muted,
      size: palette.fontSize - 2,
      family: palette.fontFamily,
      isBold: isOutput && index.graph.nodes[node].isTarget,
      halo: palette.background,
    });
  }
  surface.setOpacity(1);
}
