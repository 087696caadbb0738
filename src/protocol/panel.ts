import type { CircuitGraph, GraphView } from '../graph/circuitGraph.ts';
import type { Site } from '../graph/node.ts';
import type { Claim, FeatureCard, InterveneResult, Intervention, Phase, Prediction, VerifyResult } from './engine.ts';

/** What the graph panel shows about one trace. */
export type PanelTrace = {
  readonly id: string;
  readonly graph: CircuitGraph;
  readonly predictions: readonly Prediction[];
  readonly warnings: readonly string[];
  readonly unexpandedInfluence: number;
  readonly droppedEdgeWeight: number;
  readonly device: string;
  readonly milliseconds: number;
  /** False for files of other tools and models that are not on this machine: no interventions, cards from the file only. */
  readonly hasModel: boolean;
};

export type ToPanel =
  | {
      readonly type: 'progress';
      readonly title: string;
      readonly phase: Phase;
      readonly done: number;
      readonly total: number;
    }
  /** Tokens and predictions, before the graph is there. */
  | { readonly type: 'preview'; readonly tokens: readonly string[]; readonly predictions: readonly Prediction[] }
  /** How the reader last left a panel, for a new one: sizes, open parts, whether the tour was seen. The panel's own words. */
  | { readonly type: 'remembered'; readonly state: unknown }
  | { readonly type: 'showGraph'; readonly trace: PanelTrace }
  | { readonly type: 'select'; readonly node: string | null }
  | { readonly type: 'featureCard'; readonly layer: number; readonly feature: number; readonly card: FeatureCard }
  | { readonly type: 'featureCardFailed'; readonly layer: number; readonly feature: number; readonly message: string }
  | {
      readonly type: 'labels';
      readonly labels: readonly {
        readonly layer: number;
        readonly feature: number;
        readonly label: string;
        /** What the label was made from. */
        readonly source?: string;
        /** Share of all tokens on which the feature fires; for the panel's filter by frequency. */
        readonly frequency?: number | null;
      }[];
    }
  | { readonly type: 'intervened'; readonly result: InterveneResult }
  /** The claims as they were asked, with what was measured in the same order. */
  | { readonly type: 'verified'; readonly claims: readonly Claim[]; readonly result: VerifyResult }
  | { readonly type: 'failed'; readonly message: string; readonly remedy: string; readonly action: string | null };

export type FromPanel =
  /** The page is up: send what there is to show. */
  | { readonly type: 'ready' }
  | { readonly type: 'selectNode'; readonly node: string | null }
  | { readonly type: 'hoverNode'; readonly node: string | null }
  | { readonly type: 'needCard'; readonly layer: number; readonly feature: number }
  /** The user pinned, grouped, named, dragged or changed the threshold: keep it with the trace. */
  | { readonly type: 'viewChanged'; readonly view: GraphView }
  /** `newTokens`: how far both runs go on after the prompt; none when absent. */
  | { readonly type: 'intervene'; readonly interventions: readonly Intervention[]; readonly newTokens?: number }
  /** Test what the graph claims; `kept`: the features of the subgraph, to see what survives without all others. */
  | { readonly type: 'verify'; readonly claims: readonly Claim[]; readonly kept: readonly Site[] | null }
  /** To be given to the next panel; opaque to the extension. */
  | { readonly type: 'remember'; readonly state: unknown }
  | { readonly type: 'cancel' }
  | { readonly type: 'failedAction' }
  | { readonly type: 'export'; readonly format: 'png' | 'svg' | 'html' | 'csv' | 'markdown'; readonly data: string }
  | { readonly type: 'log'; readonly level: 'info' | 'error'; readonly message: string };
