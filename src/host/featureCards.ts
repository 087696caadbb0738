import * as vscode from 'vscode';
import type { GraphWeights } from '../graph/weights.ts';
import type { CollectResult, FeatureCard } from '../protocol/engine.ts';
import { UserError } from '../protocol/errors.ts';
import type { EngineProcess } from './engineProcess.ts';
import type { HostedExamples } from './hostedExamples.ts';
import type { NeuronpediaExamples } from './neuronpediaExamples.ts';
import type { OwnExampleStore } from './ownExampleStore.ts';
import type { NeuronpediaRecord } from './remote/neuronpedia.ts';
import type { OpenTrace } from './traces.ts';

export type CardSources = {
  readonly engine: EngineProcess;
  readonly hosted: HostedExamples;
  readonly neuronpedia: NeuronpediaExamples;
  readonly own: OwnExampleStore;
};

/** A card as far as it is known, and what Neuronpedia would be asked for more. */
export type CardAnswer = { readonly card: FeatureCard; readonly offer?: string };

/**
 * Puts a feature's card together: the set's files, the user's own texts, and where there are no examples, the hub and
 * Neuronpedia, each only as far as the user allows.
 */
export class FeatureCards implements vscode.Disposable {
  readonly #sources: CardSources;
  readonly #changed = new vscode.EventEmitter<void>();
  /** Cards say more than before: examples were computed, or a source was turned on. */
  readonly onDidChange = this.#changed.event;

  constructor(sources: CardSources) {
    this.#sources = sources;
  }

  /**
   * Gives the card as soon as something is known of it, and again when more is.
   * @throws UserError when nothing can be known, or a source failed
   */
  async read(trace: OpenTrace, layer: number, feature: number, give: (answer: CardAnswer) => void): Promise<void> {
    const { engine, hosted, neuronpedia } = this.#sources;
    const { pair } = trace.record;
    const place = neuronpedia.placeOf(trace.graph);
    const hasSet = pair !== null && pair.transcoders !== null;
    if (!hasSet && place === null) {
      throw new UserError(
        'card.noModel',
        'The model of this graph is not on this machine: the file has no feature card.',
        'Trace the prompt with a model of yours, or name its set in the setting Neuronpedia Sources.',
      );
    }
    let card = hasSet ? await engine.call('featureCard', { pair, layer, feature }) : emptyCard(layer, feature);
    const weights = hasSet ? await this.weightsOf(trace) : null;
    const ownText = weights && (await this.#sources.own.read(weights, layer, feature));
    if (ownText) card = { ...card, ownText };
    const offer =
      place !== null && !neuronpedia.isOn && card.quantiles.length === 0
        ? neuronpedia.offer(place, layer, feature)
        : undefined;
    give({ card, offer });
    if (card.quantiles.length > 0) return;
    const fromHub = hasSet ? await hosted.read(pair, layer, feature) : null;
    if (hasSet && fromHub !== null) {
      const fuller = await engine.call('featureCard', { pair, layer, feature, hosted: fromHub });
      give({ card: { ...fuller, ...(ownText ? { ownText } : {}) } });
    } else if (place !== null && neuronpedia.isOn) {
      const record = await neuronpedia.read(place, layer, feature);
      if (record !== null) give({ card: withRecord(card, record) });
    }
  }

  /** Turns Neuronpedia on, if the user wants it. */
  async askForNeuronpedia(): Promise<void> {
    if (await this.#sources.neuronpedia.turnOn()) this.#changed.fire();
  }

  /** Keeps what was computed from the user's own texts. */
  async keepOwn(weights: GraphWeights, features: CollectResult['features'], source: string): Promise<void> {
    await this.#sources.own.write(weights, features, source);
    this.#changed.fire();
  }

  /** The weights that a trace's features are of now; null without its model. */
  async weightsOf({ record }: OpenTrace): Promise<GraphWeights | null> {
    return record.pair === null ? null : this.#sources.engine.call('weights', { pair: record.pair });
  }

  dispose(): void {
    this.#changed.dispose();
  }
}

/** The card with what Neuronpedia says where the set's own files say nothing. */
function withRecord(card: FeatureCard, record: NeuronpediaRecord): FeatureCard {
  const hasLabel = card.label !== '';
  const hasLogits = card.topLogits.length > 0 || card.bottomLogits.length > 0;
  return {
    ...card,
    ...record,
    label: hasLabel ? card.label : record.label,
    labelSource: hasLabel ? card.labelSource : record.labelSource,
    topLogits: hasLogits ? card.topLogits : record.topLogits,
    bottomLogits: hasLogits ? card.bottomLogits : record.bottomLogits,
    activationFrequency: card.activationFrequency ?? record.activationFrequency,
  };
}

function emptyCard(layer: number, feature: number): FeatureCard {
  return {
    layer,
    feature,
    label: '',
    labelSource: '',
    quantiles: [],
    topLogits: [],
    bottomLogits: [],
    logitsFrom: 'file',
    activationFrequency: null,
    histogram: [],
    quantileValues: [],
    activationMin: null,
    activationMax: null,
  };
}
