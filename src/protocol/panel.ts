import type { CircuitGraph, GraphView } from '../graph/circuitGraph.ts';
import type { Interventions } from '../graph/interventions.ts';
import type { JsonObject } from '../graph/json.ts';
import type { Site } from '../graph/node.ts';
import type { Claim, FeatureCard, Inspection, InterveneResult, Phase, Prediction, VerifyResult } from './engine.ts';
import type { TraceCheck, TraceDraft, TraceSetup } from './traceDialog.ts';

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

/** How the model was last run with a trace's edits: the same for every page that shows it. */
export type InterventionRun = {
  readonly isRunning: boolean;
  readonly result: InterveneResult | null;
  /** Texts of the run under way, as far as they are. */
  readonly streamed: { readonly before: readonly Prediction[]; readonly after: readonly Prediction[] };
  /** Why the last run did not come to its end; its result is the one before. */
  readonly failure: { readonly message: string; readonly remedy: string } | null;
};

export type ToPanel =
  | {
      readonly type: 'progress';
      readonly title: string;
      /** `receive` and `index` are the page's own: a large graph on its way, and put together. */
      readonly phase: Phase | 'receive' | 'index';
      readonly done: number;
      readonly total: number;
    }
  /** Tokens and predictions, before the graph is there. */
  | { readonly type: 'preview'; readonly tokens: readonly string[]; readonly predictions: readonly Prediction[] }
  /** How the reader last left a panel, for a new one: sizes, open parts, whether the tour was seen. The panel's own words. */
  | { readonly type: 'remembered'; readonly state: unknown }
  | { readonly type: 'showGraph'; readonly trace: PanelTrace }
  /** A graph that is too large for one message: it follows in parts (`graph/graphBytes.ts`), of so many bytes in all. */
  | {
      readonly type: 'graphComing';
      readonly trace: Omit<PanelTrace, 'graph'>;
      readonly foreign: JsonObject;
      readonly size: number;
    }
  | { readonly type: 'graphPart'; readonly id: string; readonly offset: number; readonly bytes: Uint8Array }
  /** What was made of the graph on screen was changed elsewhere. Sent instead of the whole of a large graph. */
  | { readonly type: 'showView'; readonly id: string; readonly view: GraphView }
  | { readonly type: 'select'; readonly node: string | null }
  | {
      readonly type: 'featureCard';
      readonly layer: number;
      readonly feature: number;
      readonly card: FeatureCard;
      /** What would be asked of Neuronpedia, and sent there, if the reader turns that on; absent where it is no help. */
      readonly offer?: string;
    }
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
  /** The edits on the table and the kept sets, changed elsewhere. */
  | { readonly type: 'interventions'; readonly interventions: Interventions }
  | { readonly type: 'interventionRun'; readonly run: InterventionRun }
  /** No trace is open. */
  | { readonly type: 'nothing' }
  /** The claims as they were asked, with what was measured in the same order. */
  | { readonly type: 'verified'; readonly claims: readonly Claim[]; readonly result: VerifyResult }
  /** What every layer does at some of the prompt's tokens. */
  | { readonly type: 'inspection'; readonly inspection: Inspection }
  /** Bring up the layers at a token. */
  | { readonly type: 'showLayers'; readonly pos: number }
  /** Tokens of the prompt that are selected in an editor; none: nothing of the prompt is. */
  | { readonly type: 'tokensSelected'; readonly positions: readonly number[] }
  /** Work that the page asked for is over and needs no other word. */
  | { readonly type: 'settled' }
  /** Open the trace dialog. */
  | { readonly type: 'traceDialog'; readonly setup: TraceSetup }
  /** `isRefused`: the trace was to start and could not. */
  | { readonly type: 'traceChecked'; readonly check: TraceCheck; readonly isRefused: boolean }
  | { readonly type: 'directionsPicked'; readonly file: string }
  | { readonly type: 'traceDialogClosed' }
  | { readonly type: 'failed'; readonly message: string; readonly remedy: string; readonly action: string | null };

export type FromPanel =
  /** The page is up: send what there is to show. */
  | { readonly type: 'ready' }
  | { readonly type: 'selectNode'; readonly node: string | null }
  | { readonly type: 'hoverNode'; readonly node: string | null }
  | { readonly type: 'needCard'; readonly layer: number; readonly feature: number }
  /** The user pinned, grouped, named, dragged or changed the threshold: keep it with the trace. */
  | { readonly type: 'viewChanged'; readonly view: GraphView }
  | { readonly type: 'interventionsChanged'; readonly interventions: Interventions }
  /** Run the model with the edits on the table. */
  | { readonly type: 'runInterventions' }
  /** Ask the user for a feature, group or error node of this trace to edit. */
  | { readonly type: 'addIntervention' }
  /** Ask the user for another trace and what to take from it. */
  | { readonly type: 'takeFromTrace' }
  /** Put the run into the clipboard as a command line. */
  | { readonly type: 'copyCommandLine' }
  /** Test what the graph claims; `kept`: the features of the subgraph, to see what survives without all others. */
  | { readonly type: 'verify'; readonly claims: readonly Claim[]; readonly kept: readonly Site[] | null }
  /** Look into every layer at the tokens from `first` on; null: at the last ones. */
  | { readonly type: 'inspect'; readonly first: number | null }
  /** Ask the user for texts of their own, and find examples of this graph's features in them. */
  | { readonly type: 'findExamples' }
  /** Ask the user whether examples may be read from Neuronpedia from now on. */
  | { readonly type: 'useNeuronpedia' }
  | { readonly type: 'traceDialog'; readonly action: 'open' | 'pickDirections' | 'close' }
  /** Say what is wrong with a draft and what its trace would take. */
  | { readonly type: 'checkTrace'; readonly number: number; readonly draft: TraceDraft }
  | { readonly type: 'startTrace'; readonly number: number; readonly draft: TraceDraft }
  /** To be given to the next panel; opaque to the extension. */
  | { readonly type: 'remember'; readonly state: unknown }
  | { readonly type: 'cancel' }
  | { readonly type: 'failedAction' }
  | { readonly type: 'export'; readonly format: 'png' | 'svg' | 'html' | 'csv' | 'markdown'; readonly data: string }
  | { readonly type: 'log'; readonly level: 'info' | 'error'; readonly message: string };
