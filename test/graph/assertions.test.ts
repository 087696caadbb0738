import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Ajv } from 'ajv';
import fc from 'fast-check';
import { readAssertionFile, writeAssertionFile } from '../../src/graph/assertionFile.ts';
import { judge, type Likelihood, membersOf, sitesToAblate } from '../../src/graph/assertions.ts';
import { junitXml, type TestOutcome } from '../../src/graph/junit.ts';
import { UserError } from '../../src/protocol/errors.ts';
import { dallasGraph } from '../support/smallGraph.ts';

const schemaFile = join(import.meta.dirname, '..', '..', 'media', 'circuit-test.schema.json');
const followsSchema = new Ajv({ allErrors: true, strict: false }).compile(JSON.parse(readFileSync(schemaFile, 'utf8')));

const predictions: readonly Likelihood[] = [
  { text: ' Austin', probability: 0.9 },
  { text: ' Boston', probability: 0.05 },
];
const withoutTexas: readonly Likelihood[] = [
  { text: ' Sacramento', probability: 0.6 },
  { text: ' Austin', probability: 0.1 },
];
const supernodes = {
  Texas: [{ label: 'texas' }, { layer: 1, feature: 11, token: ' Dallas' }],
  nobody: [{ layer: 9 }],
};

function fileWith(statement: object): string {
  return JSON.stringify({
    version: 1,
    tests: [{ name: 'Dallas', prompt: 'capital Dallas is', supernodes, expect: [statement] }],
  });
}

function checkStatement(statement: object, holds: boolean, message: RegExp): void {
  const [dallas] = readAssertionFile(fileWith(statement)).tests;
  const evidence = { graph: dallasGraph(), predictions };
  const sites = sitesToAblate(dallas.statements[0], dallas, evidence.graph);
  const verdict = judge(dallas.statements[0], dallas, evidence, sites?.length ? withoutTexas : null);
  assert.equal(verdict.holds, holds, verdict.message);
  assert.match(verdict.message, message);
}

function checkRefused(text: string, message: RegExp): void {
  assert.throws(
    () => readAssertionFile(text),
    (error) => error instanceof UserError && message.test(error.message),
  );
}

test('a statement about the top token holds for that token alone', () => {
  checkStatement({ topToken: ' Austin' }, true, /^The most likely token is " Austin" \(90\.0 %\)\.$/);
  checkStatement({ topToken: ' Boston' }, false, /is " Austin" \(90\.0 %\), not " Boston"\.$/);
  checkStatement({ topToken: 'Austin' }, false, /differ only in the space/);
  checkStatement({ notTopToken: ' Boston' }, true, /" Austin"/);
  checkStatement({ notTopToken: ' Austin' }, false, /" Austin"/);
});

test('a statement about a probability holds within its bounds', () => {
  checkStatement({ probability: ' Austin', atLeast: 0.8 }, true, /90\.0 %\.$/);
  checkStatement({ probability: ' Austin', atLeast: 0.95 }, false, /90\.0 %; at least 95\.0 % was stated\.$/);
  checkStatement({ probability: ' Boston', atLeast: 0.01, atMost: 0.04 }, false, /at least 1\.0 % and at most 4\.0 %/);
  checkStatement({ probability: ' Paris', atLeast: 0.01 }, false, /not among the 2 most likely/);
  checkStatement({ probability: ' Paris', atMost: 0.06 }, true, /not among the 2 most likely/);
  checkStatement({ probability: ' Paris', atMost: 0.04 }, false, /not among the 2 most likely/);
});

test('a supernode carries what the graph says', () => {
  checkStatement(
    { carries: 'Texas', to: ' Austin', atLeast: 0.37 },
    true,
    /\(2 nodes\) carries to " Austin" 37\.5 %\.$/,
  );
  checkStatement({ carries: 'Texas', to: ' Austin', atLeast: 0.38 }, false, /37\.5 %; at least 38\.0 % was stated/);
  checkStatement({ carries: 'Texas', to: ' Paris', atLeast: 0.1 }, false, /" Paris" is not explained.*" Austin"/);
  checkStatement({ carries: 'nobody', to: ' Austin', atMost: 1 }, false, /No feature in the graph belongs to "nobody"/);
});

test('a statement about an ablation is held against the run without the supernode', () => {
  checkStatement(
    { ablate: 'Texas', topToken: ' Sacramento' },
    true,
    /^With "Texas" ablated, the most likely token is " Sacramento"/,
  );
  checkStatement({ ablate: 'Texas', topToken: ' Austin' }, false, /ablated.*not " Austin"/);
  checkStatement({ ablate: 'Texas', probability: ' Austin', atMost: 0.2 }, true, /ablated.*10\.0 %/);
  checkStatement({ ablate: 'nobody', topToken: ' Austin' }, false, /No feature in the graph belongs to "nobody"/);
});

test('a statement about a score holds within its bounds', () => {
  checkStatement({ score: 'replacement', atLeast: 0.5 }, true, /50\.0 %/);
  checkStatement({ score: 'completeness', atLeast: 0.8 }, false, /75\.0 %; at least 80\.0 %/);
});

test('members are the features that agree in all that is said of them', () => {
  const graph = dallasGraph({ labels: { '1_11_1': 'the state of Texas' } });
  const all = { layer: null, feature: null, pos: null, token: null, label: null };
  const ids = (member: object) => membersOf(graph, [{ ...all, ...member }]).map((index) => graph.nodes[index].id);
  assert.deepEqual(ids({ label: 'TEXAS' }), ['1_10_1', '1_11_1']);
  assert.deepEqual(ids({ label: 'texas', feature: 11 }), ['1_11_1']);
  assert.deepEqual(ids({ token: ' is' }), ['2_20_2']);
  assert.deepEqual(ids({ pos: 1, layer: 2 }), []);
});

test('the features to ablate are those of the supernode, each at its place', () => {
  const [dallas] = readAssertionFile(fileWith({ ablate: 'Texas', topToken: ' x' })).tests;
  assert.deepEqual(sitesToAblate(dallas.statements[0], dallas, dallasGraph()), [
    { layer: 1, pos: 1, feature: 10 },
    { layer: 1, pos: 1, feature: 11 },
  ]);
});

test('a file that says something else is refused with the place', () => {
  checkRefused('[', /not JSON/);
  checkRefused('[]', /the file must be an object/);
  checkRefused('{"version": 2, "tests": []}', /version must be 1/);
  checkRefused('{"version": 1, "tests": 3}', /tests must be a list/);
  checkRefused('{"version": 1, "model": "x", "tests": []}', /go together/);
  checkRefused(fileWith({ topTokn: ' a' }), /tests\[0\]\.expect\[0\] must have one of/);
  checkRefused(fileWith({ topToken: ' a', notTopToken: ' b' }), /must have one of/);
  checkRefused(fileWith({ topToken: ' a', atLeast: 0.5 }), /has a field "atLeast"/);
  checkRefused(fileWith({ probability: ' a' }), /expect\[0\] needs atLeast/);
  checkRefused(fileWith({ probability: ' a', atLeast: 2 }), /atLeast must be a number from 0 to 1/);
  checkRefused(fileWith({ probability: ' a', atLeast: 0.6, atMost: 0.5 }), /must not be above/);
  checkRefused(fileWith({ carries: 'Utah', to: ' a', atLeast: 0.5 }), /"Utah", which is not under supernodes/);
  checkRefused(fileWith({ score: 'beauty', atLeast: 0.5 }), /score must be/);
  checkRefused('{"version":1,"tests":[{"name":"a","prompt":[],"expect":[{"topToken":"a"}]}]}', /prompt must be/);
  checkRefused('{"version":1,"tests":[{"name":"a","prompt":"a","expect":[]}]}', /has no statement/);
});

const share = fc.double({ min: 0, max: 1, noNaN: true }).map((value) => value + 0);
const text = fc.string({ minLength: 1, maxLength: 8 });
const bounds = fc.oneof(
  share.map((atLeast) => ({ atLeast, atMost: null })),
  fc.tuple(share, share).map(([a, b]) => ({ atLeast: Math.min(a, b), atMost: Math.max(a, b) })),
);
const anyStatement = (name: string) =>
  fc.oneof(
    fc.record({
      type: fc.constant('score' as const),
      score: fc.constantFrom('replacement' as const, 'completeness' as const),
      bounds,
    }),
    fc.record({ type: fc.constant('carries' as const), supernode: fc.constant(name), to: text, bounds }),
    fc.record({
      type: fc.constant('predicts' as const),
      ablated: fc.option(fc.constant(name)),
      claim: fc.oneof(
        fc.record({ type: fc.constantFrom('top token' as const, 'not top token' as const), token: text }),
        fc.record({ type: fc.constant('probability' as const), token: text, bounds }),
      ),
    }),
  );
const anyFile = text.chain((name) => {
  const member = fc.record({
    layer: fc.nat(40),
    feature: fc.option(fc.nat()),
    pos: fc.option(fc.nat(99)),
    token: fc.option(text),
    label: fc.option(text),
  });
  const prompt = fc.oneof(
    text.map((words) => ({ type: 'text' as const, text: words })),
    fc.array(fc.nat(), { minLength: 1 }).map((ids) => ({ type: 'tokens' as const, ids })),
    fc
      .array(fc.record({ role: text, content: text }), { minLength: 1 })
      .map((messages) => ({ type: 'chat' as const, messages })),
  );
  return fc.record({
    model: fc.constant('m'),
    transcoders: text,
    tests: fc.array(
      fc.record({
        name: text,
        prompt,
        supernodes: fc.array(member, { minLength: 1, maxLength: 2 }).map((members) => new Map([[name, members]])),
        statements: fc.array(anyStatement(name), { minLength: 1, maxLength: 4 }),
      }),
      { maxLength: 3 },
    ),
  });
});

test('a file that is written and read has the same tests, and follows the schema', () => {
  fc.assert(
    fc.property(anyFile, (file) => {
      const written = writeAssertionFile(file);
      const again = readAssertionFile(written);
      assert.deepEqual(JSON.stringify(again), JSON.stringify(structuredClone(file)));
      assert.deepEqual([...again.tests.flatMap((one) => [...one.supernodes])].length, file.tests.length);
      assert.equal(writeAssertionFile(again), written);
      assert.ok(followsSchema(JSON.parse(written)), JSON.stringify(followsSchema.errors));
    }),
  );
});

test('what the schema refuses, the reader refuses too, and the other way round', () => {
  const statements: object[] = [
    { topToken: ' a' },
    { topToken: '' },
    { topToken: ' a', atLeast: 0.1 },
    { topToken: ' a', notTopToken: ' b' },
    { probability: ' a' },
    { probability: ' a', atMost: 1.5 },
    { probability: ' a', atMost: 0.5, ablate: 'Texas' },
    { carries: 'Texas', atLeast: 0.1 },
    { carries: 'Texas', to: ' a', atLeast: 0.1, ablate: 'Texas' },
    { carries: 'Texas', to: ' a', atLeast: 0.1 },
    { score: 'replacement', atLeast: 0.1 },
    { score: 'other', atLeast: 0.1 },
    { ablate: 'Texas' },
    {},
  ];
  for (const statement of statements) {
    const written = fileWith(statement);
    let isRead = true;
    try {
      readAssertionFile(written);
    } catch (error) {
      assert.ok(error instanceof UserError);
      isRead = false;
    }
    assert.equal(followsSchema(JSON.parse(written)), isRead, written);
  }
});

test('build servers get a case for each test, with what failed and why', () => {
  const [dallas] = readAssertionFile(fileWith({ topToken: ' x' })).tests;
  const [statement] = dallas.statements;
  const outcome = { file: 'a.circuit-test.json', milliseconds: 1500, problem: null, verdicts: [] };
  const outcomes: TestOutcome[] = [
    { ...outcome, name: 'good', verdicts: [{ statement, holds: true, message: 'yes' }] },
    { ...outcome, name: '<bad> & "odd"\u0000\ud800', verdicts: [{ statement, holds: false, message: 'is "a" <b>' }] },
    { ...outcome, file: 'b.circuit-test.json', name: 'broken', problem: 'no model' },
  ];
  assert.equal(
    junitXml(outcomes),
    [
      '<?xml version="1.0" encoding="UTF-8"?>',
      '<testsuites>',
      '  <testsuite name="a.circuit-test.json" tests="2" failures="1" errors="0" time="3.000">',
      '    <testcase classname="a.circuit-test.json" name="good" time="1.500"/>',
      '    <testcase classname="a.circuit-test.json" name="&#60;bad&#62; &#38; &#34;odd&#34;\ufffd\ufffd" time="1.500">',
      '      <failure message="is &#34;a&#34; &#60;b&#62;">is &#34;a&#34; &#60;b&#62;</failure>',
      '    </testcase>',
      '  </testsuite>',
      '  <testsuite name="b.circuit-test.json" tests="1" failures="0" errors="1" time="1.500">',
      '    <testcase classname="b.circuit-test.json" name="broken" time="1.500">',
      '      <error message="no model">no model</error>',
      '    </testcase>',
      '  </testsuite>',
      '</testsuites>',
      '',
    ].join('\n'),
  );
});
