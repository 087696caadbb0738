import type { ForwardResult } from '../model/languageModel.ts';
import { type Sampling, sampler } from '../model/sample.ts';
import { type InterventionSettings, type Parts, type Pass, type Recording, runEdited } from './run.ts';

export type GenerationOptions = {
  readonly newTokens: number;
  readonly firstPos: number;
  readonly sampling: Sampling | null;
  /** Tokens after which nothing more is generated. */
  readonly endIds: readonly number[];
  readonly record: Recording;
  /** What the encoders see at generated tokens is not wanted. */
  readonly recordsPromptOnly?: boolean;
  readonly signal?: AbortSignal;
  /** Called with each new token as it is chosen, and the logits [dVocab] that it was chosen from. */
  readonly onToken?: (id: number, logits: Float32Array) => void;
};

export type Generation = {
  readonly ids: readonly number[];
  /** Per new token, [dVocab]: what it was chosen from. */
  readonly logits: readonly Float32Array[];
  /** The prompt's pass, then one pass per new token but the last, which is not run. */
  readonly passes: readonly Pass[];
};

/**
 * Continues a prompt with edits. Freezing and edits at fixed positions apply to the prompt, whose keys and values the new
 * tokens attend to; open-ended edits apply to new tokens too.
 * @param original the prompt's run without edits; null where nothing is frozen
 */
export async function generate(
  parts: Parts,
  prompt: readonly number[],
  settings: InterventionSettings,
  original: ForwardResult | null,
  options: GenerationOptions,
): Promise<Generation> {
  using _held = parts.model.holdWeights();
  const cache = parts.model.createCache();
  const choose = sampler(options.sampling);
  const { firstPos, record, signal } = options;
  const common = { nPrompt: prompt.length, firstPos, record, signal, cache, logits: 'last' } as const;
  const ids: number[] = [];
  const logits: Float32Array[] = [];
  const passes: Pass[] = [];
  let pass = await runEdited(parts, prompt, settings, original, {
    ...common,
    span: { from: 0, nPos: prompt.length },
  });
  for (;;) {
    passes.push(pass);
    const id = choose(pass.run.logits);
    ids.push(id);
    logits.push(pass.run.logits);
    options.onToken?.(id, pass.run.logits);
    if (ids.length >= options.newTokens || options.endIds.includes(id)) return { ids, logits, passes };
    const from = prompt.length + ids.length - 1;
    pass = await runEdited(parts, [id], settings, null, {
      ...common,
      record: options.recordsPromptOnly ? 'none' : record,
      span: { from, nPos: 1 },
    });
  }
}
