import { makeSvg } from '../dom.ts';
import { corners, type Shape } from '../drawing/glyphs.ts';

/** Outlines on a 16 × 16 field, drawn as strokes in the text's colour. */
const outlines = {
  pin: 'M6 2.5h4l-.5 4 2 2.5H4.5l2-2.5zM8 9v4.5',
  group: 'M2.5 2.5h4v4h-4zM9.5 9.5h4v4h-4zM9.5 4.5h4M4.5 9.5v4',
  search: 'M7 2.5a4.5 4.5 0 1 1 0 9a4.5 4.5 0 0 1 0-9zM10.3 10.3l3.2 3.2',
  filter: 'M2 3h12l-4.6 5.4v4.1L6.6 14V8.4z',
  fit: 'M2.5 6V2.5H6M10 2.5h3.5V6M13.5 10v3.5H10M6 13.5H2.5V10',
  plus: 'M8 3v10M3 8h10',
  minus: 'M3 8h10',
  close: 'M3.5 3.5l9 9M12.5 3.5l-9 9',
  check: 'M3 8.5l3.5 3.5L13 4.5',
  export: 'M8 10V2.5M5 5l3-3 3 3M3 8.5v5h10v-5',
  edit: 'M3 13l.6-2.8L10.8 3 13 5.2l-7.2 7.2zM9.5 4.3l2.2 2.2',
  help: 'M8 1.8a6.2 6.2 0 1 1 0 12.4A6.2 6.2 0 0 1 8 1.8zM6.2 6.3c0-2.4 3.7-2.3 3.7 0 0 1.4-1.9 1.4-1.9 2.9M8 11.2v.6',
  layout: 'M6 2.5h4v3H6zM2 10.5h4v3H2zM10 10.5h4v3h-4zM8 5.5V8M4 10.5V8h8v2.5',
  side: 'M2 3h12v10H2zM9.5 3v10',
  below: 'M2 3h12v10H2zM2 9h12',
  trash: 'M3 4.5h10M6.5 4.5v-2h3v2M4.5 4.5l.6 9h5.8l.6-9M7 7v4M9 7v4',
  dial: 'M3 12.5a6 6 0 1 1 10 0M8 9l2.5-3.5',
  idea: 'M5.7 10.4a4 4 0 1 1 4.6 0v1.8H5.7zM6.5 14.2h3',
  warning: 'M8 2.2l6.3 11.3H1.7zM8 6.5v3.2M8 11.3v.5',
  copy: 'M5.5 5.5h8v8h-8zM3 10.5h-.5v-8h8V3',
  keep: 'M3 2.5h8l2.5 2.5v8.5h-10.5zM5.5 2.5v4h4.5v-4M5 13.5v-4.5h6v4.5',
  import: 'M8 2v7.5M5 6.5l3 3 3-3M3 8.5v5h10v-5',
  options: 'M2 4.5h5.5M11 4.5h3M7.5 3h3.5v3H7.5zM2 11.5h3M8.5 11.5H14M5 10h3.5v3H5z',
  up: 'M4 10l4-4 4 4',
  down: 'M4 6l4 4 4-4',
} as const;

export type IconName = keyof typeof outlines;

/** A small picture beside or instead of a word; hidden from screen readers, which get the word. */
export function icon(name: IconName): SVGElement {
  return makeSvg(
    'svg',
    { viewBox: '0 0 16 16', class: 'icon', 'aria-hidden': 'true', focusable: 'false' },
    makeSvg('path', { d: outlines[name] }),
  );
}

/** A node's glyph as it looks in the graph. */
export function glyphIcon(shape: Shape, className = ''): SVGElement {
  const isHollow = shape === 'diamond' || shape === 'ring';
  const paint = `glyph${isHollow ? ' hollow' : ''}`;
  const drawn =
    shape === 'circle' || shape === 'ring'
      ? makeSvg('circle', { cx: 0, cy: 0, r: 1, class: paint })
      : makeSvg('polygon', { points: corners[shape].map((corner) => corner.join(',')).join(' '), class: paint });
  return makeSvg(
    'svg',
    { viewBox: '-1.5 -1.5 3 3', class: `glyph-icon ${className}`.trim(), 'aria-hidden': 'true', focusable: 'false' },
    drawn,
  );
}
