import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { writeTensors } from '../../src/cli/tensorFile.ts';
import { EngineProcess } from '../../src/host/engineProcess.ts';
import { type DialogSession, PageDialog } from '../../src/host/panel/pageDialog.ts';
import { type DraftContext, judgeDraft } from '../../src/host/traceDraftCheck.ts';
import { defaultAttribution } from '../../src/protocol/engine.ts';
import type { ToPanel } from '../../src/protocol/panel.ts';
import { draftOf, isDraft, readDraft, type TraceCheck, type TraceDraft } from '../../src/protocol/traceDialog.ts';

const root = path.resolve(import.meta.dirname, '../..');
const builtIn = path.join(root, 'media/built-in-model');
const pair = { model: path.join(builtIn, 'model'), transcoders: path.join(builtIn, 'per-layer') };
const engine = new EngineProcess({
  modulePath: path.join(root, 'src/engine/main.ts'),
  version: '0.0.0',
  cancelPatience: 30_000,
  log: () => {},
});
const folder = mkdtempSync(path.join(tmpdir(), 'draft-'));
after(() => {
  engine.dispose();
  rmSync(folder, { recursive: true, force: true });
});

const usual = draftOf(defaultAttribution);
const context: DraftContext = { engine, pair, usual: defaultAttribution, nTokens: 10 };
const judge = (draft: Partial<TraceDraft>) => judgeDraft(context, { ...usual, ...draft }, 1);
const errorsOf = async (draft: Partial<TraceDraft>) => (await judge(draft)).check.errors;
const width = 128;

test("the settings' own draft has no errors and gives back the settings and an estimate", async () => {
  const { check, options } = await judge({});
  assert.deepEqual(check.errors, {});
  assert.deepEqual(options, {
    targets: { type: 'top' },
    settings: defaultAttribution,
    positions: { explainedAt: null, attributed: null, sources: null },
  });
  assert.match(check.estimate?.words ?? '', /^about .+ of memory$/);
  assert.equal(check.estimate?.verdict, 'fits');
});

test('a difference of two tokens says what both are to the model, and is settled', async () => {
  const { check, options } = await judge({ target: 'difference', a: ' Austin', b: ' Sacramento' });
  assert.deepEqual(check.errors, {});
  assert.deepEqual(
    [check.pieces.a, check.pieces.b].map((pieces) => pieces?.map(({ text }) => text)),
    [[' Austin'], [' Sacramento']],
  );
  assert.deepEqual(options?.targets, { type: 'difference', a: ' Austin', b: ' Sacramento' });
});

test('a text that is several tokens is told at its field, with its tokens; one that only lacks its space, too', async () => {
  const { check, options } = await judge({ target: 'tokens', tokens: [' Austin', ' Austin is', ''] });
  assert.equal(options, null);
  assert.deepEqual(Object.keys(check.errors), ['tokens.1']);
  assert.match(check.errors['tokens.1'] ?? '', /2 tokens/);
  assert.equal(check.pieces['tokens.1']?.length, 2);
  assert.match((await errorsOf({ target: 'tokens', tokens: [''] }))['tokens.0'] ?? '', /Write a token/);
  assert.match((await errorsOf({ target: 'difference', a: ' Austin', b: ' Austin' })).b ?? '', /same token/);
  assert.match((await errorsOf({ target: 'difference', a: '', b: ' Austin' })).a ?? '', /Write a token/);
});

test('ids are shown as what they mean; unknown ones and words are refused', async () => {
  const { check, options } = await judge({ target: 'ids', ids: '40, 41' });
  assert.deepEqual(options?.targets, { type: 'ids', ids: [40, 41] });
  assert.deepEqual(
    check.pieces.ids?.map(({ id }) => id),
    [40, 41],
  );
  assert.match((await errorsOf({ target: 'ids', ids: '40, 99999' })).ids ?? '', /no token 99999.*0 to \d+/);
  assert.match((await errorsOf({ target: 'ids', ids: '40, x' })).ids ?? '', /"x" is no token id/);
  assert.match((await errorsOf({ target: 'ids', ids: '' })).ids ?? '', /Give token ids/);
});

test('directions come from a file of vectors; a wrong length, no number and an unknown file are told', async () => {
  const vectors = (name: string, tensors: Record<string, Float32Array>) => {
    const file = path.join(folder, name);
    writeTensors(file, new Map(Object.entries(tensors).map(([key, data]) => [key, { shape: [data.length], data }])));
    return file;
  };
  const good = new Float32Array(width).fill(0.5);
  const { check, options } = await judge({
    target: 'directions',
    directionsFile: vectors('two.safetensors', { truth: good, lie: good }),
  });
  assert.deepEqual([...check.directions].sort(), ['lie', 'truth']);
  assert.ok(options?.targets.type === 'directions' && options.targets.directions[0].vector.length === width);
  assert.deepEqual(
    options.targets.directions.map(({ probability }) => probability),
    [0.5, 0.5],
  );
  const told = async (directionsFile: string) =>
    (await errorsOf({ target: 'directions', directionsFile })).directionsFile;
  assert.match((await told(vectors('short.safetensors', { a: good.slice(1) }))) ?? '', /127 numbers; .*width is 128/);
  assert.match((await told(vectors('nan.safetensors', { a: good.with(3, Number.NaN) }))) ?? '', /NaN at place 3/);
  assert.match((await told(path.join(folder, 'absent.npz'))) ?? '', /no file/);
  assert.match((await told('')) ?? '', /Choose a file/);
  assert.match((await told(path.join(folder, 'a.pt'))) ?? '', /no known kind/);
  const json = path.join(folder, 'some.json');
  writeFileSync(json, JSON.stringify({ mine: Array.from(good) }));
  assert.equal(await told(json), undefined);
  writeFileSync(json, JSON.stringify({ mine: ['x'] }));
  assert.match((await told(json)) ?? '', /place 0/);
});

test('numbers and positions out of range are told at their fields, and only where they are asked for', async () => {
  assert.deepEqual(Object.keys(await errorsOf({ maxLogits: '0', logitProbability: '1.5', batchSize: 'many' })).sort(), [
    'batchSize',
    'logitProbability',
    'maxLogits',
  ]);
  assert.deepEqual(await errorsOf({ target: 'ids', ids: '1', maxLogits: '0' }), {});
  assert.deepEqual(await errorsOf({ featureCount: 'x' }), {});
  const { check } = await judge({ features: 'number', featureCount: 'x' });
  assert.deepEqual([Object.keys(check.errors), check.estimate], [['featureCount'], null]);
  assert.match((await errorsOf({ sources: '3-40' })).sources ?? '', /outside the prompt of 10 tokens/);
  assert.match((await errorsOf({ explainedAt: '10' })).explainedAt ?? '', /0 to 9/);
  const { options } = await judge({ nodeThreshold: '0,5', explainedAt: '4', attributed: '2-3' });
  assert.equal(options?.settings.nodeThreshold, 0.5);
  assert.deepEqual(options?.positions, { explainedAt: 4, attributed: [{ from: 2, to: 3 }], sources: null });
});

test('whatever memory or a page holds becomes a draft, and a draft stays what it is', () => {
  const text = fc.string({ maxLength: 20 });
  fc.assert(
    fc.property(
      fc.record({ target: fc.anything(), tokens: fc.anything(), a: fc.anything(), features: text }),
      (given) => {
        const draft = readDraft(given, usual);
        assert.ok(isDraft(draft));
        assert.deepEqual(readDraft(draft, usual), draft);
      },
    ),
  );
  assert.ok(!isDraft({ ...usual, target: 'all' }));
  assert.ok(!isDraft({ ...usual, tokens: [1] }));
  assert.ok(!isDraft({ ...usual, a: 'x'.repeat(5000) }));
  assert.ok(!isDraft(null));
  assert.deepEqual(readDraft(undefined, usual), usual);
});

test('what is written in the dialog comes back with the page, is judged newest first, and is kept when it is left', async () => {
  const said: ToPanel[] = [];
  const kept: TraceDraft[] = [];
  const judged: number[] = [];
  const session: DialogSession = {
    setup: { promptTokens: ['a'], model: 'm', suggestions: [], draft: usual, defaults: usual },
    check: async (_, number) => {
      judged.push(number);
      return { number, errors: {}, pieces: {}, directions: [], estimate: null } satisfies TraceCheck;
    },
    pickDirections: async () => '/tmp/x.npz',
    start: async (_, number) =>
      number > 5 ? null : { number, errors: { a: 'no' }, pieces: {}, directions: [], estimate: null },
    close: (draft) => kept.push(draft),
  };
  const dialog = new PageDialog((message) => said.push(message));
  dialog.open(session);
  const drafts = [1, 2, 3, 4].map((number) => ({ number, draft: { ...usual, a: `${number}` } }));
  await Promise.all(drafts.map((each) => dialog.receive({ type: 'checkTrace', ...each })));
  assert.deepEqual(judged, [1, 4], 'drafts that were overtaken are not judged');
  dialog.say();
  const again = said.at(-1);
  assert.ok(again?.type === 'traceDialog' && again.setup.draft.a === '4');
  await dialog.receive({ type: 'traceDialog', action: 'pickDirections' });
  assert.deepEqual(said.at(-1), { type: 'directionsPicked', file: '/tmp/x.npz' });
  await dialog.receive({ type: 'startTrace', number: 5, draft: usual });
  assert.ok(said.at(-1)?.type === 'traceChecked', 'a start that is refused leaves the dialog open');
  await dialog.receive({ type: 'traceDialog', action: 'close' });
  assert.deepEqual([said.at(-1)?.type, kept], ['traceDialogClosed', [usual]]);
  dialog.open(session);
  await dialog.receive({ type: 'startTrace', number: 6, draft: usual });
  assert.deepEqual([said.at(-1)?.type, kept.length], ['traceDialogClosed', 1]);
});
