import { randomBytes } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import * as vscode from 'vscode';
import { type GraphWeights, weightsDifference } from '../../graph/weights.ts';
import type { ModelPair, Prompt, Token, Tokenized, TraceRequest, TraceResult } from '../../protocol/engine.ts';
import { isAbort, UserError } from '../../protocol/errors.ts';
import { type Config, readConfig, withAttribution } from '../config.ts';
import { segmentsOf } from '../editor/placedText.ts';
import { type ChosenPrompt, choosePrompt, type PromptOrigin } from '../editor/promptOrigin.ts';
import type { EngineProcess } from '../engineProcess.ts';
import { duration, type Log } from '../log.ts';
import type { OwnLabels } from '../ownLabels.ts';
import type { Preview } from '../panel/graphPage.ts';
import type { GraphPanels } from '../panel/graphPanels.ts';
import { type Pause, PauseWatch } from '../pauses.ts';
import type { Job, Jobs } from '../runJob.ts';
import { showError } from '../showError.ts';
import type { TracedPair } from '../traceCost.ts';
import { TraceDialog } from '../traceDialog.ts';
import type { TraceOptions } from '../traceDraftCheck.ts';
import { expectAgreedTrace, expectTrace } from '../traceEstimate.ts';
import { endOf, type TraceRecord } from '../traceRecord.ts';
import type { Traces } from '../traces.ts';

export type TraceServices = {
  readonly extensionPath: string;
  readonly engine: EngineProcess;
  readonly traces: Traces;
  readonly panels: GraphPanels;
  readonly ownLabels: OwnLabels;
  readonly jobs: Jobs;
  readonly log: Log;
  /** What was last given for each placeholder. */
  readonly memory: vscode.Memento;
};

/** *Trace Prompt*: from a selection, a cursor, a notebook cell or a file to a kept trace and its graph on screen. */
export async function tracePrompt(services: TraceServices, origin: PromptOrigin): Promise<void> {
  const started = performance.now();
  try {
    const chosen = await choosePrompt(origin, services.memory);
    if (chosen !== null) await traceChosen(services, chosen, started);
  } catch (error) {
    await showError(error, services.log);
  }
}

/** Traces again what an earlier trace explained, with today's settings. */
export async function traceAgain(services: TraceServices, record: TraceRecord): Promise<void> {
  await traceChosen(services, promptOfRecord(record), performance.now(), await earlierOf(services, record));
}

/** *Trace Prompt with Options…*: what is explained, and how, is asked for in the panel first. */
export async function traceWithOptions(services: TraceServices, origin: PromptOrigin): Promise<void> {
  const chosen = await choosePrompt(origin, services.memory);
  if (chosen !== null) await askAndTrace(services, chosen, null);
}

/** The same for what an earlier trace explained. */
export async function traceAgainWithOptions(services: TraceServices, record: TraceRecord): Promise<void> {
  await askAndTrace(services, promptOfRecord(record), await earlierOf(services, record));
}

async function askAndTrace(services: TraceServices, chosen: ChosenPrompt, earlier: Earlier | null): Promise<void> {
  const { engine, panels, jobs, memory } = services;
  const { pair, attribution } = readConfig(services.extensionPath);
  requireTranscoders(pair);
  const dialog = await jobs.run('Reading the prompt', async ({ signal }) => {
    const { tokens } = await tokenize(engine, pair, chosen.prompt, signal);
    requireContext(tokens);
    const suggestions = earlier?.record.predictions.map(({ text }) => text) ?? [];
    return TraceDialog.for(engine, pair, attribution, { tokens, suggestions }, memory);
  });
  if (dialog === undefined) return;
  panels.ask(endOf(chosen.placed.text, 32), dialog);
  const options = await dialog.result;
  if (options !== null) await traceChosen(services, chosen, performance.now(), earlier, options);
}

function promptOfRecord(record: TraceRecord): ChosenPrompt {
  const places = Array.from({ length: record.promptText.length + 1 }, () => 0);
  return { prompt: record.prompt, placed: { text: record.promptText, places }, uri: null };
}

async function earlierOf({ traces }: TraceServices, record: TraceRecord): Promise<Earlier> {
  const before = await traces.open(record.id).catch(() => null);
  return { record, weights: before?.graph.metadata.weights ?? null };
}

/** A trace that is made again: what is kept of it, and the weights that it was made with, where they are known. */
type Earlier = { readonly record: TraceRecord; readonly weights: GraphWeights | null };

/** That a graph is not comparable with the one before, where its weights are others. */
function weightsWarnings(earlier: Earlier | null, now: GraphWeights | undefined): string[] {
  const difference = earlier?.weights && now ? weightsDifference(earlier.weights, now) : null;
  return difference === null ? [] : [`The earlier trace of this prompt was made with other weights: ${difference}.`];
}

/** Milliseconds between two reports of progress to the screen. */
const progressInterval = 80;

async function traceChosen(
  services: TraceServices,
  chosen: ChosenPrompt,
  started: number,
  earlier: Earlier | null = null,
  options: TraceOptions | null = null,
): Promise<void> {
  const { engine, jobs, panels, traces, log } = services;
  const usual = readConfig(services.extensionPath);
  const config = options === null ? usual : withAttribution(usual, options.settings);
  using pauses = new PauseWatch();
  // Forking a process and making a panel hold up the extension host: each gets a turn of its own.
  engine.start();
  await nextTurn();
  const title = `Tracing “${endOf(chosen.placed.text, 48)}”`;
  await jobs.run(title, async (job) => {
    const controller = new AbortController();
    const signal = AbortSignal.any([job.signal, controller.signal]);
    const panel = panels.forNewTrace(endOf(chosen.placed.text, 32));
    await nextTurn();
    let preview: Preview | null = null;
    let heading = title;
    let said = 0;
    const say = (phase: Parameters<Job['report']>[0]): void => {
      // Short phases of short prompts would keep the page busy with drawing their progress.
      if (performance.now() - said < progressInterval) return;
      said = performance.now();
      job.report(phase);
      const progress = { type: 'progress', title: heading, ...phase } as const;
      panel.show({ type: 'busy', progress, preview, cancel: () => controller.abort() });
    };
    try {
      say({ phase: 'tokenize', done: 0, total: 1 });
      const { prompt, tokens, warnings } = await tokenize(engine, config.pair, chosen.prompt, signal);
      preview = { type: 'preview', tokens: tokens.map((token) => token.text), predictions: [] };
      requireContext(tokens);
      for (const warning of warnings) void vscode.window.showWarningMessage(warning);
      // The dialog has said what the trace takes, and the user went on.
      const expect = options === null ? expectTrace : expectAgreedTrace;
      heading = `${title}, ${await expect(engine, config, tokens.length, signal)}`;
      said = 0;
      say({ phase: 'load model', done: 0, total: 1 });
      const request = traceRequest(config, prompt, options);
      const result = await engine.call('trace', request, { signal, onProgress: say });
      const record = newRecord(request, result, { ...chosen, prompt }, performance.now() - started, earlier);
      const written = traces.add(record, services.ownLabels.withKept(result.graph));
      panel.show({ type: 'trace', id: record.id });
      await written;
      logTrace(log, result, performance.now() - started, pauses.longest);
    } catch (error) {
      panel.show(isAbort(error) ? panelAfterCancel(traces) : { type: 'failed', error: asUserError(error) });
      throw error;
    }
  });
}

/**
 * The prompt's tokens, before anything long runs. A model without a chat template gets role messages as plain text, and
 * the user is told.
 */
async function tokenize(
  engine: EngineProcess,
  pair: ModelPair,
  prompt: Prompt,
  signal: AbortSignal,
): Promise<Tokenized & { readonly prompt: Prompt }> {
  try {
    return { prompt, ...(await engine.call('tokenize', { pair, prompt }, { signal })) };
  } catch (error) {
    if (!(error instanceof UserError) || error.code !== 'chat.noTemplate' || prompt.type !== 'chat') throw error;
    const plain = { type: 'text', text: prompt.messages.map((message) => message.content).join('\n\n') } as const;
    const { tokens, warnings } = await engine.call('tokenize', { pair, prompt: plain }, { signal });
    const told = 'This model has no chat template: the messages were traced as plain text, without their roles.';
    return { prompt: plain, tokens, warnings: [told, ...warnings] };
  }
}

/** One token has nothing before it that could explain what the model says: a word was highlighted for a sentence. */
function requireContext(tokens: readonly Token[]): void {
  const own = tokens.filter((token) => token.range !== null);
  if (own.length !== 1) return;
  throw new UserError(
    'prompt.oneToken',
    `The prompt is one token, “${own[0].text.trim()}”: nothing comes before it that could explain what the model says next.`,
    'Highlight two words or more.',
  );
}

/** After a cancel the panel goes back to what was active before. */
function panelAfterCancel(traces: Traces): { type: 'trace'; id: string } | { type: 'failed'; error: UserError } {
  if (traces.active !== null) return { type: 'trace', id: traces.active.record.id };
  return {
    type: 'failed',
    error: new UserError('trace.cancelled', 'The trace was cancelled.', 'Trace a prompt again.'),
  };
}

function asUserError(error: unknown): UserError {
  if (error instanceof UserError) return error;
  return new UserError('bug', 'Something went wrong.', 'The log says more: Prompt Circuits: Show Log.');
}

/** @param options what the trace dialog settled; null: the likeliest tokens, all positions */
function traceRequest(config: Config, prompt: Prompt, options: TraceOptions | null): TraceRequest {
  requireTranscoders(config.pair);
  return {
    pair: config.pair,
    prompt,
    targets: options?.targets ?? { type: 'top' },
    ...(options === null ? {} : { positions: options.positions }),
    settings: config.attribution,
    keep: config.keep,
    device: config.device,
    slug: newId(),
  };
}

function requireTranscoders(pair: ModelPair): asserts pair is TracedPair {
  if (pair.transcoders !== null) return;
  throw new UserError(
    'transcoders.none',
    `No transcoder set is chosen for the model in ${pair.model}.`,
    'Set promptCircuits.transcoders to its folder, or choose a model that has one.',
  );
}

/** Sorts by time; unique enough for files of one folder. */
function newId(): string {
  const time = new Date().toISOString().replace(/\D/g, '').slice(0, 14);
  return `${time}-${randomBytes(3).toString('hex')}`;
}

function newRecord(
  request: TraceRequest,
  result: TraceResult,
  { prompt, placed, uri }: ChosenPrompt,
  milliseconds: number,
  earlier: Earlier | null,
): TraceRecord {
  return {
    id: request.slug,
    title: earlier?.record.title ?? '',
    promptText: placed.text,
    prompt,
    tokens: result.tokens,
    predictions: result.predictions,
    modelName: result.graph.metadata.modelName,
    scan: result.graph.metadata.scan,
    pair: request.pair,
    device: result.device,
    milliseconds,
    createdAt: new Date().toISOString(),
    warnings: [...weightsWarnings(earlier, result.graph.metadata.weights), ...result.warnings],
    unexpandedInfluence: result.unexpandedInfluence,
    droppedEdgeWeight: result.droppedEdgeWeight,
    source: uri === null ? (earlier?.record.source ?? null) : { uri, segments: segmentsOf(placed) },
  };
}

function logTrace(log: Log, result: TraceResult, milliseconds: number, pause: Pause): void {
  const { graph, tokens, phases, device } = result;
  const { milliseconds: paused, ownMilliseconds: own } = pause;
  log.info(
    `traced ${tokens.length} tokens on ${device} in ${duration(milliseconds)}: ` +
      `${graph.nodes.length} nodes, ${graph.edges.weight.length} edges; ` +
      `longest pause of the extension host ${paused.toFixed(0)} ms` +
      (own === null ? '' : `, own work at most ${own.toFixed(0)} ms at a time`),
  );
  log.info(`phases: ${phases.map(({ phase, milliseconds }) => `${phase} ${duration(milliseconds)}`).join(', ')}`);
}
