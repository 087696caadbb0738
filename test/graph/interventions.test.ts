import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  type GraphEdit,
  type Interventions,
  keepSet,
  nameOfEdits,
  noInterventions,
  plainRun,
  removeSet,
  renameSet,
  useSet,
} from '../../src/graph/interventions.ts';
import { readInterventions, writeInterventions } from '../../src/graph/interventionsFile.ts';
import { readGraph } from '../../src/graph/readGraph.ts';
import { writeGraph } from '../../src/graph/writeGraph.ts';
import { anyGraph } from '../support/anyGraph.ts';

const count = fc.nat(5000);
const number = fc.double({ min: -1e6, max: 1e6, noNaN: true }).map((value) => value + 0);
const shared = { name: fc.string({ maxLength: 20 }), isOn: fc.boolean() };
const edit: fc.Arbitrary<GraphEdit> = fc.oneof(
  fc.record({
    ...shared,
    type: fc.constant('features' as const),
    sites: fc.array(fc.record({ layer: count, pos: count, feature: count, unit: number }), {
      minLength: 1,
      maxLength: 4,
    }),
    places: fc.oneof(fc.constant('own' as const), fc.record({ start: count, stop: fc.option(count) })),
    kind: fc.constantFrom('scale' as const, 'set' as const, 'add' as const, 'ablate' as const),
    factor: number,
  }),
  fc.record({
    ...shared,
    type: fc.constant('errors' as const),
    sites: fc.array(fc.record({ layer: count, pos: count }), { minLength: 1, maxLength: 4 }),
    factor: number,
  }),
  fc.record({
    ...shared,
    type: fc.constant('patch' as const),
    tokens: fc.array(count, { minLength: 1, maxLength: 6 }),
    pos: fc.option(count),
    fromPos: fc.option(count),
    layer: fc.option(count),
    feature: fc.option(count),
    nodes: fc.constantFrom('features' as const, 'errors' as const, 'all' as const),
  }),
);
const options = fc.record({
  freeze: fc.oneof(
    fc.constantFrom('nothing' as const, 'attention' as const),
    fc.tuple(count, count).map(([a, b]) => ({ from: Math.min(a, b), to: Math.max(a, b) })),
  ),
  newTokens: fc.nat(4096),
  sampling: fc.option(fc.record({ temperature: number, topP: number, seed: count })),
});
const anyInterventions: fc.Arbitrary<Interventions> = fc
  .record({
    edits: fc.array(edit, { maxLength: 3 }),
    options,
    sets: fc.uniqueArray(
      fc.record({ name: fc.string({ maxLength: 8 }), edits: fc.array(edit, { maxLength: 2 }), options }),
      {
        selector: ({ name }) => name,
        maxLength: 3,
      },
    ),
  })
  .map((value) => structuredClone(value));

test('edits and named sets of them come back from the file with the graph', () => {
  fc.assert(
    fc.property(anyGraph, anyInterventions, (graph, interventions) => {
      const isKept = interventions.edits.length > 0 || interventions.sets.length > 0;
      const read = readGraph(writeGraph({ ...graph, interventions })).graph;
      assert.deepEqual(read.interventions, isKept ? interventions : undefined);
      assert.deepEqual({ ...read, interventions: undefined }, { ...graph, interventions: undefined });
    }),
    { numRuns: 60 },
  );
});

test('other viewers find the same file as without them: only our own section differs', () => {
  fc.assert(
    fc.property(anyGraph, anyInterventions, (graph, interventions) => {
      const [plain, full] = [writeGraph(graph), writeGraph({ ...graph, interventions })].map((text) => {
        const { metadata, ...rest } = JSON.parse(text);
        const { prompt_circuits: own, ...others } = metadata;
        return { ...rest, metadata: { ...others, prompt_circuits: { ...own, interventions: undefined } } };
      });
      assert.deepEqual(full, plain);
    }),
    { numRuns: 30 },
  );
});

test('whatever stands in the file instead, nothing but edits is read', () => {
  fc.assert(
    fc.property(fc.anything(), fc.array(fc.anything()), fc.array(edit), (anything, list, edits) => {
      for (const value of [
        anything,
        { edits: list, sets: list, options: anything },
        { edits: [...list, ...edits], sets: anything },
      ]) {
        const read = readInterventions(value);
        assert.deepEqual(
          readInterventions(JSON.parse(JSON.stringify(writeInterventions(read) ?? {}))).edits,
          read.edits,
        );
      }
    }),
  );
  const many = {
    edits: Array.from({ length: 9999 }, () => ({})),
    sets: Array.from({ length: 9999 }, () => ({ name: 'x' })),
  };
  assert.deepEqual(readInterventions(many).edits, []);
  assert.equal(readInterventions(many).sets.length, 1);
  assert.equal(readInterventions({ options: { newTokens: 1e12 } }).options.newTokens, 4096);
});

test('a set is kept under a name, put on the table, renamed and deleted', () => {
  const texas: GraphEdit = {
    ...{ type: 'features', name: 'Texas', isOn: true, places: 'own', kind: 'scale', factor: 0 },
    sites: [{ layer: 1, pos: 2, feature: 3, unit: 1 }],
  };
  const kept = keepSet({ ...noInterventions, edits: [texas] }, 'Texas off');
  assert.equal(nameOfEdits(kept), 'Texas off');
  const changed = { ...kept, edits: [{ ...texas, factor: 2 }] };
  assert.equal(nameOfEdits(changed), null);
  const two = keepSet(changed, 'Texas twice');
  assert.deepEqual(
    two.sets.map(({ name }) => name),
    ['Texas off', 'Texas twice'],
  );
  assert.deepEqual(useSet(two, 'Texas off').edits, [texas]);
  assert.deepEqual(useSet(two, 'no such').edits, two.edits);
  assert.equal(keepSet(changed, 'Texas off').sets.length, 1);
  const renamed = renameSet(two, 'Texas twice', 'twice');
  assert.deepEqual([renamed.sets[1].name, nameOfEdits(renamed)], ['twice', 'twice']);
  // A name is a set's own: the one that had it gives way.
  assert.equal(renameSet(two, 'Texas twice', 'Texas off').sets.length, 1);
  assert.equal(renameSet(two, 'Texas off', 'Texas off'), two);
  assert.deepEqual(removeSet(removeSet(two, 'Texas off'), 'Texas twice').sets, []);
  assert.equal(nameOfEdits({ ...kept, options: { ...plainRun, newTokens: 10 } }), null);
});
