export type LabelRequest = {
  readonly node: number;
  readonly text: string;
  /** The glyph's centre and radius on screen. */
  readonly x: number;
  readonly y: number;
  readonly radius: number;
  readonly width: number;
};
export type PlacedLabel = { readonly node: number; readonly text: string; readonly x: number; readonly y: number };

type Box = { readonly left: number; readonly top: number; readonly right: number; readonly bottom: number };

const gap = 4;

/**
 * Puts labels beside their glyphs without overlap: the first request wins, later ones try right, left, above, below and
 * are left out when none is free.
 * @param requests most important first; x and y of the result are the text's left end and middle
 * @param obstacles glyphs that no label may cover
 * @param bounds the drawing area
 */
export function placeLabels(
  requests: readonly LabelRequest[],
  obstacles: readonly { readonly x: number; readonly y: number; readonly radius: number }[],
  lineHeight: number,
  bounds: Box,
): PlacedLabel[] {
  const taken = new BoxBuckets();
  for (const { x, y, radius } of obstacles) {
    taken.add({ left: x - radius, top: y - radius, right: x + radius, bottom: y + radius });
  }
  const placed: PlacedLabel[] = [];
  for (const { node, text, x, y, radius, width } of requests) {
    const half = lineHeight / 2;
    const places: readonly [number, number][] = [
      [x + radius + gap, y],
      [x - radius - gap - width, y],
      [x - width / 2, y - radius - half - 1],
      [x - width / 2, y + radius + half + 1],
    ];
    for (const [left, middle] of places) {
      const box = { left: left - 2, top: middle - half, right: left + width + 2, bottom: middle + half };
      const isInside =
        box.left >= bounds.left && box.right <= bounds.right && box.top >= bounds.top && box.bottom <= bounds.bottom;
      if (!isInside || taken.hits(box)) continue;
      taken.add(box);
      placed.push({ node, text, x: left, y: middle });
      break;
    }
  }
  return placed;
}

const bucket = 48;

class BoxBuckets {
  readonly #buckets = new Map<string, Box[]>();

  add(box: Box): void {
    for (const key of keys(box)) {
      const list = this.#buckets.get(key);
      if (list) list.push(box);
      else this.#buckets.set(key, [box]);
    }
  }

  hits(box: Box): boolean {
    for (const key of keys(box)) {
      for (const other of this.#buckets.get(key) ?? []) {
        if (box.left < other.right && box.right > other.left && box.top < other.bottom && box.bottom > other.top) {
          return true;
        }
      }
    }
    return false;
  }
}

function* keys(box: Box): Generator<string> {
  for (let column = Math.floor(box.left / bucket); column <= Math.floor(box.right / bucket); column++) {
    for (let row = Math.floor(box.top / bucket); row <= Math.floor(box.bottom / bucket); row++)
      yield `${column},${row}`;
  }
}
