import type { ForwardResult, LanguageModel } from '../model/languageModel.ts';
import { type ActiveFeatures, joinActive } from '../transcoders/encode.ts';
import { featureInput } from '../transcoders/tapPoint.ts';
import type { TranscoderSet } from '../transcoders/transcoder.ts';
import type { AttributionWorkers } from './attributionWorkers.ts';
import type { PositionRange } from './localModel.ts';
import type { Answers, Question } from './workerMessages.ts';
import type { Written } from './written.ts';
import type { SourceColumns } from './writtenBlock.ts';

/** Encodes the layers of one prompt and gathers what their features write in worker threads, some layers at a time. */
export class FeatureThreads {
  readonly #workers: AttributionWorkers;
  readonly #model: LanguageModel;
  readonly #set: TranscoderSet;

  constructor(workers: AttributionWorkers, model: LanguageModel, set: TranscoderSet) {
    this.#workers = workers;
    this.#model = model;
    this.#set = set;
  }

  /**
   * The features that are on in all layers.
   * @param ranges  positions where features are sources of their own
   * @param onLayer called before each layer is waited for; may throw to cancel
   */
  async encode(
    run: ForwardResult,
    ranges: readonly PositionRange[],
    onLayer: (layer: number) => Promise<void>,
  ): Promise<ActiveFeatures> {
    const layers = this.#set.layers.map((_, layer) => {
      const input = featureInput(this.#set.inputHook, this.#model, run, layer);
      return this.#ask({ type: 'encode', layer, input, ranges });
    });
    const found: ActiveFeatures[] = [];
    for (const [layer, active] of layers.entries()) {
      await onLayer(layer);
      found.push(await active);
    }
    return joinActive(found);
  }

  /** Begins to gather what is written to every layer at some positions; the result gives it layer by layer. */
  gather(columns: SourceColumns, range: PositionRange, isTable: boolean): (layer: number) => Promise<Written> {
    const shared = withSharedColumns(columns);
    const written = this.#set.layers.map((_, layer) => {
      return this.#ask({ type: 'gather', layer, columns: shared, range, isTable });
    });
    return (layer) => written[layer];
  }

  /** Gives up what has begun and is not done; resolves when no thread is at it any more. */
  stop(): Promise<void> {
    return this.#workers.stop();
  }

  #ask<Asked extends Question>(question: Asked): Promise<Answers[Asked['type']]> {
    const answer = this.#workers.ask(question);
    // Whoever waits for it hears of an error; after one, or a cancel, nobody waits for the rest.
    answer.catch(() => {});
    return answer;
  }
}

/** The same columns where every thread sees them: they are sent to each for every layer. */
function withSharedColumns(columns: SourceColumns): SourceColumns {
  const { active, featureStart } = columns;
  const copy = <Column extends Uint16Array | Uint32Array | Float32Array>(column: Column): Column => {
    const shared = new SharedArrayBuffer(column.byteLength);
    const Type = column.constructor as new (buffer: SharedArrayBuffer) => Column;
    const values = new Type(shared);
    values.set(column);
    return values;
  };
  return {
    ...columns,
    featureStart: copy(featureStart),
    active: {
      count: active.count,
      layer: copy(active.layer),
      pos: copy(active.pos),
      feature: copy(active.feature),
      activation: copy(active.activation),
    },
  };
}
