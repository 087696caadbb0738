import type { Verdict } from './assertions.ts';

export type TestOutcome = {
  readonly file: string;
  readonly name: string;
  readonly milliseconds: number;
  /** Empty when the test could not be run. */
  readonly verdicts: readonly Verdict[];
  /** Why the test could not be run; null when it could. */
  readonly problem: string | null;
};

export function passed({ verdicts, problem }: TestOutcome): boolean {
  return problem === null && verdicts.every(({ holds }) => holds);
}

/** Outcomes as JUnit XML, which build servers show: a suite for each file, a case for each test. */
export function junitXml(outcomes: readonly TestOutcome[]): string {
  const files = [...new Set(outcomes.map(({ file }) => file))];
  const suites = files.map((file) =>
    suite(
      file,
      outcomes.filter((outcome) => outcome.file === file),
    ),
  );
  return `<?xml version="1.0" encoding="UTF-8"?>\n<testsuites>\n${suites.join('')}</testsuites>\n`;
}

function suite(file: string, outcomes: readonly TestOutcome[]): string {
  const errors = outcomes.filter(({ problem }) => problem !== null).length;
  const failures = outcomes.filter((outcome) => !passed(outcome)).length - errors;
  const head = `  <testsuite name="${escaped(file)}" tests="${outcomes.length}" failures="${failures}" errors="${errors}" time="${seconds(outcomes)}">\n`;
  return `${head}${outcomes.map(testCase).join('')}  </testsuite>\n`;
}

function testCase(outcome: TestOutcome): string {
  const open = `    <testcase classname="${escaped(outcome.file)}" name="${escaped(outcome.name)}" time="${seconds([outcome])}"`;
  if (passed(outcome)) return `${open}/>\n`;
  const failed = outcome.verdicts.filter(({ holds }) => !holds).map(({ message }) => message);
  const kind = outcome.problem === null ? 'failure' : 'error';
  const messages = outcome.problem === null ? failed : [outcome.problem];
  return `${open}>\n      <${kind} message="${escaped(messages[0])}">${escaped(messages.join('\n'))}</${kind}>\n    </testcase>\n`;
}

function seconds(outcomes: readonly TestOutcome[]): string {
  return (outcomes.reduce((sum, { milliseconds }) => sum + milliseconds, 0) / 1000).toFixed(3);
}

/** Text for XML: marks escaped, and characters that XML 1.0 has no way to write shown as U+FFFD. */
function escaped(text: string): string {
  return text
    .replace(/[^\t\n\r\u{20}-\u{d7ff}\u{e000}-\u{fffd}\u{10000}-\u{10ffff}]/gu, '\ufffd')
    .replace(/[&<>"'\t\n\r]/g, (mark) => `&#${mark.charCodeAt(0)};`);
}
