/**
 * How fast the panel lays graphs out and draws them, on sizes that grow:
 *
 *     node test/bench/panel.ts [--out FILE.json]
 *
 * The layout is the grid's, run in this process; drawing is measured by the page itself in headless Chromium, whose
 * rendering is software's. Needs the built webview (`npm run build`). The ratios are to `test/bench/panelBaseline.json`.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { noFilters } from '../../webview/filters.ts';
import { indexGraph } from '../../webview/graphIndex.ts';
import { gridLayout } from '../../webview/layout/grid.ts';
import { visibleGraph } from '../../webview/visible.ts';
import { launch, open } from '../screens/browser.ts';
import { type DrawingTimes, drawingTimes } from '../screens/drawingTimes.ts';
import { dark } from '../screens/themes.ts';
import { largeTrace } from '../support/sampleTrace.ts';

type Row = DrawingTimes & { readonly nodes: number; readonly edges: number; readonly layout: number };

const sizes = [
  { nodes: 1000, edges: 5000 },
  { nodes: 3000, edges: 15_000 },
  { nodes: 10_000, edges: 50_000 },
];
const repeats = 5;
const kept = path.join(import.meta.dirname, 'panelBaseline.json');
const before: readonly Row[] = existsSync(kept) ? JSON.parse(readFileSync(kept, 'utf8')) : [];

const columns = ['nodes', 'edges', 'layout ms', 'first ms', 'frame ms', '95 % ms', 'heap MB', 'x layout', 'x first'];
console.log(columns.map((name) => name.padStart(9)).join(' '));
const rows: Row[] = [];
const browser = await launch();
try {
  for (const { nodes, edges } of sizes) {
    const trace = largeTrace(nodes, edges);
    const page = await open(browser, { name: 'bench', theme: dark, messages: [] });
    const row = { nodes, edges, layout: layoutTime(trace.graph), ...(await drawingTimes(page, trace)) };
    await page.close();
    rows.push(row);
    console.log(line(row, before.find((each) => each.nodes === nodes) ?? null));
  }
} finally {
  await browser.close();
}
const out = process.argv.indexOf('--out');
if (out > 0) writeFileSync(process.argv[out + 1], `${JSON.stringify(rows, null, 1)}\n`);

/** The fastest of several layouts of everything that a graph has, in milliseconds. */
function layoutTime(graph: Parameters<typeof indexGraph>[0]): number {
  const index = indexGraph(graph);
  const visible = visibleGraph(index, 1, noFilters, new Map(), new Set());
  let best = Number.POSITIVE_INFINITY;
  for (let repeat = 0; repeat < repeats; repeat++) {
    const begun = performance.now();
    gridLayout(index, visible, { width: 1200, height: 800 });
    best = Math.min(best, performance.now() - begun);
  }
  return best;
}

function line(row: Row, earlier: Row | null): string {
  const { nodes, edges, layout, first, median, slowest5Percent, heapBytes } = row;
  const ratio = (now: number, then: number | undefined) => (then === undefined ? '–' : (now / then).toFixed(2));
  const cells = [
    String(nodes),
    String(edges),
    layout.toFixed(1),
    first.toFixed(0),
    median.toFixed(1),
    slowest5Percent.toFixed(1),
    (heapBytes / 1e6).toFixed(0),
    ratio(layout, earlier?.layout),
    ratio(first, earlier?.first),
  ];
  return cells.map((cell) => cell.padStart(9)).join(' ');
}
