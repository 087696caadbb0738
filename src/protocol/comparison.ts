import type { PanelTrace, ToPanel } from './panel.ts';

/** Which of the two compared traces. */
export type Side = 'left' | 'right';

/** What the comparison page shows: two traces, and what to call each of them. */
export type ComparedTraces = {
  readonly left: PanelTrace;
  readonly right: PanelTrace;
  readonly names: { readonly left: string; readonly right: string };
};

export type ToComparison =
  | { readonly type: 'showComparison'; readonly traces: ComparedTraces }
  | Extract<ToPanel, { readonly type: 'labels' | 'failed' }>;

export type FromComparison =
  /** The page is up: send what there is to show. */
  | { readonly type: 'ready' }
  /** A node was chosen: show it wherever this trace is shown. */
  | { readonly type: 'selectNode'; readonly side: Side; readonly node: string }
  /** Open a trace's own graph, at a node. */
  | { readonly type: 'openTrace'; readonly side: Side; readonly node: string | null }
  /** Open both as one graph, to pin, group and export. */
  | { readonly type: 'openMerged' }
  | { readonly type: 'failedAction' };
