import os from 'node:os';
import { UserError } from '../../protocol/errors.ts';
import type { ModelConfig } from './config.ts';

/** Share of the machine's memory that attention may take. */
const attentionShare = 1 / 3;

/**
 * Refuses what a run can't do before it begins: UserError for no tokens, more than the model's window, ids outside the
 * vocabulary, and attention that does not fit into memory.
 * @param cached         positions that a cache already holds
 * @param attentionBytes what the run holds of attention scores and patterns at a time
 */
export function checkRun(
  ids: readonly number[],
  cached: number,
  attentionBytes: number,
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
  const allowed = memoryBytes * attentionShare;
  if (attentionBytes <= allowed) return;
  const fitting = Math.floor(ids.length * Math.sqrt(allowed / attentionBytes));
  throw new UserError(
    'prompt.memory',
    `Attention over ${length} tokens takes ${gigabytes(attentionBytes)}; of this machine's ${gigabytes(memoryBytes)} at most a third is used for it.`,
    `Shorten the prompt to ${fitting} tokens, or choose a smaller model.`,
  );
}

function gigabytes(bytes: number): string {
  return `${(bytes / 2 ** 30).toFixed(1)} GB`;
}
