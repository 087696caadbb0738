import type { CircuitGraph } from '../src/graph/circuitGraph.ts';
import type { GraphNode } from '../src/graph/node.ts';
import type { InterveneResult, Intervention } from '../src/protocol/engine.ts';

/** One row of the interventions list. */
export type Edit = {
  readonly key: string;
  readonly name: string;
  /** The nodes that the edit changes: one feature, or all members of a supernode. */
  readonly nodes: readonly number[];
  /** Times the activation that the feature has in the traced run; 0 turns it off. */
  readonly factor: number;
  readonly isOn: boolean;
};

export type SteeringState = {
  readonly edits: readonly Edit[];
  readonly result: InterveneResult | null;
  readonly isRunning: boolean;
  /** How far both runs go on after the prompt. */
  readonly newTokens: number;
  /** The edits are to be run as soon as no run is under way. */
  readonly isWanted: boolean;
};

export const noSteering: SteeringState = { edits: [], result: null, isRunning: false, newTokens: 0, isWanted: false };

/** Runs that answer within this are repeated while a slider moves. */
const fastRun = 700;

/** The state with an edit of these nodes at its end; nodes that have one already keep it. */
export function withEdit(steering: SteeringState, name: string, nodes: readonly number[]): SteeringState {
  const key = nodes.join(',');
  if (steering.edits.some((edit) => edit.key === key)) return steering;
  return { ...steering, edits: [...steering.edits, { key, name, nodes, factor: 0, isOn: true }] };
}

/** The state with one edit changed, or taken away; a fast model is asked again at once. */
export function changeEdit(
  steering: SteeringState,
  key: string,
  change: Partial<Pick<Edit, 'factor' | 'isOn'>> | null,
): SteeringState {
  const edits =
    change === null
      ? steering.edits.filter((edit) => edit.key !== key)
      : steering.edits.map((edit) => (edit.key === key ? { ...edit, ...change } : edit));
  const isFast = steering.result !== null && steering.result.milliseconds < fastRun;
  return { ...steering, edits, isWanted: isFast && edits.length > 0 };
}

/** What the engine is asked to do: every edit that is on, one intervention a node. */
export function interventionsOf({ edits }: SteeringState, nodes: readonly GraphNode[]): Intervention[] {
  return edits
    .filter(({ isOn }) => isOn)
    .flatMap(({ nodes: members, factor }) =>
      members.flatMap((node): Intervention[] => {
        const { kind, layer, pos, feature } = nodes[node];
        if (kind !== 'feature' || feature === null) return [];
        return [{ layer, feature, pos, kind: factor === 0 ? 'ablate' : 'scale', value: factor }];
      }),
    );
}

/**
 * The same run for a terminal: `prompt-circuits intervene …`. By token ids where the graph has them, as a prompt's text
 * may be split otherwise.
 */
export function commandLine(steering: SteeringState, { nodes, metadata }: CircuitGraph): string {
  const { promptTokenIds, promptTokens } = metadata;
  const prompt =
    promptTokenIds === null ? `--prompt ${quoted(promptTokens.join(''))}` : `--tokens ${promptTokenIds.join(',')}`;
  const edits = interventionsOf(steering, nodes).map(({ layer, feature, pos, kind, value }) => {
    const place = `${layer}:${feature}@${String(pos)}`;
    return kind === 'ablate' ? `--ablate ${place}` : `--${kind} ${place}=${value}`;
  });
  const more = steering.newTokens > 0 ? [`--generate ${steering.newTokens}`] : [];
  return ['prompt-circuits intervene', prompt, ...edits, ...more].join(' ');
}

/** One word for a POSIX shell, whatever is in it. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
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
