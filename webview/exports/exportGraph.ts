import type { Derived } from '../derive.ts';
import type { Palette } from '../drawing/palette.ts';
import type { ViewState } from '../store.ts';
import { graphAsHtml, graphAsMarkdown } from './documents.ts';
import type { PlaceLabels } from './picture.ts';
import { graphAsPng, graphAsSvg } from './picture.ts';
import { graphAsCsv } from './tables.ts';

export type ExportFormat = 'png' | 'svg' | 'html' | 'csv' | 'markdown';

/** What is on screen in another format: text, or a data address for PNG. */
export function exportGraph(
  format: ExportFormat,
  state: ViewState,
  derived: Derived,
  palette: Palette,
  labels: PlaceLabels,
): string {
  switch (format) {
    case 'png':
      return graphAsPng(derived, palette, labels);
    case 'svg':
      return graphAsSvg(derived, palette, labels);
    case 'html':
      return graphAsHtml(derived, graphAsSvg(derived, palette, labels), palette);
    case 'csv':
      return graphAsCsv(derived);
    case 'markdown':
      return graphAsMarkdown(derived, {
        device: state.trace?.device ?? '',
        milliseconds: state.trace?.milliseconds ?? 0,
      });
  }
}
