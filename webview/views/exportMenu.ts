import { popover } from '../controls.ts';
import { make } from '../dom.ts';
import type { ExportFormat } from '../exports/exportGraph.ts';
import type { Intents, View } from './view.ts';

const formats: readonly { readonly format: ExportFormat; readonly name: string; readonly what: string }[] = [
  { format: 'png', name: 'PNG picture', what: 'the whole graph at twice its size' },
  { format: 'svg', name: 'SVG picture', what: 'the same, for papers and slides' },
  { format: 'html', name: 'HTML page', what: 'picture, summary and node table in one file' },
  { format: 'csv', name: 'CSV tables', what: 'all visible nodes and edges' },
  { format: 'markdown', name: 'Markdown summary', what: 'for a pull request or an issue' },
];

/** The list of ways to take the picture elsewhere. */
export function createExportMenu(intents: Intents): View {
  const content = make(
    'div',
    { class: 'export-menu' },
    ...formats.map(({ format, name, what }) =>
      make(
        'button',
        {
          class: 'menu-item',
          attributes: { type: 'button', 'data-format': format },
          on: { click: () => intents.export(format) },
        },
        make('strong', { text: name }),
        make('span', { class: 'muted', text: what }),
      ),
    ),
  );
  const { element } = popover('export', 'Export', content);
  return { element, update: () => undefined };
}
