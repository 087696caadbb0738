import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { circuitTestOf } from '../../src/graph/assertionDraft.ts';
import { readAssertionFile, writeAssertionFile } from '../../src/graph/assertionFile.ts';
import { assertionPlaces } from '../../src/graph/assertionPlaces.ts';
import { judge } from '../../src/graph/assertions.ts';
import { dallasGraph } from '../support/smallGraph.ts';

const supernodes = [
  { label: 'Texas', members: ['1_10_1', '1_11_1', 'E_6_1', 'gone'] },
  { label: 'say Austin', members: ['2_20_2'] },
  { label: 'tokens', members: ['E_6_1'] },
  { label: '', members: ['2_20_2'] },
];
const predictions = [
  { text: ' Austin', probability: 0.9 },
  { text: ' Boston', probability: 0.05 },
];
const prompt = { type: 'text', text: 'capital Dallas is' } as const;

test('a circuit test made from a trace holds for this trace', () => {
  const graph = dallasGraph({ supernodes });
  const after = [{ text: ' Sacramento', probability: 0.5 }];
  const draft = circuitTestOf(graph, prompt, predictions, [{ supernode: 'Texas', predictions: after }]);
  const [again] = readAssertionFile(writeAssertionFile({ model: null, transcoders: null, tests: [draft] })).tests;
  for (const statement of again.statements) {
    const verdict = judge(statement, again, { graph, predictions }, after);
    assert.ok(verdict.holds, verdict.message);
  }
  assert.deepEqual(JSON.parse(writeAssertionFile({ model: null, transcoders: null, tests: [draft] })).tests[0], {
    name: 'capital Dallas is → Austin',
    prompt: 'capital Dallas is',
    supernodes: {
      Texas: [
        { layer: 1, feature: 10, token: ' Dallas' },
        { layer: 1, feature: 11, token: ' Dallas' },
      ],
      'say Austin': [{ layer: 2, feature: 20, token: ' is' }],
    },
    expect: [
      { topToken: ' Austin' },
      { probability: ' Austin', atLeast: 0.72 },
      { carries: 'Texas', to: ' Austin', atLeast: 0.3 },
      { carries: 'say Austin', to: ' Austin', atLeast: 0.6 },
      { ablate: 'Texas', topToken: ' Sacramento' },
    ],
  });
});

test('each test and each statement is found where it stands in its file', () => {
  const [quotes, brackets] = ['a "quoted" \\ name', '}],{["expect":'];
  const name = fc.oneof(fc.string(), fc.constantFrom(quotes, brackets)).map((text) => text || 'x');
  const indent = fc.constantFrom(0, 1, 4);
  fc.assert(
    fc.property(
      fc.array(fc.array(name, { minLength: 1, maxLength: 3 }), { maxLength: 4 }),
      indent,
      (tokens, spaces) => {
        const tests = tokens.map((list) => ({
          expect: list.map((topToken) => ({ topToken })),
          name: list[0],
          supernodes: { expect: [{ label: list[0] }], tests: [{ layer: 1 }] },
          prompt: [{ role: 'user', content: list[0] }],
        }));
        const text = JSON.stringify({ tests, version: 1 }, null, spaces);
        const places = assertionPlaces(text);
        assert.equal(places.length, tests.length);
        for (const [index, place] of places.entries()) {
          assert.deepEqual(JSON.parse(text.slice(...place.test)), tests[index]);
          assert.deepEqual(
            place.statements.map((range) => JSON.parse(text.slice(...range))),
            tests[index].expect,
          );
        }
      },
    ),
  );
});
