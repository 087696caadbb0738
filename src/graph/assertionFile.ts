import { UserError } from '../protocol/errors.ts';
import type { Bounds, CircuitTest, Claim, Member, Statement, TestPrompt } from './assertions.ts';
import { asCount, isObject, type JsonObject, parseJson } from './json.ts';

/** What is in a `*.circuit-test.json` file; `media/circuit-test.schema.json` describes it for the editor. */
export type CircuitTestFile = {
  /** Folders relative to the file; null: the pair that the caller has. */
  readonly model: string | null;
  readonly transcoders: string | null;
  readonly tests: readonly CircuitTest[];
};

const maxTests = 1000;

/**
 * Reads a file of circuit tests.
 * @throws UserError that names the place in the file, such as `tests[0].expect[1].atLeast`
 */
export function readAssertionFile(text: string): CircuitTestFile {
  const file = objectAt(parseJson(text, 'The circuit test').value, 'the file');
  onlyFields(file, ['$schema', 'version', 'model', 'transcoders', 'tests'], 'the file');
  if (file.version !== 1) throw wrong('version', 'must be 1');
  const tests = listAt(file.tests, 'tests');
  if (tests.length > maxTests) throw wrong('tests', `has ${tests.length} entries; at most ${maxTests} are run`);
  const model = optionalText(file.model, 'model');
  const transcoders = optionalText(file.transcoders, 'transcoders');
  if ((model === null) !== (transcoders === null))
    throw wrong('model', 'and transcoders go together: name both or neither');
  return { model, transcoders, tests: tests.map((test, index) => testAt(test, `tests[${index}]`)) };
}

/** The tests as text of such a file, made to be read and edited. */
export function writeAssertionFile(file: CircuitTestFile): string {
  const tests = file.tests.map((test) => ({
    name: test.name,
    prompt: promptJson(test.prompt),
    ...(test.supernodes.size === 0
      ? {}
      : {
          supernodes: Object.fromEntries(Array.from(test.supernodes, ([name, members]) => [name, members.map(known)])),
        }),
    expect: test.statements.map(statementJson),
  }));
  const pair = file.model === null ? {} : { model: file.model, transcoders: file.transcoders };
  return `${JSON.stringify({ version: 1, ...pair, tests }, null, 2)}\n`;
}

function testAt(value: unknown, place: string): CircuitTest {
  const test = objectAt(value, place);
  onlyFields(test, ['name', 'prompt', 'supernodes', 'expect'], place);
  const groups = test.supernodes === undefined ? {} : objectAt(test.supernodes, `${place}.supernodes`);
  const supernodes = new Map(
    Object.entries(groups).map(([name, members]) => [
      name,
      membersAt(members, `${place}.supernodes[${JSON.stringify(name)}]`),
    ]),
  );
  const statements = listAt(test.expect, `${place}.expect`).map((statement, index) =>
    statementAt(statement, supernodes, `${place}.expect[${index}]`),
  );
  if (statements.length === 0) throw wrong(`${place}.expect`, 'has no statement');
  return {
    name: textAt(test.name, `${place}.name`),
    prompt: promptAt(test.prompt, `${place}.prompt`),
    supernodes,
    statements,
  };
}

function promptAt(value: unknown, place: string): TestPrompt {
  if (typeof value === 'string' && value !== '') return { type: 'text', text: value };
  if (!Array.isArray(value) || value.length === 0)
    throw wrong(place, 'must be a text, a list of token ids, or a list of messages');
  const ids = value.map(asCount);
  if (ids.every((id) => id !== null)) return { type: 'tokens', ids };
  const messages = value.map((message, index) => {
    const { role, content } = objectAt(message, `${place}[${index}]`);
    return { role: textAt(role, `${place}[${index}].role`), content: textAt(content, `${place}[${index}].content`) };
  });
  return { type: 'chat', messages };
}

function membersAt(value: unknown, place: string): readonly Member[] {
  const members = listAt(value, place).map((entry, index) => {
    const at = `${place}[${index}]`;
    const member = objectAt(entry, at);
    const fields = ['layer', 'feature', 'pos', 'token', 'label'];
    onlyFields(member, fields, at);
    if (!fields.some((name) => member[name] !== undefined)) throw wrong(at, 'must say which features are meant');
    return {
      layer: optionalCount(member.layer, `${at}.layer`),
      feature: optionalCount(member.feature, `${at}.feature`),
      pos: optionalCount(member.pos, `${at}.pos`),
      token: optionalText(member.token, `${at}.token`),
      label: optionalText(member.label, `${at}.label`),
    };
  });
  if (members.length === 0) throw wrong(place, 'has no member');
  return members;
}

function statementAt(value: unknown, supernodes: ReadonlyMap<string, unknown>, place: string): Statement {
  const statement = objectAt(value, place);
  const supernode = (name: 'ablate' | 'carries') => {
    const text = textAt(statement[name], `${place}.${name}`);
    if (!supernodes.has(text))
      throw wrong(`${place}.${name}`, `names ${JSON.stringify(text)}, which is not under supernodes`);
    return text;
  };
  if (statement.carries !== undefined) {
    onlyFields(statement, ['carries', 'to', 'atLeast', 'atMost'], place);
    return {
      type: 'carries',
      supernode: supernode('carries'),
      to: textAt(statement.to, `${place}.to`),
      bounds: boundsAt(statement, place),
    };
  }
  if (statement.score !== undefined) {
    onlyFields(statement, ['score', 'atLeast', 'atMost'], place);
    const { score } = statement;
    if (score !== 'replacement' && score !== 'completeness')
      throw wrong(`${place}.score`, 'must be "replacement" or "completeness"');
    return { type: 'score', score, bounds: boundsAt(statement, place) };
  }
  return {
    type: 'predicts',
    ablated: statement.ablate === undefined ? null : supernode('ablate'),
    claim: claimAt(statement, place),
  };
}

function claimAt(statement: JsonObject, place: string): Claim {
  const [name, ...others] = ['topToken', 'notTopToken', 'probability'].filter(
    (claim) => statement[claim] !== undefined,
  );
  if (name === undefined || others.length > 0) {
    throw wrong(place, 'must have one of topToken, notTopToken, probability, carries and score');
  }
  const token = textAt(statement[name], `${place}.${name}`);
  onlyFields(statement, ['ablate', name, ...(name === 'probability' ? ['atLeast', 'atMost'] : [])], place);
  if (name === 'probability') return { type: 'probability', token, bounds: boundsAt(statement, place) };
  return { type: name === 'topToken' ? 'top token' : 'not top token', token };
}

function boundsAt(statement: JsonObject, place: string): Bounds {
  const bound = (name: 'atLeast' | 'atMost') => {
    const value = statement[name];
    if (value === undefined) return null;
    if (typeof value === 'number' && value >= 0 && value <= 1) return value;
    throw wrong(`${place}.${name}`, 'must be a number from 0 to 1');
  };
  const bounds = { atLeast: bound('atLeast'), atMost: bound('atMost') };
  if (bounds.atLeast === null && bounds.atMost === null) throw wrong(place, 'needs atLeast, atMost or both');
  if ((bounds.atLeast ?? 0) > (bounds.atMost ?? 1)) throw wrong(`${place}.atLeast`, 'must not be above atMost');
  return bounds;
}

function statementJson(statement: Statement): JsonObject {
  if (statement.type === 'score') return { score: statement.score, ...known(statement.bounds) };
  if (statement.type === 'carries') {
    return { carries: statement.supernode, to: statement.to, ...known(statement.bounds) };
  }
  const { ablated, claim } = statement;
  const when = ablated === null ? {} : { ablate: ablated };
  if (claim.type === 'probability') return { ...when, probability: claim.token, ...known(claim.bounds) };
  return { ...when, [claim.type === 'top token' ? 'topToken' : 'notTopToken']: claim.token };
}

function promptJson(prompt: TestPrompt): unknown {
  if (prompt.type === 'text') return prompt.text;
  return prompt.type === 'tokens' ? prompt.ids : prompt.messages;
}

/** The fields that are not null. */
function known(value: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(value).filter(([, field]) => field !== null));
}

function objectAt(value: unknown, place: string): JsonObject {
  if (!isObject(value)) throw wrong(place, 'must be an object');
  return value;
}

function listAt(value: unknown, place: string): readonly unknown[] {
  if (!Array.isArray(value)) throw wrong(place, 'must be a list');
  return value;
}

function textAt(value: unknown, place: string): string {
  if (typeof value !== 'string' || value === '') throw wrong(place, 'must be a text that is not empty');
  return value;
}

function optionalText(value: unknown, place: string): string | null {
  return value === undefined ? null : textAt(value, place);
}

function optionalCount(value: unknown, place: string): number | null {
  if (value === undefined) return null;
  const count = typeof value === 'number' ? asCount(value) : null;
  if (count === null) throw wrong(place, 'must be a whole number from 0');
  return count;
}

function onlyFields(value: JsonObject, names: readonly string[], place: string): void {
  const other = Object.keys(value).find((name) => !names.includes(name));
  if (other === undefined) return;
  throw wrong(place, `has a field ${JSON.stringify(other.slice(0, 60))}; known are ${names.join(', ')}`);
}

function wrong(place: string, what: string): UserError {
  return new UserError('circuitTest.wrong', `The circuit test cannot be read: ${place} ${what}.`, 'Correct the file.');
}
