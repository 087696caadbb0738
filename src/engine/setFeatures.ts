import type { CircuitGraph } from '../graph/circuitGraph.ts';
import type { FeatureCard } from '../protocol/engine.ts';
import { parseJsonObject } from './model/readJson.ts';
import { type ExampleIndex, readExampleIndex, readFeatureExamples } from './transcoders/examples.ts';
import { parseFeatureExamples } from './transcoders/featureJson.ts';
import { type FeatureLabel, readLabels } from './transcoders/labels.ts';

type LabelsRead = {
  readonly list: readonly FeatureLabel[];
  /** By `layer/feature`. */
  readonly byFeature: ReadonlyMap<string, FeatureLabel>;
};

/** What is known of the features of one transcoder set from the files beside its weights, read when first wanted. */
export class SetFeatures {
  readonly folder: string;
  #index: { readonly index: ExampleIndex | null } | null = null;
  #labels: LabelsRead | null = null;

  constructor(folder: string) {
    this.folder = folder;
  }

  /** Every labelled feature of the set. */
  labels(): readonly FeatureLabel[] {
    return this.#read().list;
  }

  /**
   * What the files say of a feature; without examples, and with no logits, where they say nothing.
   * @param hosted JSON text of its examples from elsewhere, taken where the folder has none
   * @throws UserError when the files or the text are damaged
   */
  card(layer: number, feature: number, hosted?: string): FeatureCard {
    this.#index ??= { index: readExampleIndex(this.folder) };
    const ofFolder = readFeatureExamples(this.folder, layer, feature, this.#index.index);
    const examples =
      ofFolder ?? (hosted === undefined ? null : parseFeatureExamples(parseJsonObject(hosted, 'the hosted examples')));
    const from = ofFolder === null ? 'the hub, where the set’s makers keep them' : 'the transcoder set’s files';
    const label = this.#label(layer, feature);
    return {
      layer,
      feature,
      label: label?.label ?? '',
      labelSource: label?.source ?? '',
      logitsFrom: 'file',
      ...(examples ?? unknownFeature),
      ...(examples !== null && examples.quantiles.length > 0 ? { examplesFrom: from } : {}),
    };
  }

  /** The graph with the set's labels at the features that have none. */
  withLabels(graph: CircuitGraph): CircuitGraph {
    const nodes = graph.nodes.map((node) => {
      if (node.kind !== 'feature' || node.feature === null || node.label !== '') return node;
      const label = this.#label(node.layer, node.feature)?.label;
      return label === undefined ? node : { ...node, label };
    });
    return { ...graph, nodes };
  }

  /** The label of a feature; empty when it has none. */
  label(layer: number, feature: number): string {
    return this.#label(layer, feature)?.label ?? '';
  }

  #label(layer: number, feature: number): FeatureLabel | undefined {
    return this.#read().byFeature.get(`${layer}/${feature}`);
  }

  #read(): LabelsRead {
    if (this.#labels === null) {
      const list = readLabels(this.folder);
      this.#labels = { list, byFeature: new Map(list.map((label) => [`${label.layer}/${label.feature}`, label])) };
    }
    return this.#labels;
  }
}

const unknownFeature = {
  quantiles: [],
  topLogits: [],
  bottomLogits: [],
  activationFrequency: null,
  histogram: [],
  quantileValues: [],
  activationMin: null,
  activationMax: null,
} as const;
