import { edgesCsv, nodesCsv } from '../../src/graph/csv.ts';
import { markdownSummary } from '../../src/graph/markdown.ts';
import type { Derived } from '../derive.ts';
import type { Palette } from '../drawing/palette.ts';
import type { ViewState } from '../store.ts';
import type { PlaceLabels } from './picture.ts';
import { graphAsPng, graphAsSvg } from './picture.ts';
import { visiblePart } from './visiblePart.ts';
import { graphAsHtml } from './webPage.ts';

export type ExportFormat = 'png' | 'svg' | 'html' | 'csv' | 'markdown';

/** What is on screen in another format: text, or a data address for PNG. CSV: the nodes' table, an empty line, the edges'. */
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
    case 'csv': {
      const part = visiblePart(derived, state.view);
      return `${nodesCsv(part)}\r\n${edgesCsv(part)}`;
    }
    case 'markdown':
      return markdownSummary(visiblePart(derived, state.view));
  }
}
