import type { Derived } from '../derive.ts';
import { type Shape, shapeOf } from '../drawing/glyphs.ts';
import type { ViewState } from '../store.ts';
import type { Box } from '../subgraph.ts';
import { percent, quoteToken } from '../words.ts';

/** A supernode's name, or its only node's. */
export function boxName(box: Box, nameOf: (node: number) => string, view: ViewState['view']): string {
  return box.supernode === null ? nameOf(box.members[0]) : (view.supernodes[box.supernode]?.label ?? '');
}

/** What a box stands for, as a sentence. */
export function describeBox({ index, nameOf }: Derived, box: Box, view: ViewState['view']): string {
  const name = boxName(box, nameOf, view);
  const { nodes, metadata } = index.graph;
  if (box.supernode === null) return name;
  const members = box.members.map(
    (node) => `${nameOf(node)} at ${quoteToken(metadata.promptTokens[nodes[node].pos] ?? '')}`,
  );
  return `${name}: ${members.join(', ')}`;
}

export function boxShape(box: Box): Shape {
  return shapeOf[box.kind];
}

/** Share of the answer that passes through the box. */
export function boxShare({ index, story }: Derived, box: Box): string {
  const known = box.supernode === null ? null : story.groups.find(({ id }) => id === box.id);
  return percent(known ? known.share : index.influence[box.members[0]]);
}
