import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { Page } from 'playwright-core';
import { attentionFields } from '../../src/graph/attentionResults.ts';
import type { GraphEdit, Interventions } from '../../src/graph/interventions.ts';
import { readGraph } from '../../src/graph/readGraph.ts';
import type { ToComparison } from '../../src/protocol/comparison.ts';
import type { FeatureCard, InterveneResult } from '../../src/protocol/engine.ts';
import type { InterventionRun, PanelTrace, ToPanel } from '../../src/protocol/panel.ts';
import { asTrace, dallasTrace, largeTrace, sampleCard, sampleInspection } from '../support/sampleTrace.ts';
import { deliver, placeOf, rest } from './browser.ts';

/** A state of the panel: how it comes about, and what must be on it. Run in every theme; each is a page of its own. */
export type State = {
  readonly name: string;
  readonly size?: { readonly width: number; readonly height: number };
  readonly messages: readonly (ToPanel | ToComparison)[];
  readonly remembered?: unknown;
  /** The page's built entry: the graph panel's when absent. */
  readonly script?: 'main.js' | 'comparison.js' | 'interventions.js';
  /** Shown in the dark theme only: nothing in it depends on colours that other states do not have. */
  readonly isDarkOnly?: boolean;
  readonly act?: (page: Page) => Promise<void>;
  readonly check: (page: Page) => Promise<void>;
};

export const dallas = dallasTrace();
const commit = '0123456789abcdef0123456789abcdef01234567';
/** The graph with a record of its weights: a folder's model, and a set of the hub. */
const weighed: PanelTrace['graph'] = {
  ...dallas.graph,
  metadata: {
    ...dallas.graph.metadata,
    weights: {
      model: { revision: null, fingerprint: '3f2a91bc00112233' },
      transcoders: { revision: commit, fingerprint: '445566778899aabb' },
    },
  },
};
const show = (trace: PanelTrace): ToPanel => ({ type: 'showGraph', trace });
export const texas = dallas.graph.nodes.find(({ label, layer, pos }) => label === 'Texas' && layer === 3 && pos === 9)!;
export const texasIds = dallas.graph.nodes.flatMap(({ label, id }) => (label === 'Texas' ? [id as string] : []));

export function goldenTrace(name: string): PanelTrace {
  const file = path.join(import.meta.dirname, '../fixtures/goldens', name, 'graph.json');
  return asTrace(readGraph(readFileSync(file, 'utf8')).graph, name);
}

/** A graph of Neuronpedia's newer generator, with what an attention feature's queries and keys owe to other nodes. */
function attentionTrace(): PanelTrace {
  const file = path.join(import.meta.dirname, '../fixtures/graphs/attention.json');
  const { graph } = readGraph(readFileSync(file, 'utf8'));
  return asTrace({ ...graph, foreign: attentionFields(graph.foreign) }, 'attention');
}

export const sacramento: InterveneResult = {
  before: [
    { id: 1, text: ' Austin', probability: 0.81 },
    { id: 2, text: ' Texas', probability: 0.06 },
  ],
  after: [
    { id: 3, text: ' Sacramento', probability: 0.44 },
    { id: 1, text: ' Austin', probability: 0.13 },
  ],
  generatedBefore: [],
  generatedAfter: [],
  changed: [{ layer: 3, pos: 9, feature: texas.feature ?? 0, before: 2.1, after: 0.4 }],
  milliseconds: 34,
};

const ranTo = (result: InterveneResult): InterventionRun => ({
  isRunning: false,
  result,
  streamed: { before: [], after: [] },
  failure: null,
});
const streaming = {
  isRunning: true,
  streamed: {
    before: [
      { id: 1, text: ' Austin', probability: 0.81 },
      { id: 9, text: '.', probability: 0.9 },
    ],
    after: [{ id: 3, text: ' Sacramento', probability: 0.44 }],
  },
};
const unknownFeature = {
  message: 'There is no feature 9999: there are 1024 features in a layer, counted from 0.',
  remedy: 'Choose a feature from 0 to 1023.',
};
const none = () => new Uint32Array();

/** A row of every kind, and sets of them. */
const everyKind: Interventions = {
  edits: [
    {
      type: 'features',
      name: 'Texas',
      isOn: true,
      sites: [{ layer: 3, pos: 9, feature: texas.feature ?? 0, unit: 2.5 }],
      places: { start: 2, stop: 5 },
      kind: 'set',
      factor: 1.5,
    },
    {
      type: 'features',
      name: 'a feature with a long name that does not fit into one line of the side bar',
      isOn: false,
      sites: [
        { layer: 1, pos: 9, feature: 3, unit: 1 },
        { layer: 2, pos: 9, feature: 4, unit: 2 },
      ],
      places: 'own',
      kind: 'scale',
      factor: -2.25,
    },
    { type: 'errors', name: 'Error of layer 2', isOn: true, sites: [{ layer: 2, pos: 9 }], factor: 0 },
    {
      type: 'patch',
      name: '·Oakland of “…containing Oakland is”',
      isOn: true,
      tokens: [1, 2, 3],
      pos: 9,
      fromPos: 9,
      layer: null,
      feature: null,
      nodes: 'all',
    },
  ],
  options: { freeze: { from: 1, to: 2 }, newTokens: 20, sampling: { temperature: 0.8, topP: 0.9, seed: 7 } },
  sets: [{ name: 'Texas off', edits: [], options: { freeze: 'nothing', newTokens: 0, sampling: null } }],
};

/** The edits that the page last told the extension. */
async function editsTold(page: Page): Promise<readonly GraphEdit[]> {
  const told = await page.evaluate(() => window.posted.findLast(({ type }) => type === 'interventionsChanged'));
  assert.ok(told && 'interventions' in told);
  return (told.interventions as Interventions).edits;
}

/** A card of which only the label and the logits are known. */
function bareCard(card: FeatureCard): FeatureCard {
  const { examplesFrom: _, ...others } = card;
  return { ...others, quantiles: [], histogram: [], quantileValues: [], activationFrequency: null };
}

/** The graph with token texts that do not fit their columns. */
function longTokens(graph: PanelTrace['graph']): PanelTrace['graph'] {
  const promptTokens = graph.metadata.promptTokens.map((token) => `${token}·Donaudampfschifffahrtsgesellschaft`);
  return { ...graph, metadata: { ...graph.metadata, promptTokens } };
}

const text = (page: Page, selector: string) => page.locator(selector).first().innerText();

export const states: readonly State[] = [
  {
    name: 'answer',
    messages: [
      show({ ...dallas, graph: weighed, unexpandedInfluence: 0.013, warnings: ['The prompt ends in a space.'] }),
    ],
    async check(page) {
      assert.equal((await text(page, '.says .answer')).replace(/\s+/g, ' '), '“Austin” 81 %');
      assert.deepEqual(await page.locator('.predictions .prediction-text').allInnerTexts(), [
        '·Texas',
        '·Houston',
        '·Dallas',
        '·the',
      ]);
      assert.equal(await text(page, '.group .group-label'), 'Texas');
      assert.equal(await page.locator('.group').count(), 5);
      assert.match(
        await text(page, '.explains'),
        /91 %\s+9\.0 % in errors\s+Replacement\s+0\.91\s+Completeness\s+0\.96\s+How it was made/,
      );
      await page.getByText('How it was made').click();
      assert.match(
        await text(page, '.made'),
        /Not expanded\s+1\.3 %[\s\S]*Weights\s+model 3f2a91b, transcoders 0123456/,
      );
      // What is open stays open while the picture changes.
      await page.locator('.group-name').first().click();
      await rest(page);
      assert.ok(await page.locator('.made dl').isVisible());
      assert.equal(await page.locator('.prompt-token').count(), 11);
      assert.deepEqual((await page.locator('.axis-token').allInnerTexts()).slice(1, 4), ['Fact', ':', '·the']);
    },
  },
  {
    name: 'hovered',
    messages: [show(dallas)],
    async act(page) {
      const { x, y } = await placeOf(page, texas.id);
      await page.mouse.move(x + 3, y - 2);
    },
    async check(page) {
      assert.match(
        await text(page, '.tooltip:not([hidden])'),
        /^Texas\s+Feature 113 · layer 3 at “Dallas” \(9\)\s+5\.\d % of the answer · activation 2\.06/,
      );
      assert.equal(await text(page, '.axis-token.focused'), '·Dallas');
    },
  },
  {
    name: 'node card',
    messages: [show(dallas)],
    async act(page) {
      const { x, y } = await placeOf(page, texas.id);
      await page.mouse.click(x, y);
      await page.mouse.move(20, 20);
      await deliver(page, { type: 'featureCard', layer: 3, feature: 113, card: sampleCard(3, 113) });
    },
    async check(page) {
      assert.equal(await page.locator('input.node-name').inputValue(), 'Texas');
      assert.match(
        await text(page, '.figures'),
        /Activation\s+2\.06 · higher than \d+ % of its activations\s+Fires on\s+1\.2 % of text/,
      );
      assert.deepEqual((await page.locator('.raises .chip').allInnerTexts()).slice(0, 2), ['·Texas', '·Austin']);
      assert.equal(await page.locator('.lowers .chip').count(), 4);
      assert.equal(await page.locator('.quantile').count(), 3);
      assert.match(await text(page, '.example-source'), /^Examples\s+From the transcoder set’s files\.$/);
      assert.ok((await page.locator('.example mark').count()) > 5);
      const shares = await page.locator('.connections section:first-child .connection-share').allInnerTexts();
      const sizes = shares.map((share) => Number.parseFloat(share.replace(/[+−<]/, '')));
      assert.deepEqual(
        sizes,
        [...sizes].sort((a, b) => b - a),
      );
      assert.ok(shares.some((share) => share.startsWith('−')));
      const outputs = await page.locator('.connections section:last-child .connection-share').allInnerTexts();
      const parts = outputs.map((share) => Number.parseFloat(share.replace(/[+−<]/, '')));
      assert.deepEqual(
        parts,
        [...parts].sort((a, b) => b - a),
      );
    },
  },
  {
    name: 'card with own text',
    messages: [show(dallas), { type: 'select', node: texas.id }],
    async act(page) {
      const own = sampleCard(3, 113, 'Texas');
      const source = '12 files of your workspace, 8,431 of 20,110 tokens, 22 Nov 2026';
      const ownText = { ...own, source, activationFrequency: 0.008 };
      const card = { ...bareCard(own), ownText };
      await deliver(page, { type: 'featureCard', layer: 3, feature: 113, card });
      await page.locator('.more-examples').scrollIntoViewIfNeeded();
    },
    async check(page) {
      const card = await text(page, '.node-details');
      assert.match(card, /higher than \d+ % of its activations in your text/);
      assert.match(card, /In your text\s+on 0\.8 % of the tokens/);
      assert.match(
        card,
        /Nobody keeps examples[\s\S]*In your own text\s+Computed from 12 files of your workspace, 8,431 of/,
      );
      assert.equal(await page.locator('.quantile').count(), 3);
      await page.getByText('Find again in my text…').click();
      assert.ok(await page.evaluate(() => window.posted.some(({ type }) => type === 'findExamples')));
    },
  },
  {
    name: 'card without examples',
    isDarkOnly: true,
    messages: [show(dallas), { type: 'select', node: texas.id }],
    async act(page) {
      const offer = 'Neuronpedia may have examples. For each feature that you look at, its name is sent.';
      const card = bareCard(sampleCard(3, 113, 'Texas'));
      await deliver(page, { type: 'featureCard', layer: 3, feature: 113, card, offer });
      await page.locator('.more-examples').scrollIntoViewIfNeeded();
    },
    async check(page) {
      assert.match(await text(page, '.more-examples'), /Neuronpedia may have examples/);
      assert.ok(!(await page.evaluate(() => window.posted.some(({ type }) => type === 'useNeuronpedia'))));
      await page.getByText('Use Neuronpedia…').click();
      assert.ok(await page.evaluate(() => window.posted.some(({ type }) => type === 'useNeuronpedia')));
    },
  },
  {
    name: 'search',
    messages: [show(dallas)],
    async act(page) {
      await page.keyboard.press('/');
      await page.keyboard.type('texas');
    },
    async check(page) {
      const results = await page.locator('.results .result-name').allInnerTexts();
      assert.equal(results.length, texasIds.length + 1);
      assert.ok(results.every((name) => /Texas/.test(name)));
    },
  },
  {
    name: 'subgraph',
    messages: [show(dallas)],
    remembered: { panels: { isSubgraphOpen: true }, isTourDone: true },
    async act(page) {
      await page.getByText('Start from the groups above').click();
      await page.mouse.move(20, 20);
    },
    async check(page) {
      const names = await page.locator('.box-name').allInnerTexts();
      for (const name of ['Texas', 'say a capital', 'capital cities', '“Dallas”', '“Austin”'])
        assert.ok(names.includes(name), name);
      assert.match(
        await text(page, '.subgraph-scores'),
        /replacement 0\.\d\d \(graph 0\.91\) · completeness 0\.\d\d \(graph 0\.96\)/,
      );
      assert.ok((await page.locator('.box-edge').count()) > 8);
      // Boxes do not overlap, and what feeds lies left of what is fed.
      const boxes = await page
        .locator('.box')
        .evaluateAll((all) => all.map((box) => box.getBoundingClientRect().toJSON()));
      boxes.forEach((a, order) => {
        for (const b of boxes.slice(order + 1)) {
          assert.ok(a.right <= b.left || b.right <= a.left || a.bottom <= b.top || b.bottom <= a.top);
        }
      });
      const left = (name: string) => boxes[names.indexOf(name)].left;
      assert.ok(left('“Dallas”') < left('Texas') && left('Texas') < left('“Austin”'));
    },
  },
  {
    name: 'interventions',
    messages: [show(dallas)],
    remembered: { panels: { isSubgraphOpen: true }, isTourDone: true },
    async act(page) {
      await page.getByText('Start from the groups above').click();
      await rest(page);
      await page.locator('.box', { hasText: 'Texas' }).first().hover();
      await page
        .locator('.box', { hasText: 'Texas' })
        .first()
        .getByLabel('Change these features and run again')
        .click();
      await page.getByText('Run', { exact: true }).click();
      await deliver(page, { type: 'interventionRun', run: ranTo(sacramento) });
      await page.mouse.move(20, 20);
    },
    async check(page) {
      assert.match((await text(page, '.outcome-headline')).replace(/\s+/g, ' '), /“Austin” 81 % → “Sacramento” 44 %/);
      assert.deepEqual(await page.locator('.changes tbody th').allInnerTexts(), ['·Austin', '·Sacramento', '·Texas']);
      assert.match(await text(page, '.changed-features'), /Texas\s+“Dallas”\s+2\.1 → 0\.4/);
      const [edit] = await editsTold(page);
      assert.ok(edit.type === 'features' && edit.sites.length >= 4 && edit.kind === 'scale' && edit.factor === 0);
      const types = await page.evaluate(() => window.posted.map(({ type }) => type));
      assert.ok(types.indexOf('runInterventions') > types.indexOf('interventionsChanged'));
    },
  },
  {
    name: 'interventions, all kinds',
    messages: [show(dallas), { type: 'interventions', interventions: everyKind }],
    remembered: { panels: { tab: 'steer', sideWidth: 420 }, isTourDone: true },
    async act(page) {
      await deliver(page, { type: 'interventionRun', run: { ...ranTo(sacramento), ...streaming } });
    },
    async check(page) {
      assert.equal(await page.locator('.edit').count(), 4);
      assert.match(await text(page, '.edit-unit'), /one unit: 2\.5, its activation where it was found/);
      assert.match(await text(page, '.side-by-side'), /Without the edits\s+Austin\.\s+With them\s+Sacramento/);
      assert.equal(await page.locator('.generated span').first().getAttribute('title'), '·Austin 81 %');
      await page.getByText('Stop', { exact: true }).waitFor();
    },
  },
  {
    name: 'interventions in the side bar',
    size: { width: 300, height: 900 },
    script: 'interventions.js',
    messages: [
      show({
        ...dallas,
        graph: { ...dallas.graph, edges: { source: none(), target: none(), weight: new Float32Array() } },
      }),
      { type: 'interventions', interventions: everyKind },
      { type: 'interventionRun', run: { ...ranTo(sacramento), failure: unknownFeature } },
    ],
    async act(page) {
      await page.getByLabel('Strength of Texas').fill('-2');
      await rest(page);
    },
    async check(page) {
      const [edit] = await editsTold(page);
      assert.ok(edit.type === 'features' && edit.factor === -2 && edit.name === 'Texas');
      assert.equal(await page.locator('.edit').count(), 4);
      for (const box of await page.locator('.edit vscode-checkbox .control').all()) {
        const { width, height } = (await box.boundingBox())!;
        assert.ok(width >= 14 && width === height, `a box to tick is ${width} × ${height}`);
      }
      assert.match(await text(page, '.failure'), /There is no feature 9999/);
      const width = await page.evaluate(() => document.documentElement.scrollWidth);
      assert.ok(width <= 300, `${width} wide`);
    },
  },
  {
    name: 'side bar without a trace',
    size: { width: 300, height: 300 },
    script: 'interventions.js',
    isDarkOnly: true,
    messages: [{ type: 'nothing' }],
    async check(page) {
      assert.match(await text(page, '.hint'), /^Open a trace/);
      assert.equal(await page.getByText('Run', { exact: true }).isVisible(), false);
    },
  },
  {
    name: 'tested claims',
    messages: [show(dallas)],
    remembered: { panels: { tab: 'steer' }, isTourDone: true },
    async act(page) {
      await page.getByText('Test the strongest claims').click();
      await rest(page);
      await page.evaluate(() => {
        const asked = window.posted.find(({ type }) => type === 'verify') as
          | { claims?: { weight: number }[] }
          | undefined;
        const claims = asked?.claims ?? [];
        const measured = claims.map(({ weight }, order) => ({
          predicted: -weight,
          frozen: -weight,
          free: order === 1 ? weight / 5 : -0.9 * weight,
          verdict: order === 1 ? 'contradicted' : 'verified',
        }));
        const survival = { token: { id: 1, text: ' Austin', probability: 0.81 }, withKept: 0.5, withNone: 0.01 };
        const summary = {
          rule: 'a rule',
          correlationFrozen: 1,
          correlationFree: 0.78,
          signAgreement: 0.96,
          survival,
          milliseconds: 9,
        };
        const message = { type: 'verified', claims, result: { ...summary, claims: measured } };
        window.dispatchEvent(new MessageEvent('message', { data: message }));
      });
      await rest(page);
    },
    async check(page) {
      const badges = await page.locator('.groups .verdict').allInnerTexts();
      assert.deepEqual(badges.slice(0, 3), ['✓', '✗', '✓']);
      assert.match(
        await page.locator('.groups .verdict').nth(1).getAttribute('aria-label').then(String),
        /^Contradicted: turned off, its target should move by −/,
      );
      assert.match(
        await text(page, '.verify-summary'),
        /Verified\s+2\d of 2\d\s+Right direction\s+96 %\s+All else frozen\s+1\.000\s+Nothing frozen\s+0\.780/,
      );
      assert.match(
        await text(page, '.verify-summary'),
        /With only the pinned features on, “Austin” keeps 50 % of its 81 %; with none on, 1\.0 %/,
      );
    },
  },
  {
    name: 'outline',
    messages: [show(dallas)],
    remembered: { panels: { tab: 'outline' }, isTourDone: true },
    async check(page) {
      const rows = await page
        .locator('.outline [role=treeitem][aria-level="1"] > .outline-row .connection-name')
        .allInnerTexts();
      assert.deepEqual(rows, [
        'Groups',
        'Outputs',
        'Layer 5',
        'Layer 4',
        'Layer 3',
        'Layer 2',
        'Layer 1',
        'Layer 0',
        'Tokens',
      ]);
      assert.equal(await page.locator('.outline [tabindex="0"]').count(), 1);
    },
  },
  {
    name: 'layers',
    messages: [show(dallas)],
    async act(page) {
      await page.getByRole('radio', { name: 'Layers' }).click();
      assert.ok(await page.evaluate(() => window.posted.some(({ type }) => type === 'inspect')));
      await deliver(page, { type: 'inspection', inspection: sampleInspection(dallas) });
      await page.locator('td[data-pos="9"][data-layer="3"]').click();
      await page.locator('td[data-pos="10"][data-layer="4"]').hover();
    },
    async check(page) {
      assert.equal(await page.locator('.layers-table td').count(), 66);
      assert.equal(await text(page, '.layers-table td[data-pos="10"][data-layer="5"]'), '·Austin');
      assert.match(await text(page, '.layers .tooltip'), /After layer 4, at “is”[\s\S]*·Austin\s+\d+ %[\s\S]*·Texas/);
      assert.match(
        await text(page, '.layer-lengths'),
        /Layer 3 at “Dallas”\s+Residual[\s\S]*Attention[\s\S]*MLP[\s\S]*Error/,
      );
      assert.match(await text(page, '.layer-features'), /Texas\s+#113/);
      await page.locator('.layer-features button', { hasText: 'Texas' }).click();
      await rest(page);
      assert.equal(await page.locator('input.node-name').inputValue(), 'Texas');
    },
  },
  {
    name: 'layers narrow',
    isDarkOnly: true,
    size: { width: 430, height: 760 },
    messages: [show({ ...dallas, graph: longTokens(dallas.graph) }), { type: 'showLayers', pos: 3 }],
    async act(page) {
      await deliver(page, {
        type: 'inspection',
        inspection: sampleInspection({ ...dallas, graph: longTokens(dallas.graph) }),
      });
    },
    async check(page) {
      const wide = await page.evaluate(() => document.documentElement.scrollWidth);
      assert.ok(wide <= 430, `the page is ${wide} wide`);
      const table = await page.locator('.layers-frame').boundingBox();
      assert.ok(table && table.height >= 100 && table.width >= 400, JSON.stringify(table));
    },
  },
  {
    name: 'layers unknown',
    isDarkOnly: true,
    messages: [show({ ...dallas, hasModel: false }), { type: 'showLayers', pos: 3 }],
    async check(page) {
      assert.match(await text(page, '.layers-note'), /not on this machine/);
      assert.ok(!(await page.evaluate(() => window.posted.some(({ type }) => type === 'inspect'))));
    },
  },
  {
    name: 'filters',
    messages: [
      show(dallas),
      { type: 'labels', labels: [{ layer: 1, feature: 127, label: 'articles', frequency: 0.2 }] },
    ],
    async act(page) {
      await page.getByLabel('Filters', { exact: true }).first().click();
      await page.locator('.kinds vscode-checkbox', { hasText: 'Feature' }).click();
    },
    async check(page) {
      assert.match(await text(page, '.counts'), /^0 of 31 features/);
      assert.equal(await text(page, '.badge:visible'), '1');
      for (const id of texasIds) assert.equal(await page.evaluate((node) => window.placeOfNode(node), id), null);
    },
  },
  {
    name: 'legend',
    isDarkOnly: true,
    messages: [show(dallas)],
    remembered: { panels: { isLegendOpen: true }, isTourDone: true },
    async check(page) {
      assert.match(
        await text(page, '.legend'),
        /Feature: one concept[\s\S]*Error: what the transcoder leaves[\s\S]*Negative effect: dashed/,
      );
    },
  },
  {
    name: 'tour',
    isDarkOnly: true,
    messages: [show(dallas)],
    remembered: { panels: {}, isTourDone: false },
    act: (page) => page.getByText('Take the tour').click(),
    async check(page) {
      assert.match(await text(page, '.tour'), /What the model would say[\s\S]*1 of 5/);
    },
  },
  {
    name: 'reference graph',
    isDarkOnly: true,
    messages: [show(goldenTrace('llama-clt-truncated'))],
    async check(page) {
      // The file is pruned already, so all of it is on screen.
      const trace = goldenTrace('llama-clt-truncated');
      assert.match(await text(page, '.counts'), /^9 of 9 features/);
      for (const { id } of trace.graph.nodes)
        assert.ok(await page.evaluate((node) => window.placeOfNode(node), id as string), id);
      assert.match(await text(page, '.explains'), /not in the file/);
    },
  },
  {
    name: 'attention feature',
    messages: [show(attentionTrace())],
    async act(page) {
      const { x, y } = await placeOf(page, '0_lor_17_2');
      await page.mouse.click(x, y);
      await page.mouse.move(20, 20);
    },
    async check(page) {
      const section = page.locator('.attention-results');
      assert.match(await section.innerText(), /Why it looks there[\s\S]*Query and key together[\s\S]*\+0\.25/);
      const ends = section.locator('.attention-row').first().locator('.attention-end');
      // The query is a node of the graph and leads there; the key was pruned from it and is only named.
      assert.deepEqual(await ends.evaluateAll((found) => found.map(({ tagName }) => tagName)), ['BUTTON', 'SPAN']);
      assert.equal(await section.locator('.attention-row').count(), 3);
      await ends.first().click();
      await rest(page);
      assert.equal(await page.locator('input.node-name').getAttribute('placeholder'), 'Feature 5 · layer 1');
    },
  },
  {
    name: 'long prompt',
    messages: [show(largeTrace(1500, 9000, 40, 16))],
    async check(page) {
      assert.ok(await page.locator('.minimap').isVisible());
      assert.equal(await page.locator('.axis-token').last().innerText(), '·word39');
    },
  },
  {
    name: 'narrow',
    isDarkOnly: true,
    size: { width: 430, height: 760 },
    messages: [show(dallas)],
    async check(page) {
      const wide = await page.evaluate(() => document.documentElement.scrollWidth);
      assert.ok(wide <= 430, `the page is ${wide} wide`);
      for (const name of ['Filters', 'Export']) {
        await page.getByLabel(name, { exact: true }).first().click();
        const menu = await page.locator('.popover:visible').boundingBox();
        assert.ok(menu && menu.x >= 0 && menu.x + menu.width <= 430, `${name} reaches from ${menu?.x}`);
        await page.keyboard.press('Escape');
      }
      const graph = await page.locator('.graph-frame').boundingBox();
      assert.ok(graph && graph.height >= 115 && graph.width >= 400);
    },
  },
  {
    name: 'progress',
    isDarkOnly: true,
    messages: [
      { type: 'progress', title: 'Tracing “The capital of …”', phase: 'direct effects', done: 40, total: 120 },
      {
        type: 'preview',
        tokens: ['<s>', ' The', ' capital', ' of'],
        predictions: [
          { id: 1, text: ' France', probability: 0.4 },
          { id: 2, text: ' the', probability: 0.1 },
        ],
      },
    ],
    async check(page) {
      assert.match(
        await text(page, '.messages'),
        /Tracing “The capital of …”\s+Measuring direct effects · 33 %\s+Cancel/,
      );
      assert.match(await text(page, '.says'), /“France”\s+40 %/);
      await page.getByRole('status').getByText('Cancel').click();
      assert.ok(await page.evaluate(() => window.posted.some(({ type }) => type === 'cancel')));
    },
  },
  {
    name: 'failed',
    messages: [
      {
        type: 'failed',
        message: 'The model needs 9.1 GB; 8.0 GB are free.',
        remedy: 'Choose a smaller model, or set Device to CPU.',
        action: 'Choose Model',
      },
    ],
    async check(page) {
      assert.match(await text(page, '.messages'), /The model needs 9\.1 GB[\s\S]*Choose a smaller model/);
      await page.getByText('Choose Model').click();
      assert.ok(await page.evaluate(() => window.posted.some(({ type }) => type === 'failedAction')));
    },
  },
  {
    name: 'waiting',
    isDarkOnly: true,
    messages: [],
    async check(page) {
      assert.match(await text(page, '.messages'), /No trace yet[\s\S]*Trace Prompt/);
    },
  },
  {
    name: 'nothing to draw',
    isDarkOnly: true,
    messages: [
      show({
        ...dallas,
        graph: {
          ...dallas.graph,
          nodes: [],
          edges: { source: new Uint32Array(), target: new Uint32Array(), weight: new Float32Array() },
        },
      }),
    ],
    async check(page) {
      assert.match(await text(page, '.messages'), /Nothing to draw/);
    },
  },
];
