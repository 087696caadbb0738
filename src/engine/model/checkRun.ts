import os from 'node:os';
import { UserError } from '../../protocol/errors.ts';
import type { ModelConfig } from './config.ts';

/** Share of the machine's memory that attention patterns may take: their users make copies. */
const patternShare = 1 / 3;

/**
 * Refuses what a run can't do before it begins: UserError for no tokens, more than the model's window, ids outside the
 * vocabulary, and attention patterns that don't fit into memory.
 * @param cached positions that a cache already holds
 */
export function checkRun(
  ids: readonly number[],
  cached: number,
  keepsPatterns: boolean,
  config: ModelConfig,
  memoryBytes = os.totalmem(),
): void {
  if (ids.length === 0) throw new UserError('prompt.empty', 'The prompt has no tokens.', 'Write or select some text.');
  const length = cached + ids.length;
  if (length > config.maxPositions) {
    throw new UserError(
      'prompt.tooLong',
      `The prompt has ${length} tokens; this model takes at most ${config.maxPositions}.`,
      'Shorten the prompt, or choose a model with a longer window.',
    );
  }
  const wrong = ids.find((id) => !Number.isInteger(id) || id < 0 || id >= config.dVocab);
  if (wrong !== undefined) {
    throw new UserError(
      'prompt.tokenUnknown',
      `Token id ${wrong} is outside the model's vocabulary of ${config.dVocab}.`,
      'Use ids of this model, or check that the tokenizer belongs to it.',
    );
  }
  const patternBytes = config.nLayers * config.nHeads * ids.length * length * 4;
  if (!keepsPatterns || patternBytes <= memoryBytes * patternShare) return;
  const fitting = Math.floor(Math.sqrt((memoryBytes * patternShare) / (config.nLayers * config.nHeads * 4)));
  throw new UserError(
    'prompt.memory',
    `The attention patterns of ${length} tokens take ${gigabytes(patternBytes)}; of this machine's ${gigabytes(memoryBytes)} at most a third is used for them.`,
    `Shorten the prompt to ${fitting} tokens, or choose a smaller model.`,
  );
}

function gigabytes(bytes: number): string {
  return `${(bytes / 2 ** 30).toFixed(1)} GB`;
}
