import assert from 'node:assert/strict';
import { cpSync, mkdirSync, readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { after, before } from 'node:test';
import { stepsIn, Workbench } from './harness.ts';

const dallas = 'The capital of the state containing Dallas is';
/** Long enough to be cancelled and killed in mid-trace, short enough for the built-in model's window. */
const long = `${'Dallas is in Texas and Oakland is in California and Tokyo is in Japan. '.repeat(20)}The capital is`;
const root = path.resolve(import.meta.dirname, '../..');
let workbench: Workbench;

before(
  async () => {
    const files = {
      'short.md': `${dallas}\n`,
      'long.md': `${long}\n`,
      'blank.md': '\n   \n\n',
      'one.md': 'The',
      'past.md': `${' word'.repeat(3000)}\n`,
    };
    workbench = await Workbench.start({ files });
    await workbench.open({ openFile: 'short.md' });
  },
  { timeout: 180_000 },
);
after(async () => {
  await workbench?.stop();
});

const step = stepsIn(() => workbench);

async function openFile(name: string): Promise<void> {
  await workbench.page.keyboard.press('Control+1');
  await workbench.page.keyboard.press('Control+P');
  await workbench.page.locator('.quick-input-widget input[type="text"]').fill(name);
  await workbench.page.locator('.quick-input-list .monaco-list-row', { hasText: name }).first().click();
  await workbench.page.locator('.tab.active', { hasText: name }).first().waitFor();
  await workbench.page.locator('.editor-instance .view-line').first().waitFor();
}

async function setSettings(settings: Readonly<Record<string, unknown>>): Promise<void> {
  mkdirSync(path.join(workbench.workspace, '.vscode'), { recursive: true });
  writeFileSync(path.join(workbench.workspace, '.vscode/settings.json'), JSON.stringify(settings));
  const model =
    settings['promptCircuits.model'] === undefined
      ? 'Built-in Model'
      : path.basename(String(settings['promptCircuits.model']));
  await workbench.page.locator('.statusbar-item', { hasText: model }).waitFor();
}

async function closeNotifications(): Promise<void> {
  await workbench.command('Notifications: Clear All Notifications');
  await workbench.page.locator('.notification-list-item').first().waitFor({ state: 'detached' });
}

/** Traces the cursor's paragraph of the open file and resolves once the engine is at work on it. */
async function traceLong(): Promise<void> {
  await openFile('long.md');
  await workbench.page.locator('.view-line', { hasText: 'Dallas is in Texas' }).first().click();
  await workbench.command('Prompt Circuits: Trace Prompt');
  await workbench.notification(/Tracing/).waitFor();
}

async function traceShort(): Promise<void> {
  await openFile('short.md');
  await workbench.page.locator('.view-line', { hasText: 'Dallas' }).first().click();
  await workbench.command('Prompt Circuits: Trace Prompt');
  await workbench.webview().getByText('“Austin”', { exact: true }).first().waitFor();
}

function enginePid(): number {
  const started = [...workbench.output().matchAll(/engine process (\d+) started/g)];
  return Number(started.at(-1)?.[1]);
}

step('Cancel in the progress ends the trace; the next one works in the same engine', async () => {
  await traceShort();
  const pid = enginePid();
  await traceLong();
  await workbench.shot('progress');
  await workbench
    .notification(/Tracing/)
    .getByText('Cancel')
    .click();
  await workbench.notification(/Tracing/).waitFor({ state: 'detached' });
  await traceShort();
  assert.equal(enginePid(), pid);
  assert.doesNotMatch(workbench.output(), /\[error\]/);
});

step('an engine killed in mid-trace gives a message with Restart, and the next trace works', async () => {
  await traceLong();
  const pid = enginePid();
  process.kill(pid, 'SIGKILL');
  const message = workbench.notification(/engine process is gone.*SIGKILL/);
  await message.waitFor();
  await workbench.webview().getByText('Restart').first().waitFor();
  await workbench.shot('engine-killed');
  await message.getByText('Restart', { exact: true }).click();
  await traceShort();
  assert.notEqual(enginePid(), pid);
});

step(
  'blank text, one token, a prompt past the window and a file without a prompt are refused with what to do',
  async () => {
    await openFile('blank.md');
    await workbench.page.keyboard.press('Control+A');
    await workbench.command('Prompt Circuits: Trace Prompt');
    await workbench.notification('The selection holds only white space. Select the words of a prompt.').waitFor();
    await workbench.page.keyboard.press('Control+Home');
    await workbench.command('Prompt Circuits: Trace Prompt');
    await workbench.notification('There is no prompt at line 1').waitFor();
    await closeNotifications();
    await openFile('one.md');
    await workbench.page.keyboard.press('Control+A');
    await workbench.command('Prompt Circuits: Trace Prompt');
    await workbench.notification('The prompt is one token, “The”').waitFor();
    await workbench.webview().getByText('Highlight two words or more.').waitFor();
    await closeNotifications();
    await openFile('past.md');
    await workbench.page.keyboard.press('Control+A');
    await workbench.command('Prompt Circuits: Trace Prompt');
    await workbench.notification(/\d{4} tokens.*512/).waitFor();
    await workbench.shot('past-the-window');
    await closeNotifications();
  },
);

step('a missing model folder and a cut weight file are refused, each with a way on', async () => {
  const missing = path.join(workbench.folder, 'no-such-model');
  await setSettings({ 'promptCircuits.model': missing, 'promptCircuits.transcoders': missing });
  await openFile('short.md');
  await workbench.command('Prompt Circuits: Trace Prompt');
  const message = workbench.notification(/There is no folder .*no-such-model/);
  await message.waitFor();
  await message.getByText('Choose Model').waitFor();
  await closeNotifications();

  const cut = path.join(workbench.folder, 'cut-model');
  cpSync(path.join(root, 'media/built-in-model/model'), cut, { recursive: true });
  const weights = path.join(cut, 'model.safetensors');
  truncateSync(weights, Math.floor(statSync(weights).size / 2));
  const set = path.join(root, 'media/built-in-model/per-layer');
  await setSettings({ 'promptCircuits.model': cut, 'promptCircuits.transcoders': set });
  await workbench.command('Prompt Circuits: Trace Prompt');
  await workbench.notification(/model\.safetensors/).waitFor();
  await workbench.shot('cut-weights');
  await closeNotifications();
  await setSettings({});
  await traceShort();
});

/** The newest graph that a trace left on disk. */
function newestGraph(): { readonly nodes: readonly { readonly is_target_logit?: boolean; readonly clerp?: string }[] } {
  const user = path.join(workbench.folder, 'user');
  const files = readdirSync(user, { recursive: true, encoding: 'utf8' });
  const own = files.filter((file) => /traces\/[\w-]+\.circuit\.json$/.test(file)).sort();
  return JSON.parse(readFileSync(path.join(user, own.at(-1) ?? ''), 'utf8'));
}

step('the trace dialog explains why one answer rather than another, and says at its field what is wrong', async () => {
  await openFile('short.md');
  const at = await workbench.selectText(dallas);
  await workbench.contextMenu(at, 'Trace Prompt with Options…');
  const dialog = workbench.webview().getByRole('dialog', { name: 'Trace with Options' });
  await dialog.getByText(/This trace takes about .* of memory/).waitFor();
  await dialog.getByRole('radio', { name: 'A − B' }).click();
  await dialog.getByLabel('A', { exact: true }).waitFor();
  await workbench.page.keyboard.press('Tab');
  await workbench.page.keyboard.type(' Austin');
  await workbench.page.keyboard.press('Tab');
  await workbench.page.keyboard.type(' Sacramento is');
  await dialog.getByText(/These are 2 tokens to this model/).waitFor();
  await workbench.page.keyboard.press('Enter');
  await dialog.locator('#trace-b:focus[aria-invalid="true"]').waitFor();
  await workbench.shot('trace-dialog');
  await workbench.page.keyboard.press('End');
  for (let letter = 0; letter < ' is'.length; letter++) await workbench.page.keyboard.press('Backspace');
  await dialog.locator('[data-field="b"] .piece').getByText('·Sacramento', { exact: true }).waitFor();
  await dialog.locator('.field-error').first().waitFor({ state: 'detached' });
  const before = newestGraph();
  await dialog.getByText('Trace', { exact: true }).click();
  await dialog.waitFor({ state: 'hidden' });
  await workbench.webview().getByText('Explained here: “Austin − Sacramento”').waitFor();
  const graph = newestGraph();
  assert.notDeepEqual(graph, before);
  const targets = graph.nodes.filter((node) => node.is_target_logit);
  assert.equal(targets.length, 1);
  assert.match(targets[0].clerp ?? '', /Austin −\s+Sacramento/);

  // From the panel's toolbar, with what was written before; Escape leaves it and the graph stays.
  await workbench.webview().getByRole('button', { name: 'Trace this prompt with options…' }).click();
  await dialog.getByText(/This trace takes/).waitFor();
  assert.equal(await dialog.getByLabel('A', { exact: true }).inputValue(), ' Austin');
  await workbench.page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'hidden' });
  await workbench
    .webview()
    .getByText(/Austin −/)
    .first()
    .waitFor();
});
