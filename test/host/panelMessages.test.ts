import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { emptyView } from '../../src/graph/circuitGraph.ts';
import { rangesInDocument } from '../../src/host/editor/placedText.ts';
import { tokenRanges } from '../../src/host/editor/tokenPlaces.ts';
import { readComparisonMessage } from '../../src/host/panel/readComparisonMessage.ts';
import { readMessage } from '../../src/host/panel/readMessage.ts';
import { remedyFor } from '../../src/host/remedies.ts';
import { defaultAttribution } from '../../src/protocol/engine.ts';
import { draftOf } from '../../src/protocol/traceDialog.ts';

const site = { layer: 1, pos: 3, feature: 2 };
const claim = { sources: [site], target: { type: 'logit', id: 7 }, weight: -0.5 };

test('every message of the page is let through', () => {
  const messages: unknown[] = [
    { type: 'ready' },
    { type: 'cancel' },
    { type: 'failedAction' },
    { type: 'selectNode', node: null },
    { type: 'hoverNode', node: '0_1_2' },
    { type: 'needCard', layer: 0, feature: 12 },
    { type: 'viewChanged', view: emptyView },
    {
      type: 'viewChanged',
      view: { ...emptyView, supernodes: [{ label: 'a', members: ['b'] }], places: { a: [1, 2] } },
    },
    { type: 'runInterventions' },
    { type: 'addIntervention' },
    { type: 'takeFromTrace' },
    { type: 'copyCommandLine' },
    { type: 'export', format: 'svg', data: '<svg/>' },
    { type: 'remember', state: { panels: { sideWidth: 300 }, isTourDone: true } },
    { type: 'verify', claims: [claim, { ...claim, target: { type: 'feature', ...site } }], kept: [site] },
    { type: 'verify', claims: [], kept: null },
    { type: 'traceDialog', action: 'open' },
    { type: 'checkTrace', number: 3, draft: draftOf(defaultAttribution) },
    { type: 'startTrace', number: 3, draft: draftOf(defaultAttribution) },
    { type: 'log', level: 'error', message: 'x' },
  ];
  for (const message of messages) assert.equal(readMessage(message), message, JSON.stringify(message));
});

test('anything else is not', () => {
  const wrong: unknown[] = [
    null,
    'ready',
    [],
    {},
    { type: 'toString' },
    { type: 'selectNode' },
    { type: 'remember', state: 'x'.repeat(5000) },
    { type: 'verify', claims: [{ ...claim, sources: [] }], kept: null },
    { type: 'verify', claims: [{ ...claim, weight: Number.NaN }], kept: null },
    { type: 'verify', claims: [{ ...claim, target: { type: 'logit', id: -1 } }], kept: null },
    { type: 'verify', claims: [claim], kept: [{ layer: 0 }] },
    { type: 'needCard', layer: -1, feature: 0 },
    { type: 'needCard', layer: 0.5, feature: 0 },
    { type: 'viewChanged', view: { ...emptyView, pinned: [1] } },
    { type: 'viewChanged', view: { ...emptyView, supernodes: [{ label: 1, members: [] }] } },
    { type: 'viewChanged', view: { ...emptyView, linkType: 'sideways' } },
    { type: 'viewChanged', view: { ...emptyView, places: { a: [Number.NaN, 1] } } },
    { type: 'interventionsChanged', interventions: 'all' },
    { type: 'intervene', interventions: [] },
    { type: 'export', format: 'exe', data: '' },
    { type: 'log', level: 'eval', message: '' },
  ];
  for (const message of wrong) assert.equal(readMessage(message), null, JSON.stringify(message));
  fc.assert(fc.property(fc.object(), (message) => readMessage(message) === null));
});

test('interventions of a page are taken as far as they are understood', () => {
  const edit = {
    name: 'Texas',
    isOn: true,
    type: 'features',
    sites: [{ ...site, unit: 2 }],
    places: { start: 1, stop: null },
    kind: 'set',
    factor: -1.5,
  };
  const options = { freeze: { from: 0, to: 2 }, newTokens: 10, sampling: { temperature: 1, topP: 0.5, seed: 3 } };
  const interventions = { edits: [edit], options, sets: [{ name: 'a', edits: [edit], options }] };
  assert.deepEqual(readMessage({ type: 'interventionsChanged', interventions }), {
    type: 'interventionsChanged',
    interventions,
  });
  const broken = [
    { ...edit, factor: Number.NaN },
    { ...edit, kind: 'delete' },
    { ...edit, sites: [{ ...site, pos: -1, unit: 1 }] },
    { ...edit, places: { start: -1, stop: null } },
    { ...edit, name: 7 },
    { ...edit, type: 'patch' },
    null,
  ];
  const read = readMessage({
    type: 'interventionsChanged',
    interventions: { ...interventions, edits: [...broken, edit] },
  });
  assert.ok(read?.type === 'interventionsChanged');
  assert.deepEqual(read.interventions.edits, [edit]);
});

test('each kind of error has the button that helps, and the first match decides', () => {
  assert.equal(remedyFor('engine.version')?.title, 'Reload Window');
  assert.equal(remedyFor('engine.ended')?.title, 'Restart');
  assert.equal(remedyFor('model.missing')?.command, 'promptCircuits.chooseModel');
  assert.equal(remedyFor('prompt.blank'), null);
});

const token = (text: string, start: number) => ({ id: 1, text, range: [start, start + text.length] as const });
const prompt = { type: 'text', text: 'one two' } as const;

test('tokens stand at their old places while the document is the same, else where the prompt is found again', () => {
  const traced = {
    promptText: 'one two',
    prompt,
    tokens: [{ id: 0, text: '<bos>', range: null }, token('one', 0), token(' two', 3)],
    source: { uri: 'file:///a', segments: [[0, 4, 7]] as const },
  };
  const words = (document: string, isSource: boolean): string[][] | undefined =>
    tokenRanges(document, traced, isSource)?.map((ranges) => ranges.map(([a, b]) => document.slice(a, b)));
  assert.deepEqual(words('>>> one two', true), [[], ['one'], [' two']]);
  assert.deepEqual(
    tokenRanges('one two one two', { ...traced, source: { ...traced.source, segments: [[0, 8, 7]] } }, true)?.[1],
    [[8, 11]],
  );
  assert.deepEqual(tokenRanges('moved: one two', traced, true)?.[1], [[7, 10]]);
  assert.deepEqual(words('elsewhere one two', false), [[], ['one'], [' two']]);
  assert.equal(words('something else', true), undefined);
});

test("a chat's tokens are found in order among its words; the template's own are not", () => {
  const traced = {
    promptText: 'Hi Bob',
    prompt: { type: 'chat', messages: [{ role: 'user', content: 'Hi Bob' }] } as const,
    tokens: ['<start>', 'user', '\n', 'Hi', ' Bob', '<end>'].map((text) => ({ id: 0, text, range: null })),
    source: null,
  };
  assert.deepEqual(tokenRanges('Hi Bob', traced, false), [[], [], [], [[0, 2]], [[2, 6]], []]);
});

test('ranges in the document cover as many units as those of the text', () => {
  const segment = fc.tuple(fc.nat(20), fc.integer({ min: 1, max: 9 }));
  fc.assert(
    fc.property(fc.array(segment, { maxLength: 6 }), fc.nat(30), fc.nat(30), (gaps, a, b) => {
      let text = 0;
      let document = 0;
      const segments = gaps.map(([gap, length]) => {
        const made = [text, document + gap, length] as const;
        text += length;
        document += gap + length;
        return made;
      });
      const [start, end] = a < b ? [a, b] : [b, a];
      const covered = rangesInDocument(segments, start, end).reduce((sum, [from, to]) => sum + to - from, 0);
      assert.equal(covered, Math.max(0, Math.min(end, text) - Math.min(start, text)));
    }),
  );
});

test('messages of the comparison are let through, and nothing else', () => {
  const good: unknown[] = [
    { type: 'ready' },
    { type: 'selectNode', side: 'left', node: '1_2_3' },
    { type: 'openTrace', side: 'right', node: null },
    { type: 'openMerged' },
    { type: 'failedAction' },
  ];
  for (const message of good) assert.equal(readComparisonMessage(message), message);
  const bad: unknown[] = [
    null,
    [],
    'ready',
    { type: 'selectNode', side: 'middle', node: '1' },
    { type: 'selectNode', side: 'left', node: null },
    { type: 'openTrace', side: '__proto__', node: null },
    { type: 'openTrace', side: 'left', node: 3 },
    { type: 'intervene' },
  ];
  for (const message of bad) assert.equal(readComparisonMessage(message), null, JSON.stringify(message));
});
