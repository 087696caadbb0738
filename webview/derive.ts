import { atOnce, type Steps } from '../src/graph/steps.ts';
import { controlsWidth, gutter } from './drawing/scene.ts';
import { noFilters } from './filters.ts';
import type { GraphIndex } from './graphIndex.ts';
import type { Grid } from './layout/grid.ts';
import { gridLayout } from './layout/grid.ts';
import { cell, stepCell } from './memo.ts';
import type { Proposal } from './proposals.ts';
import { proposeGroups } from './proposals.ts';
import { findSteps } from './search.ts';
import type { ViewState } from './store.ts';
import type { Story } from './story.ts';
import { groupColors, storySteps } from './story.ts';
import type { Subgraph } from './subgraph.ts';
import { pinnedNodes, subgraphOf, supernodeMembers } from './subgraph.ts';
import type { Visible } from './visible.ts';
import { edgesOfNode, startThreshold, visibleSteps } from './visible.ts';
import { givenLabel, nodeName } from './words.ts';

/** What follows from the state while there is a graph: computed when needed, kept while its causes stay the same. */
export type Derived = {
  readonly index: GraphIndex;
  readonly threshold: number;
  /** True while less is shown than the file asks for, because it is very large. */
  readonly isCutDown: boolean;
  readonly visible: Visible;
  readonly grid: Grid;
  readonly pinned: ReadonlySet<number>;
  readonly subgraph: Subgraph;
  readonly proposals: readonly Proposal[];
  readonly story: Story;
  /** [node] colour of its group, −1 for none. */
  readonly groupColor: Int8Array;
  readonly matches: readonly number[];
  /** The node whose edges are shown: hovered, or else selected. */
  readonly focus: number | null;
  readonly focusEdges: readonly number[];
  readonly selectedEdges: readonly number[];
  readonly nameOf: (node: number) => string;
  readonly labelOf: (node: number) => string;
};

export type Deriver = {
  /** All of it, now. */
  (state: ViewState): Derived | null;
  /** The same in steps: what is remembered takes none. */
  steps(state: ViewState): Steps<Derived | null>;
};

/** Makes the function that derives; it remembers the last step of each kind. */
export function createDeriver(): Deriver {
  const kept = {
    start: cell<number>(),
    pinned: cell<ReadonlySet<number>>(),
    usual: stepCell<Visible>(),
    atStart: stepCell<Visible>(),
    withSelection: stepCell<Visible>(),
    naming: cell<Pick<Derived, 'nameOf' | 'labelOf'>>(),
    grid: stepCell<Grid>(),
    subgraph: cell<Subgraph>(),
    proposals: stepCell<Proposal[]>(),
    remaining: cell<Proposal[]>(),
    story: stepCell<Story>(),
    colors: cell<Int8Array>(),
    matches: stepCell<number[]>(),
    focusEdges: cell<number[]>(),
    selectedEdges: cell<number[]>(),
  };
  function* steps(state: ViewState): Steps<Derived | null> {
    const { index, view, filters, frequencies, selected, cards } = state;
    if (!index) return null;
    const start = kept.start([index], () => startThreshold(index));
    const threshold = view.pruningThreshold ?? start;
    const pinned = kept.pinned([index, view.pinned, view.supernodes], () => pinnedNodes(index, view));
    // Groups are proposed from the picture as it opens, so that they and their colours rest while the slider moves.
    const atStart = yield* kept.atStart([index], () => visibleSteps(index, start, noFilters, new Map(), new Set()));
    const isAtStart = threshold === start && filters === noFilters && pinned.size === 0;
    const usual = isAtStart
      ? atStart
      : yield* kept.usual([index, threshold, filters, frequencies, pinned], () =>
          visibleSteps(index, threshold, filters, frequencies, pinned),
        );
    const hiddenSelection = selected !== null && usual.isVisible[selected] === 0 ? selected : null;
    const visible =
      hiddenSelection === null
        ? usual
        : yield* kept.withSelection([usual, hiddenSelection], () =>
            visibleSteps(index, threshold, filters, frequencies, new Set(pinned).add(hiddenSelection)),
          );
    const { nameOf, labelOf } = kept.naming([index, view.labels, state.setLabels], () => ({
      nameOf: (node) => nodeName(index, node, view, state.setLabels),
      labelOf: (node) => givenLabel(index, node, view, state.setLabels)?.label ?? '',
    }));
    const { width, height } = state.area;
    const grid = yield* kept.grid([index, visible, width, height], function* () {
      yield;
      const available = Math.max(1, width - gutter - controlsWidth);
      return gridLayout(index, visible, { width: available, height: Math.max(1, height) });
    });
    const all = yield* kept.proposals([index, atStart, view.supernodes, labelOf, cards], function* () {
      yield;
      const taken = new Set(supernodeMembers(index, view).flatMap(({ members }) => members));
      return proposeGroups(index, atStart, labelOf, cards, taken);
    });
    const proposals = kept.remaining([all, state.dismissed], () => all.filter(({ id }) => !state.dismissed.has(id)));
    const predictions = state.trace?.predictions ?? [];
    const story = yield* kept.story([index, predictions, view.supernodes, proposals, nameOf], () =>
      storySteps(index, predictions, supernodeMembers(index, view), proposals, nameOf, atStart.nodes),
    );
    const matches = yield* kept.matches([index, state.search, nameOf, cards], () =>
      findSteps(index, state.search, nameOf, cards),
    );
    const focus = state.hovered ?? selected;
    const edgesAt = (node: number | null) =>
      node === null ? [] : edgesOfNode(index, visible, node, view.linkType, pinned, filters.sign);
    const edgeCauses = [visible, view.linkType, pinned, filters.sign];
    return {
      index,
      threshold,
      isCutDown: start < index.graph.metadata.nodeThreshold && threshold <= start,
      visible,
      grid,
      pinned,
      subgraph: kept.subgraph([index, view.pinned, view.supernodes], () => subgraphOf(index, view)),
      proposals,
      story,
      groupColor: kept.colors([index, story], () => groupColors(index.graph.nodes.length, story.groups)),
      matches,
      focus,
      focusEdges: kept.focusEdges([...edgeCauses, focus], () => edgesAt(focus)),
      selectedEdges: kept.selectedEdges([...edgeCauses, selected], () => edgesAt(selected)),
      nameOf,
      labelOf,
    };
  }
  return Object.assign((state: ViewState) => atOnce(steps(state)), { steps });
}
