import { make } from '../dom.ts';
import { shapeOf } from '../drawing/glyphs.ts';
import { glyphIcon } from '../views/icons.ts';
import { presenceColor } from './comparisonDerive.ts';
import type { Pairing, Presence } from './pairing.ts';

/** Where a pair is, in words: “only Dallas”, “both, changed”. */
export function presenceText({ traces }: Pairing, presence: Presence): string {
  switch (presence) {
    case 'left':
    case 'right':
      return `only ${traces.names[presence]}`;
    case 'changed':
      return 'both, changed';
    case 'same':
      return 'both';
  }
}

/** A pair's glyph in the colour that says where it is. */
export function presenceGlyph({ index, presence }: Pairing, pair: number): HTMLElement {
  const color = presenceColor[presence[pair]];
  const { kind } = index.one.graph.nodes[pair];
  const isColored = color >= 0 && kind !== 'token';
  const holder = make('span', { class: 'kind-glyph', attributes: isColored ? { 'data-color': color + 1 } : {} });
  holder.append(glyphIcon(shapeOf[kind], kind.replace(' ', '-')));
  return holder;
}
