import os from 'node:os';
import * as vscode from 'vscode';
import { estimateTrace, type TraceEstimate } from '../protocol/estimate.ts';
import type { Config } from './config.ts';
import type { EngineProcess } from './engineProcess.ts';
import { formatBytes } from './remote/sizes.ts';

/**
 * What a trace will take, in words for its progress: "about 12 s, 0.9 GB". When it would take more memory than the
 * machine has, the user is told what to change and may go on all the same; turning away is a cancel.
 */
export async function expectTrace(
  engine: EngineProcess,
  { pair, attribution }: Config,
  nTokens: number,
  signal: AbortSignal,
): Promise<string> {
  if (pair.transcoders === null) return '';
  const [model, set] = await Promise.all([
    engine.call('inspectModel', { folder: pair.model }, { signal }),
    engine.call('inspectTranscoders', { folder: pair.transcoders }, { signal }),
  ]);
  const { maxFeatureNodes } = attribution;
  const machine = { memory: os.totalmem(), cores: os.availableParallelism() };
  const estimate = estimateTrace({ model, set, nTokens, maxFeatureNodes }, machine);
  const words = describeEstimate(estimate);
  if (estimate.verdict === 'over') await confirmLarge(estimate, words, machine.memory);
  return words;
}

/** Rounded as an estimate deserves. */
export function describeEstimate({ seconds, bytes }: TraceEstimate): string {
  const time = seconds < 1.5 ? '1 s' : seconds < 90 ? `${Math.round(seconds)} s` : `${Math.round(seconds / 60)} min`;
  return `about ${time}, ${formatBytes(bytes)} of memory`;
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
