import os from 'node:os';
import * as vscode from 'vscode';
import type { TraceEstimate } from '../protocol/estimate.ts';
import type { Config } from './config.ts';
import type { EngineProcess } from './engineProcess.ts';
import { formatBytes } from './remote/sizes.ts';
import { describeEstimate, estimateFor } from './traceCost.ts';

/**
 * What a trace will take, in words for its progress: "about 12 s, 0.9 GB". When it would take more memory than the
 * machine has, the user is told what to change and may go on all the same; turning away is a cancel.
 */
export async function expectTrace(
  engine: EngineProcess,
  config: Config,
  nTokens: number,
  signal: AbortSignal,
): Promise<string> {
  const estimate = await estimateOf(engine, config, nTokens, signal);
  if (estimate?.verdict === 'over') await confirmLarge(estimate, describeEstimate(estimate), os.totalmem());
  return estimate === null ? '' : describeEstimate(estimate);
}

/** The same words, where the user has seen them and gone on. */
export async function expectAgreedTrace(
  engine: EngineProcess,
  config: Config,
  nTokens: number,
  signal: AbortSignal,
): Promise<string> {
  const estimate = await estimateOf(engine, config, nTokens, signal);
  return estimate === null ? '' : describeEstimate(estimate);
}

async function estimateOf(
  engine: EngineProcess,
  { pair: { model, transcoders }, attribution }: Config,
  nTokens: number,
  signal: AbortSignal,
): Promise<TraceEstimate | null> {
  if (transcoders === null) return null;
  const { maxFeatureNodes } = attribution;
  return estimateFor(engine, { model, transcoders }, { nTokens, maxFeatureNodes }, signal);
}

async function confirmLarge({ parts, advice }: TraceEstimate, words: string, memory: number): Promise<void> {
  const largest = parts.slice(0, 3).map(({ name, bytes }) => `${name}: ${formatBytes(bytes)}`);
  const answer = await vscode.window.showWarningMessage(
    `This trace would take ${words}; the machine has ${formatBytes(memory)}.`,
    { modal: true, detail: `${advice}\n\n${largest.join('\n')}` },
    'Trace Anyway',
  );
  if (answer === undefined) throw new DOMException('Cancelled', 'AbortError');
}
