import fs from 'node:fs';
import path from 'node:path';
import { AutoTokenizer, env, type PreTrainedTokenizer } from '@huggingface/transformers';
import type { Prompt, Token, Tokenized } from '../../protocol/engine.ts';
import { UserError } from '../../protocol/errors.ts';
import { readJsonFile } from './readJson.ts';
import { type BytesOf, bytesOfPieces, rangesInText, textOfBytes } from './tokenBytes.ts';

/** `<bos><start_of_turn>user\n`: how every prompt of an instruction-tuned Gemma 3 begins. */
const gemmaTurnStart = [2, 105, 2364, 107] as const;

/** The largest published vocabularies take 35 MB. */
const mostBytes = 256 * 2 ** 20;

export type Tokenizer = {
  /** The tokens that are run, those put in front included, and what a person should know about them. */
  readonly tokenize: (prompt: Prompt) => Tokenized;
  /** Ids of a text on its own, nothing put in front. */
  readonly encode: (text: string) => number[];
  /** The text of several ids together. */
  readonly decode: (ids: readonly number[]) => string;
  /** The text of one id on its own; bytes that are no whole character as \xNN. */
  readonly text: (id: number) => string;
  /** How many positions at the start carry no features and no errors. */
  readonly zeroPositions: (ids: readonly number[]) => number;
  /** Ids that end a generated text. */
  readonly endIds: readonly number[];
};

/**
 * The tokenizer of a model folder, offline.
 * UserError when tokenizer.json is missing or can't be read.
 */
export async function loadTokenizer(folder: string): Promise<Tokenizer> {
  const remedy = 'Download tokenizer.json and tokenizer_config.json of the model into its folder.';
  const file = fs.statSync(path.join(folder, 'tokenizer.json'), { throwIfNoEntry: false });
  if (!file?.isFile()) throw new UserError('tokenizer.missing', `${folder} has no tokenizer.json.`, remedy);
  if (file.size > mostBytes) {
    throw new UserError(
      'tokenizer.tooLarge',
      `tokenizer.json of ${folder} has ${file.size} bytes; at most ${mostBytes} are read.`,
      remedy,
    );
  }
  env.allowRemoteModels = false;
  env.allowLocalModels = true;
  try {
    const tokenizer = await AutoTokenizer.from_pretrained(path.resolve(folder), { local_files_only: true });
    return new FolderTokenizer(folder, tokenizer, bytesOfPieces(tokenizer._tokenizerJSON));
  } catch (error) {
    if (error instanceof UserError) throw error;
    const why = (error as Error).message.split('\n')[0].slice(0, 300);
    throw new UserError('tokenizer.refused', `The tokenizer of ${folder} can't be read: ${why}`, remedy);
  }
}

class FolderTokenizer implements Tokenizer {
  readonly endIds: readonly number[];
  readonly #tokenizer: PreTrainedTokenizer;
  readonly #bytesOf: BytesOf;
  readonly #pieces = new Map<number, string>();
  readonly #specialIds: ReadonlySet<number>;
  readonly #addedTexts = new Map<number, string>();
  readonly #startId: number | null;
  readonly #chatTemplate: string | null;
  readonly #needsTurnStart: boolean;

  constructor(folder: string, tokenizer: PreTrainedTokenizer, bytesOf: BytesOf) {
    this.#tokenizer = tokenizer;
    this.#bytesOf = bytesOf;
    for (const [piece, id] of tokenizer.get_vocab()) this.#pieces.set(id, piece);
    const added = (tokenizer._tokenizerJSON as { added_tokens?: unknown }).added_tokens;
    const special = new Set<number>(tokenizer.all_special_ids);
    for (const token of Array.isArray(added) ? added : []) {
      this.#addedTexts.set(token.id, String(token.content));
      if (token.special === true) special.add(token.id);
    }
    this.#specialIds = special;
    const { bos_token_id: bos, pad_token_id: pad, eos_token_id: eos } = tokenizer;
    // Id 0 is as good as any: only missing ids are passed over.
    this.#startId = [bos, pad, eos, ...special].find((id) => Number.isInteger(id)) ?? null;
    this.endIds = endIdsOf(folder, eos);
    this.#chatTemplate = chatTemplateOf(folder, tokenizer);
    this.#needsTurnStart = isInstructionTunedGemma(folder) && this.#pieces.get(2364) === 'user';
  }

  tokenize(prompt: Prompt): Tokenized {
    const warnings: string[] = [];
    const given = this.#given(prompt, warnings);
    const front = this.#front(given.ids, warnings);
    const tokens: Token[] = [...front.before, ...given.ids].map((id, i) => ({
      id,
      text: this.text(id),
      range: given.ranges?.[i - front.before.length] ?? null,
    }));
    return { tokens, warnings };
  }

  encode(text: string): number[] {
    return [...this.#tokenizer.encode(text, { add_special_tokens: false })];
  }

  decode(ids: readonly number[]): string {
    const bytes = ids.flatMap((id) => [...this.#bytes(id)]);
    return textOfBytes(Uint8Array.from(bytes));
  }

  text(id: number): string {
    return textOfBytes(this.#bytes(id));
  }

  zeroPositions(ids: readonly number[]): number {
    return this.#needsTurnStart && gemmaTurnStart.every((id, i) => ids[i] === id) ? gemmaTurnStart.length : 1;
  }

  #given(
    prompt: Prompt,
    warnings: string[],
  ): { readonly ids: readonly number[]; readonly ranges: readonly ([number, number] | null)[] | null } {
    if (prompt.type === 'tokens') return { ids: prompt.ids, ranges: null };
    if (prompt.type === 'chat') return { ids: this.encode(this.#renderChat(prompt.messages)), ranges: null };
    if (/[^\S\n]$/.test(prompt.text)) {
      warnings.push('The prompt ends with a space: most models spell a space as the start of the next word.');
    }
    const ids = this.encode(prompt.text);
    return {
      ids,
      ranges: rangesInText(
        this.#asRead(prompt.text),
        ids.map((id) => this.#bytes(id)),
      ),
    };
  }

  /** The text as far as the tokenizer can tell: one that writes a space as ▁ takes a ▁ for a space. */
  #asRead(text: string): string {
    return textOfBytes(this.#bytesOf('▁')) === ' ' ? text.replaceAll('▁', ' ') : text;
  }

  /** What is put in front of the given ids, so that position 0 is a special token. */
  #front(ids: readonly number[], warnings: string[]): { readonly before: readonly number[] } {
    if (ids.length === 0) return { before: [] };
    if (this.#needsTurnStart && !gemmaTurnStart.every((id, i) => ids[i] === id)) {
      if (ids[0] === gemmaTurnStart[0]) {
        throw new UserError(
          'prompt.turnStart',
          'A prompt of an instruction-tuned Gemma 3 must begin with the ids 2, 105, 2364, 107 (the start of a user turn).',
          'Begin with these ids, or give the prompt as text or as a chat.',
        );
      }
      warnings.push('The start of a user turn was put in front: prompts of instruction-tuned Gemma 3 begin with it.');
      // A text that begins with the turn's own marker lacks only <bos>.
      return { before: gemmaTurnStart.slice(0, ids[0] === gemmaTurnStart[1] ? 1 : 4) };
    }
    if (this.#specialIds.has(ids[0]!)) return { before: [] };
    if (this.#startId === null) {
      warnings.push('This tokenizer has no special token to put in front: position 0 is the first word of the prompt.');
      return { before: [] };
    }
    return { before: [this.#startId] };
  }

  #renderChat(messages: readonly { readonly role: string; readonly content: string }[]): string {
    if (!this.#chatTemplate) {
      throw new UserError(
        'chat.noTemplate',
        'This model has no chat template: it was not made for role messages.',
        'Give the prompt as plain text, or choose an instruction-tuned model.',
      );
    }
    try {
      return this.#tokenizer.apply_chat_template(
        messages.map(({ role, content }) => ({ role, content })),
        { tokenize: false, add_generation_prompt: true, chat_template: this.#chatTemplate },
      ) as string;
    } catch (error) {
      throw new UserError(
        'chat.refused',
        `The model's chat template refused the messages: ${(error as Error).message}`,
        'Change the roles or their order; many templates want user and assistant in turn.',
      );
    }
  }

  #bytes(id: number): Uint8Array {
    const added = this.#addedTexts.get(id);
    if (added !== undefined) return new TextEncoder().encode(added);
    const piece = this.#pieces.get(id);
    // Vocabularies are often padded to a round number: such ids have no text.
    return piece === undefined ? new TextEncoder().encode(`<${id}>`) : this.#bytesOf(piece);
  }
}

/** `eos_token_id` of generation_config.json (one or a list), else the tokenizer's own. */
function endIdsOf(folder: string, eos: number | undefined): readonly number[] {
  const file = path.join(folder, 'generation_config.json');
  const stated = fs.existsSync(file) ? readJsonFile(file).eos_token_id : null;
  const ids = (Array.isArray(stated) ? stated : [stated ?? eos]).filter((id) => Number.isInteger(id));
  return ids as number[];
}

/** Newer folders keep the template in a file of its own. */
function chatTemplateOf(folder: string, tokenizer: PreTrainedTokenizer): string | null {
  if (typeof tokenizer.chat_template === 'string') return tokenizer.chat_template;
  const file = path.join(folder, 'chat_template.jinja');
  return fs.existsSync(file) && fs.statSync(file).size < 2 ** 20 ? fs.readFileSync(file, 'utf8') : null;
}

/** By name, as the tools that made the published transcoders tell it: a folder of the path is called gemma-3-…-it. */
function isInstructionTunedGemma(folder: string): boolean {
  return path
    .resolve(folder)
    .split(/[\\/]/)
    .some((part) => /(^|[^a-z])gemma-3.*-it$/i.test(part));
}
