import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createDeriver } from '../../webview/derive.ts';
import type { Palette } from '../../webview/drawing/palette.ts';
import { exportGraph } from '../../webview/exports/exportGraph.ts';
import { graphAsSvg } from '../../webview/exports/picture.ts';
import { graphAsHtml } from '../../webview/exports/webPage.ts';
import { receive } from '../../webview/messageUpdates.ts';
import { initialState } from '../../webview/store.ts';
import { editLabel, group, setArea } from '../../webview/updates.ts';
import { dallasTrace } from '../support/sampleTrace.ts';

const palette: Palette = {
  background: 'white',
  foreground: 'black',
  muted: 'gray',
  line: 'silver',
  node: 'blue',
  error: 'gray',
  token: 'black',
  logit: 'black',
  positive: 'blue',
  negative: 'red',
  focus: 'blue',
  match: 'orange',
  groups: ['orange', 'green', 'purple', 'gold', 'red', 'navy'],
  fontFamily: 'sans-serif',
  fontSize: 13,
  isHighContrast: false,
};

const hostile = '<script>alert(1)</script>"=HYPERLINK("x")|`&';

/** The sample with one label that tries to be markup, a formula and a table cell. */
function hostileGraph() {
  const trace = dallasTrace();
  const node = trace.graph.nodes.findIndex(({ label, layer }) => label === 'say a capital' && layer === 4);
  let state = receive({ type: 'showGraph', trace })(initialState(null));
  state = setArea({ width: 800, height: 500 })(state);
  state = editLabel(node, hostile)(state);
  return { state, derived: createDeriver()(state)! };
}

test('a picture holds every visible node once and no markup of the labels', () => {
  const { derived } = hostileGraph();
  const label = { node: 0, text: hostile, x: 10, y: 10 };
  const svg = graphAsSvg(derived, palette, () => [label]);
  const glyphs = (svg.match(/<(circle|polygon)/g) ?? []).length;
  assert.equal(glyphs, derived.visible.nodes.length);
  assert.doesNotMatch(svg, /<script/);
  assert.match(svg, /&lt;script&gt;/);
  assert.match(svg, /^<svg xmlns/);
});

test('a page runs no script and shows hostile text as text', () => {
  const html = graphAsHtml(hostileGraph().derived, '<svg></svg>', palette);
  assert.doesNotMatch(html, /<script/);
  assert.match(html, /&lt;script&gt;alert\(1\)/);
  assert.match(html, /default-src 'none'/);
});

test('the tables hold every visible node and the edges between them', () => {
  const { state, derived } = hostileGraph();
  const csv = exportGraph('csv', state, derived, palette, () => []);
  const [nodes, edges] = csv
    .trimEnd()
    .split('\r\n\r\n')
    .map((table) => table.split('\r\n'));
  assert.equal(nodes.length, derived.visible.nodes.length + 1);
  assert.equal(edges.length, derived.visible.edgeCount + 1);
  assert.ok(nodes.some((line) => line.includes('"<script>alert(1)</script>""=HYPERLINK(""x"")|`&"')));
});

test('the Markdown summary names the answer, the groups of the summary and the scores', () => {
  const { state, derived } = hostileGraph();
  const markdown = exportGraph('markdown', state, derived, palette, () => []);
  assert.match(markdown, /Austin.*\| 81\.2 % \|/);
  assert.match(markdown, /\| `Texas` \| \d+ \|/);
  assert.match(markdown, /Replacement score 0\.910, completeness score 0\.960/);
  const grouped = group([0, 1], 'Mine')(state);
  const own = exportGraph('markdown', grouped, createDeriver()(grouped)!, palette, () => []);
  assert.match(own, /\| `Mine` \| 2 \|/);
  assert.doesNotMatch(own, /\| `Texas` \|/);
});
