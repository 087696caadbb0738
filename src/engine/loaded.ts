import fs from 'node:fs';
import path from 'node:path';
import type { GraphWeights } from '../graph/weights.ts';
import type { DeviceChoice, ModelDescription, ModelPair, Progress } from '../protocol/engine.ts';
import { UserError } from '../protocol/errors.ts';
import { Attributor } from './attribution/attribute.ts';
import { Intervener } from './interventions/intervene.ts';
import type { LanguageModel } from './model/languageModel.ts';
import { describeModel, loadModel } from './model/loadModel.ts';
import { weightFileNames } from './model/modelFiles.ts';
import { loadTokenizer, type Tokenizer } from './model/tokenizer.ts';
import { weightStamp } from './model/weightStamp.ts';
import { chooseDevice, type Device } from './runtime/device.ts';
import { loadTranscoders, weightFilesOfSet } from './transcoders/load.ts';
import type { TranscoderSet } from './transcoders/transcoder.ts';

/** A model that is open, with its tokenizer and, when the pair has one, its transcoder set. */
export type Loaded = {
  readonly pair: ModelPair;
  readonly device: string;
  /** Why it runs there. */
  readonly deviceReason: string;
  readonly description: ModelDescription;
  /** Which weights these are. */
  readonly weights: GraphWeights;
  readonly model: LanguageModel;
  readonly tokenizer: Tokenizer;
  readonly set: TranscoderSet | null;
  readonly attributor: Attributor | null;
  readonly intervener: Intervener | null;
};

export type LoadOptions = {
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: Progress) => void;
};

/**
 * The one loaded model and set. They stay until another pair is wanted, their files change, or `unload`. Work on them
 * goes through `use`, one piece at a time: nothing is closed under running work, and two traces do not mix.
 */
export class LoadedPair {
  readonly #log: (line: string) => void;
  readonly #devices = new Map<DeviceChoice, Promise<Device>>();
  #current: { readonly key: string; readonly device: DeviceChoice; readonly loaded: Loaded } | null = null;
  #tokenizer: { readonly key: string; readonly tokenizer: Tokenizer } | null = null;
  #last: Promise<unknown> = Promise.resolve();

  constructor(log: (line: string) => void) {
    this.#log = log;
  }

  /** What is loaded now; null when nothing is. */
  get current(): Loaded | null {
    return this.#current?.loaded ?? null;
  }

  /**
   * Runs work on the pair, loading it when it is not loaded, after the work before it.
   * @param device null: the one that it is loaded on, if it is
   */
  use<T>(
    pair: ModelPair,
    device: DeviceChoice | null,
    work: (loaded: Loaded) => Promise<T>,
    options: LoadOptions,
  ): Promise<T> {
    return this.#inTurn(async () => {
      options.signal?.throwIfAborted();
      return work(await this.#load(pair, device, options));
    });
  }

  /** The tokenizer of a model folder without the model; kept until another folder's is wanted. */
  async tokenizer(folder: string): Promise<Tokenizer> {
    const key = stampOf(folder);
    const { current } = this;
    if (current?.pair.model === folder && this.#tokenizer?.key === key) return this.#tokenizer.tokenizer;
    if (this.#tokenizer?.key !== key) this.#tokenizer = { key, tokenizer: await loadTokenizer(folder) };
    return this.#tokenizer.tokenizer;
  }

  /** Closes what is loaded and gives its memory back. */
  unload(): Promise<void> {
    return this.#inTurn(async () => this.#close());
  }

  /** Devices are tried once: what they can do does not change while the engine runs. */
  #deviceFor(choice: DeviceChoice): Promise<Device> {
    const device = this.#devices.get(choice) ?? chooseDevice(choice);
    this.#devices.set(choice, device);
    device.catch(() => this.#devices.delete(choice));
    return device;
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#last.then(work, work);
    this.#last = turn.catch(() => {});
    return turn;
  }

  #close(): void {
    this.#current?.loaded.attributor?.[Symbol.dispose]();
    this.#current?.loaded.set?.[Symbol.dispose]();
    this.#current?.loaded.model[Symbol.dispose]();
    this.#current = null;
  }

  async #load(pair: ModelPair, wanted: DeviceChoice | null, { signal, onProgress }: LoadOptions): Promise<Loaded> {
    const key = [pair.model, pair.transcoders ?? ''].map((folder) => (folder === '' ? '' : stampOf(folder))).join('\n');
    const isSamePair = this.#current?.key === key;
    if (this.#current !== null && isSamePair && (wanted ?? this.#current.device) === this.#current.device) {
      return this.#current.loaded;
    }
    const device = wanted ?? 'auto';
    this.#close();
    const started = performance.now();
    const total = pair.transcoders === null ? 2 : 3;
    onProgress?.({ phase: 'load model', done: 0, total });
    const { provider, reason } = await this.#deviceFor(device);
    const description = describeModel(pair.model);
    const model = await loadModel(pair.model, { device: provider, signal });
    try {
      onProgress?.({ phase: 'load model', done: 1, total });
      const tokenizer = await this.tokenizer(pair.model);
      onProgress?.({ phase: 'load model', done: 2, total });
      const set = pair.transcoders === null ? null : loadTranscoders(pair.transcoders, model.dimensions);
      const attributor = set === null ? null : new Attributor(model, set, provider);
      const intervener =
        attributor === null
          ? null
          : new Intervener({ model, set: attributor.set, encoder: attributor.encoder }, tokenizer);
      const loaded = {
        pair,
        device: provider,
        deviceReason: reason,
        description,
        weights: weightsOf(pair),
        model,
        tokenizer,
        set,
        attributor,
        intervener,
      };
      this.#current = { key, device, loaded };
      this.#log(`loaded ${description.name} in ${Math.round(performance.now() - started)} ms`);
      return loaded;
    } catch (error) {
      model[Symbol.dispose]();
      throw error;
    }
  }
}

/** Which weights a pair's folders hold now. UserError when some are missing. */
export function weightsOf({ model, transcoders }: ModelPair): GraphWeights {
  const modelFiles = weightFileNames(model).map((name) => path.join(model, name));
  return {
    model: weightStamp(model, modelFiles),
    transcoders: transcoders === null ? null : weightStamp(transcoders, weightFilesOfSet(transcoders)),
  };
}

/** A folder and the sizes and times of the files in it: another text when any of them was replaced. */
export function stampOf(folder: string): string {
  let names: string[];
  try {
    names = fs.readdirSync(folder).sort();
  } catch {
    throw new UserError(
      'model.missing',
      `There is no folder ${folder}.`,
      'Choose another model, or restore the folder.',
    );
  }
  const files = names.slice(0, 1000).map((name) => {
    const file = fs.statSync(path.join(folder, name), { throwIfNoEntry: false });
    return file === undefined ? name : `${name}:${file.size}:${file.mtimeMs}`;
  });
  return `${folder}\n${files.join('\n')}`;
}
