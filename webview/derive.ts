import { gutter } from './drawing/scene.ts';
import { noFilters } from './filters.ts';
import type { GraphIndex } from './graphIndex.ts';
import type { Grid } from './layout/grid.ts';
import { gridLayout } from './layout/grid.ts';
import type { SpatialIndex } from './layout/spatialIndex.ts';
import { spatialIndex } from './layout/spatialIndex.ts';
import { cell } from './memo.ts';
import type { Proposal } from './proposals.ts';
import { proposeGroups } from './proposals.ts';
import { findNodes } from './search.ts';
import type { ViewState } from './store.ts';
import type { Story } from './story.ts';
import { groupColors, tellStory } from './story.ts';
import type { Subgraph } from './subgraph.ts';
import { pinnedNodes, subgraphOf, supernodeMembers } from './subgraph.ts';
import type { Visible } from './visible.ts';
import { edgesOfNode, startThreshold, visibleGraph } from './visible.ts';
import { givenLabel, nodeName } from './words.ts';

/** What follows from the state while there is a graph: computed when needed, kept while its causes stay the same. */
export type Derived = {
  readonly index: GraphIndex;
  readonly threshold: number;
  /** True while less is shown than the file asks for, because it is very large. */
  readonly isCutDown: boolean;
  readonly visible: Visible;
  readonly grid: Grid;
  readonly points: SpatialIndex;
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

/** Makes the function that derives; it remembers the last step of each kind. */
export function createDeriver(): (state: ViewState) => Derived | null {
  const kept = {
    start: cell<number>(),
    pinned: cell<ReadonlySet<number>>(),
    usual: cell<Visible>(),
    atStart: cell<Visible>(),
    withSelection: cell<Visible>(),
    naming: cell<Pick<Derived, 'nameOf' | 'labelOf'>>(),
    grid: cell<Grid>(),
    points: cell<SpatialIndex>(),
    subgraph: cell<Subgraph>(),
    proposals: cell<Proposal[]>(),
    remaining: cell<Proposal[]>(),
    story: cell<Story>(),
    colors: cell<Int8Array>(),
    matches: cell<number[]>(),
    focusEdges: cell<number[]>(),
    selectedEdges: cell<number[]>(),
  };
  return (state) => {
    const { index, view, filters, frequencies, selected, cards } = state;
    if (!index) return null;
    const start = kept.start([index], () => startThreshold(index));
    const threshold = view.pruningThreshold ?? start;
    const pinned = kept.pinned([index, view.pinned, view.supernodes], () => pinnedNodes(index, view));
    // Groups are proposed from the picture as it opens, so that they and their colours rest while the slider moves.
    const atStart = kept.atStart([index], () => visibleGraph(index, start, noFilters, new Map(), new Set()));
    const isAtStart = threshold === start && filters === noFilters && pinned.size === 0;
    const usual = isAtStart
      ? atStart
      : kept.usual([index, threshold, filters, frequencies, pinned], () =>
          visibleGraph(index, threshold, filters, frequencies, pinned),
        );
    const hiddenSelection = selected !== null && usual.isVisible[selected] === 0 ? selected : null;
    const visible =
      hiddenSelection === null
        ? usual
        : kept.withSelection([usual, hiddenSelection], () =>
            visibleGraph(index, threshold, filters, frequencies, new Set(pinned).add(hiddenSelection)),
          );
    const { nameOf, labelOf } = kept.naming([index, view.labels, state.setLabels], () => ({
      nameOf: (node) => nodeName(index, node, view, state.setLabels),
      labelOf: (node) => givenLabel(index, node, view, state.setLabels)?.label ?? '',
    }));
    const { width, height } = state.area;
    const grid = kept.grid([index, visible, width, height], () =>
      gridLayout(index, visible, { width: Math.max(1, width - gutter), height: Math.max(1, height) }),
    );
    const all = kept.proposals([index, atStart, view.supernodes, labelOf, cards], () => {
      const taken = new Set(supernodeMembers(index, view).flatMap(({ members }) => members));
      return proposeGroups(index, atStart, labelOf, cards, taken);
    });
    const proposals = kept.remaining([all, state.dismissed], () => all.filter(({ id }) => !state.dismissed.has(id)));
    const predictions = state.trace?.predictions ?? [];
    const story = kept.story([index, predictions, view.supernodes, proposals, nameOf], () =>
      tellStory(index, predictions, supernodeMembers(index, view), proposals, nameOf, atStart.nodes),
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
      points: kept.points([visible, grid], () => spatialIndex(visible.nodes, grid.x, grid.y)),
      pinned,
      subgraph: kept.subgraph([index, view.pinned, view.supernodes], () => subgraphOf(index, view)),
      proposals,
      story,
      groupColor: kept.colors([index, story], () => groupColors(index.graph.nodes.length, story.groups)),
      matches: kept.matches([index, state.search, nameOf, cards], () => findNodes(index, state.search, nameOf, cards)),
      focus,
      focusEdges: kept.focusEdges([...edgeCauses, focus], () => edgesAt(focus)),
      selectedEdges: kept.selectedEdges([...edgeCauses, selected], () => edgesAt(selected)),
      nameOf,
      labelOf,
    };
  };
}
