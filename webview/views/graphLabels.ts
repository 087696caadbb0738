import type { Derived } from '../derive.ts';
import type { Scene } from '../drawing/scene.ts';
import { gutter, radiusOf, screenX, screenY } from '../drawing/scene.ts';
import type { LabelRequest, PlacedLabel } from '../layout/labels.ts';
import { placeLabels } from '../layout/labels.ts';
import { logitText, percent, showToken } from '../words.ts';

const mostLabels = 48;
const longestLabel = 24;

/** Labels for the outputs, the selected and pinned nodes and then the most influential, where they fit. */
export function graphLabels(scene: Scene, derived: Derived, selected: number | null): PlacedLabel[] {
  const { index, visible, palette, size } = scene;
  const { nodes } = index.graph;
  const onScreen: { node: number; x: number; y: number; radius: number }[] = [];
  for (const node of visible.nodes) {
    const x = screenX(scene, scene.grid.x[node]);
    const y = screenY(scene, scene.grid.y[node]);
    if (x < gutter || x > size.width || y < 0 || y > size.height) continue;
    onScreen.push({ node, x, y, radius: radiusOf(index, node, scene.camera) });
  }
  const rank = (node: number) => {
    if (nodes[node].kind === 'logit') return 3 + (nodes[node].probability ?? 0);
    if (node === selected) return 3;
    return (scene.pinned.has(node) ? 2 : 0) + (scene.dimmed?.[node] === 1 ? -1 : 0) + index.influence[node];
  };
  const context = document.createElement('canvas').getContext('2d')!;
  const fontSize = palette.fontSize - 2;
  const requests: LabelRequest[] = onScreen
    .map((place) => ({ ...place, text: labelText(derived, place.node) }))
    .filter(({ text }) => text !== '')
    .sort((a, b) => rank(b.node) - rank(a.node) || a.node - b.node)
    .slice(0, mostLabels)
    .map((request) => {
      context.font = `${nodes[request.node].isTarget ? '600 ' : ''}${fontSize}px ${palette.fontFamily}`;
      return { ...request, width: context.measureText(request.text).width };
    });
  const bounds = { left: gutter, top: 0, right: size.width, bottom: size.height };
  return placeLabels(requests, onScreen, fontSize + 3, bounds);
}

function labelText(derived: Derived, node: number): string {
  const { kind, probability, layer, feature } = derived.index.graph.nodes[node];
  if (kind === 'logit') {
    return `${shorten(showToken(logitText(derived.index.graph.nodes[node])))} ${percent(probability ?? 0)}`;
  }
  if (kind !== 'feature' && kind !== 'attention') return '';
  const label = derived.labelOf(node);
  if (label !== '') return shorten(label.replace(/\s+/g, ' '));
  return derived.index.influence[node] > 0.04 ? `${layer}/${feature ?? '?'}` : '';
}

function shorten(text: string): string {
  const letters = [...text];
  return letters.length > longestLabel ? `${letters.slice(0, longestLabel - 1).join('')}…` : text;
}
