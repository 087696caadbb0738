import type { Derived } from '../derive.ts';
import type { Palette } from '../drawing/palette.ts';
import type { Scene } from '../drawing/scene.ts';
import { gutter, paintScene, paintTokenAxis } from '../drawing/scene.ts';
import type { Surface } from '../drawing/surface.ts';
import { canvasSurface, svgSurface } from '../drawing/surface.ts';
import type { PlacedLabel } from '../layout/labels.ts';
import { percent, quoteToken } from '../words.ts';

const padding = 16;
const headerHeight = 62;
const axisHeight = 34;
const pixelRatio = 2;

/** Puts labels on a scene; the caller measures text, as only it knows how. */
export type PlaceLabels = (scene: Scene) => readonly PlacedLabel[];

/** The whole graph, wherever the panel looks, as an SVG document. */
export function graphAsSvg(derived: Derived, palette: Palette, labels: PlaceLabels): string {
  const { width, height } = pictureSize(derived);
  const surface = svgSurface(width, height, palette.background);
  paintPicture(surface, derived, palette, labels);
  return surface.document();
}

/** The same as a PNG at twice its size, as a data address. */
export function graphAsPng(derived: Derived, palette: Palette, labels: PlaceLabels): string {
  const { width, height } = pictureSize(derived);
  const canvas = document.createElement('canvas');
  canvas.width = width * pixelRatio;
  canvas.height = height * pixelRatio;
  const context = canvas.getContext('2d')!;
  context.scale(pixelRatio, pixelRatio);
  context.fillStyle = palette.background;
  context.fillRect(0, 0, width, height);
  paintPicture(canvasSurface(context), derived, palette, labels);
  return canvas.toDataURL('image/png');
}

function pictureSize({ grid }: Derived): { width: number; height: number } {
  return {
    width: Math.ceil(grid.width + gutter + 2 * padding),
    height: Math.ceil(grid.height + headerHeight + axisHeight + padding),
  };
}

function paintPicture(surface: Surface, derived: Derived, palette: Palette, labels: PlaceLabels): void {
  const { index, grid, visible, groupColor, pinned, story } = derived;
  const { width, height } = pictureSize(derived);
  const scene: Scene = {
    index,
    grid,
    visible,
    palette,
    groupColor,
    pinned,
    edited: new Set(),
    changed: new Map(),
    size: { width: width - padding, height },
    camera: { x: 0, y: -headerHeight, scaleX: 1, scaleY: 1 },
    dimmed: null,
    focusEdges: [],
    restEdges: visible.edges,
    labels: [],
  };
  paintScene(surface, { ...scene, labels: labels(scene) });
  paintTokenAxis(surface, scene, headerHeight + grid.height + axisHeight / 2);
  const text = { color: palette.foreground, family: palette.fontFamily };
  const [best] = story.predictions;
  const answer = best ? ` → ${quoteToken(best.text)} ${percent(best.probability)}` : '';
  const prompt = index.graph.metadata.promptTokens.join('').replace(/\s+/g, ' ').trim();
  const most = Math.floor((width - 2 * padding) / (palette.fontSize * 0.62)) - answer.length;
  const shown = prompt.length > most ? `…${prompt.slice(-Math.max(10, most))}` : prompt;
  surface.text(shown + answer, padding, 20, { ...text, size: palette.fontSize + 1, isBold: true });
  const groups = story.groups.map(({ name, share }) => `${name} ${percent(share)}`).join(' · ');
  surface.text(groups.slice(0, Math.floor(width / (palette.fontSize * 0.5))), padding, 40, {
    ...text,
    color: palette.muted,
    size: palette.fontSize - 1,
  });
}
