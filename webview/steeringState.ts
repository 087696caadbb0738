import type { CircuitGraph } from '../src/graph/circuitGraph.ts';
import { editOfNodes, nodesOfEdit } from '../src/graph/editsOfNodes.ts';
import { type GraphEdit, type Interventions, noInterventions } from '../src/graph/interventions.ts';
import type { InterveneResult } from '../src/protocol/engine.ts';
import type { InterventionRun } from '../src/protocol/panel.ts';

/** The interventions as this page has them. The trace holds them; other pages of it show the same. */
export type SteeringState = {
  readonly interventions: Interventions;
  /** As the extension knows them: what differs is told. */
  readonly told: Interventions;
  /** How the extension last ran the model with them. */
  readonly run: InterventionRun;
  /** The reader asked for a run. */
  readonly isWanted: boolean;
};

export const noRun: InterventionRun = {
  isRunning: false,
  result: null,
  streamed: { before: [], after: [] },
  failure: null,
};

export const noSteering: SteeringState = {
  interventions: noInterventions,
  told: noInterventions,
  run: noRun,
  isWanted: false,
};

/** What a trace brings along. */
export function steeringOf({ interventions = noInterventions }: CircuitGraph): SteeringState {
  return { ...noSteering, interventions, told: interventions };
}

/** The state with its interventions changed. */
export function changeInterventions(
  steering: SteeringState,
  change: (interventions: Interventions) => Interventions,
): SteeringState {
  return { ...steering, interventions: change(steering.interventions) };
}

/** The state with an edit of these nodes at its end; nodes that have one already keep it, and tokens and outputs have none. */
export function withEdit(
  steering: SteeringState,
  name: string,
  nodes: readonly number[],
  graph: Pick<CircuitGraph, 'nodes'>,
): SteeringState {
  const edit = editOfNodes(
    name,
    nodes.map((node) => graph.nodes[node]),
  );
  const { edits } = steering.interventions;
  if (edit === null || edits.some((other) => placeKey(other) === placeKey(edit))) return steering;
  return changeInterventions(steering, (now) => ({ ...now, edits: [...now.edits, edit] }));
}

/** The state with the edit at a place of the list changed, or taken away. */
export function changeEdit(
  steering: SteeringState,
  place: number,
  change: ((edit: GraphEdit) => GraphEdit) | null,
): SteeringState {
  return changeInterventions(steering, (now) => ({
    ...now,
    edits: now.edits.flatMap((edit, index) => (index !== place ? [edit] : change === null ? [] : [change(edit)])),
  }));
}

/** The same for edits of the same nodes. */
export function placeKey(edit: GraphEdit): string {
  if (edit.type === 'patch') return JSON.stringify({ ...edit, isOn: true, name: '' });
  return `${edit.type} ${edit.sites.map((site) => Object.values(site).join('/')).join(' ')}`;
}

/** The nodes that edits which are on change. */
export function editedNodes({ interventions }: SteeringState, graph: CircuitGraph): ReadonlySet<number> {
  return new Set(interventions.edits.filter(({ isOn }) => isOn).flatMap((edit) => nodesOfEdit(edit, graph)));
}

/** By node: how the last run changed its activation, as a part of the largest change, with its sign. */
export function changedNodes({ run }: SteeringState, { nodes }: CircuitGraph): ReadonlyMap<number, number> {
  const changed = run.result?.changed ?? [];
  const parts = new Map<number, number>();
  if (changed.length === 0) return parts;
  const key = (layer: number, pos: number, feature: number | null): string => `${layer} ${pos} ${feature}`;
  const byKey = new Map(
    changed.map(({ layer, pos, feature, before, after }) => [key(layer, pos, feature), after - before]),
  );
  const largest = Math.max(...[...byKey.values()].map(Math.abs));
  nodes.forEach(({ kind, layer, pos, feature }, node) => {
    const change = kind === 'feature' ? byKey.get(key(layer, pos, feature)) : undefined;
    if (change !== undefined) parts.set(node, change / largest);
  });
  return parts;
}

type TokenChange = { readonly text: string; readonly before: number; readonly after: number };

/** Top tokens of both runs side by side, the most likely of either first; a token that is not listed counts as 0. */
export function tokenChanges({ before, after }: InterveneResult): TokenChange[] {
  const changes = new Map<number, TokenChange>();
  for (const { id, text, probability } of before) changes.set(id, { text, before: probability, after: 0 });
  for (const { id, text, probability } of after) {
    changes.set(id, { text, before: changes.get(id)?.before ?? 0, after: probability });
  }
  return [...changes.values()].sort((a, b) => Math.max(b.before, b.after) - Math.max(a.before, a.after));
}
