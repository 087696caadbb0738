import * as vscode from 'vscode';
import type { AttributionSettings, Token } from '../protocol/engine.ts';
import { draftOf, readDraft, type TraceCheck, type TraceDraft, type TraceSetup } from '../protocol/traceDialog.ts';
import type { DialogSession } from './panel/pageDialog.ts';
import { type DraftContext, judgeDraft, type TraceOptions } from './traceDraftCheck.ts';

export type DialogPrompt = {
  readonly tokens: readonly Token[];
  /** What an earlier trace saw the model say after it. */
  readonly suggestions: readonly string[];
};

const memoryKey = 'traceDraft';

/** The last draft and the prompt that it was for. */
type Kept = { readonly draft: unknown; readonly tokens: unknown };

/** The trace dialog of one prompt on one model: judges drafts, and turns the last one into a trace's options. */
export class TraceDialog implements DialogSession {
  readonly setup: TraceSetup;
  /** What the user settled; null: the dialog was left. */
  readonly result: Promise<TraceOptions | null>;
  readonly #context: DraftContext;
  readonly #memory: vscode.Memento;
  #settle: (options: TraceOptions | null) => void = () => {};

  private constructor(context: DraftContext, memory: vscode.Memento, setup: TraceSetup) {
    this.#context = context;
    this.#memory = memory;
    this.setup = setup;
    this.result = new Promise((resolve) => {
      this.#settle = resolve;
    });
  }

  /** @param memory keeps the last draft */
  static async for(
    engine: DraftContext['engine'],
    pair: DraftContext['pair'],
    usual: AttributionSettings,
    { tokens, suggestions }: DialogPrompt,
    memory: vscode.Memento,
  ): Promise<TraceDialog> {
    const [{ name }, { kind, featuresPerLayer }] = await Promise.all([
      engine.call('inspectModel', { folder: pair.model }),
      engine.call('inspectTranscoders', { folder: pair.transcoders }),
    ]);
    const defaults = draftOf(usual);
    const promptTokens = tokens.map(({ text }) => text);
    return new TraceDialog({ engine, pair, usual, nTokens: tokens.length }, memory, {
      promptTokens,
      model: `${name}, ${kind} transcoders of ${featuresPerLayer.toLocaleString('en')} features a layer`,
      suggestions,
      draft: keptDraft(memory, defaults, promptTokens),
      defaults,
    });
  }

  async check(draft: TraceDraft, number: number): Promise<TraceCheck> {
    return (await judgeDraft(this.#context, draft, number)).check;
  }

  async pickDirections(): Promise<string | null> {
    const [file] =
      (await vscode.window.showOpenDialog({
        title: 'Choose a File of Vectors',
        openLabel: 'Choose',
        filters: { Vectors: ['safetensors', 'npz', 'json'] },
      })) ?? [];
    return file?.fsPath ?? null;
  }

  async start(draft: TraceDraft, number: number): Promise<TraceCheck | null> {
    const { check, options } = await judgeDraft(this.#context, draft, number);
    if (options === null) return check;
    this.#keep(draft);
    this.#settle(options);
    return null;
  }

  close(draft: TraceDraft): void {
    this.#keep(draft);
    this.#settle(null);
  }

  #keep(draft: TraceDraft): void {
    const kept: Kept = { draft, tokens: this.setup.promptTokens };
    void this.#memory.update(memoryKey, kept);
  }
}

/** The last draft; its positions only for the prompt that they were chosen for. */
function keptDraft(memory: vscode.Memento, defaults: TraceDraft, promptTokens: readonly string[]): TraceDraft {
  const kept = memory.get<Kept>(memoryKey);
  const draft = readDraft(kept?.draft, defaults);
  if (JSON.stringify(kept?.tokens) === JSON.stringify(promptTokens)) return draft;
  return { ...draft, explainedAt: '', attributed: '', sources: '' };
}
