import type { LayoutRequest, LayoutResult } from './elk.ts';

const margin = 16;
const spacing = 12;
const columnSpacing = 56;

/**
 * A plain layout that needs no worker: boxes in columns by the longest path that leads to them. Shown until ELK has
 * answered, and instead of it where the worker does not start.
 */
export function columnLayout({ boxes, edges }: LayoutRequest): LayoutResult {
  const rank = new Map(boxes.map(({ id }) => [id, 0]));
  // As many rounds as there are boxes settle every path without a cycle; a cycle just ends there.
  for (let round = 0; round < boxes.length; round++) {
    let hasChanged = false;
    for (const { source, target } of edges) {
      const wanted = (rank.get(source) ?? 0) + 1;
      if (wanted <= (rank.get(target) ?? 0) || wanted >= boxes.length) continue;
      rank.set(target, wanted);
      hasChanged = true;
    }
    if (!hasChanged) break;
  }
  const places = new Map<string, { x: number; y: number }>();
  let x = margin;
  let height = 0;
  for (const column of [...new Set(rank.values())].sort((a, b) => a - b)) {
    let y = margin;
    let width = 0;
    for (const box of boxes) {
      if (rank.get(box.id) !== column) continue;
      places.set(box.id, { x, y });
      y += box.height + spacing;
      width = Math.max(width, box.width);
    }
    height = Math.max(height, y);
    x += width + columnSpacing;
  }
  return { width: x, height, places };
}
