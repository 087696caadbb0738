import type { ErrorEdit, InterveneRequest, Intervention, Patch } from './engine.ts';

/** How edits are written on the command line. */
export const editHelp =
  'LAYER:FEATURE@POSITIONS[=VALUE]; positions are 7, 3..8 (8 excluded) or 3.. (generated ones too)';
export const errorHelp = 'LAYER@POSITION=FACTOR';
export const takeHelp = 'IDS[@A[=B]][#LAYER[:FEATURE]][!errors|!all]';

/**
 * Reads one edit: `12:3045@7=3.5`, `12:3045@3..8=2`, `12:3045@3..` for `ablate`. Null when it is not written so.
 * Whether the feature exists is checked where the model is.
 */
export function readEdit(kind: Intervention['kind'], text: string): Intervention | null {
  const parts = /^(\d{1,6}):(\d{1,9})@(\d{1,9})(?:(\.\.)(\d{1,9})?)?(?:=(.+))?$/.exec(text.trim());
  if (!parts) return null;
  const [, layer, feature, start, dots, stop, written] = parts;
  if ((written === undefined) !== (kind === 'ablate')) return null;
  const value = numberOf(written ?? '0');
  if (value === null) return null;
  const pos = dots ? { start: Number(start), stop: stop === undefined ? null : Number(stop) } : Number(start);
  return { layer: Number(layer), feature: Number(feature), pos, kind, value };
}

/** An edit of an error node: `3@7=0`. Null when it is not written so. */
export function readErrorEdit(text: string): ErrorEdit | null {
  const parts = /^(\d{1,6})@(\d{1,9})=(.+)$/.exec(text.trim());
  const factor = parts && numberOf(parts[3]);
  return parts && factor !== null ? { layer: Number(parts[1]), pos: Number(parts[2]), factor } : null;
}

/** A patch from a prompt given by its token ids: `5,12,9@7=6#3:45!all`. Null when it is not written so. */
export function readTake(text: string): Patch | null {
  const parts =
    /^(\d{1,9}(?:,\d{1,9})*)(?:@(\d{1,9})(?:=(\d{1,9}))?)?(?:#(\d{1,6})(?::(\d{1,9}))?)?(?:!(errors|all))?$/.exec(
      text.trim(),
    );
  if (!parts) return null;
  const [, ids, pos, fromPos, layer, feature, nodes] = parts;
  const whole = (digits: string | undefined): number | null => (digits === undefined ? null : Number(digits));
  return {
    prompt: { type: 'tokens', ids: ids.split(',').map(Number) },
    pos: whole(pos),
    fromPos: whole(fromPos),
    layer: whole(layer),
    feature: whole(feature),
    nodes: nodes === 'errors' || nodes === 'all' ? nodes : 'features',
  };
}

/** The command line's options for an edit: what `readEdit` reads back. */
export function editText({ layer, feature, pos, kind, value }: Intervention): string {
  const place = typeof pos === 'number' ? `${pos}` : `${pos.start}..${pos.stop ?? ''}`;
  return `--${kind} ${layer}:${feature}@${place}${kind === 'ablate' ? '' : `=${value}`}`;
}

/** What `readTake` reads back; null for a patch from a prompt that is not given by ids. */
export function takeText({ prompt, pos, fromPos, layer, feature, nodes }: Patch): string | null {
  if (prompt.type !== 'tokens') return null;
  const place = pos === null ? '' : `@${pos}${fromPos === null ? '' : `=${fromPos}`}`;
  const node = layer === null ? '' : `#${layer}${feature === null ? '' : `:${feature}`}`;
  return `--take ${quoted(`${prompt.ids.join(',')}${place}${node}${nodes && nodes !== 'features' ? `!${nodes}` : ''}`)}`;
}

/**
 * The same run for a terminal: `prompt-circuits intervene …`, each argument one word for a POSIX shell.
 * @param isBuiltIn the pair is the built-in one, which the command line takes by itself
 */
export function interveneCommandLine(
  { pair, prompt, ...request }: Omit<InterveneRequest, 'topTokens' | 'device'>,
  isBuiltIn: boolean,
): string {
  const { constrainedLayers, newTokens, sampling } = request;
  const model = isBuiltIn ? [] : ['--model', quoted(pair.model), '--transcoders', quoted(pair.transcoders ?? '')];
  const input =
    prompt.type === 'tokens'
      ? ['--tokens', prompt.ids.join(',')]
      : ['--prompt', quoted(prompt.type === 'text' ? prompt.text : JSON.stringify(prompt.messages))];
  return [
    'prompt-circuits intervene',
    ...model,
    ...input,
    ...(request.patches ?? []).flatMap((patch) => takeText(patch) ?? []),
    ...request.interventions.map(editText),
    ...(request.errors ?? []).map(({ layer, pos, factor }) => `--error ${layer}@${pos}=${factor}`),
    ...(request.freezeAttention ? ['--freeze-attention'] : []),
    ...(constrainedLayers === null ? [] : [`--constrain ${constrainedLayers.join(',')}`]),
    ...(newTokens > 0 ? [`--generate ${newTokens}`] : []),
    ...(newTokens > 0 && sampling
      ? [`--temperature ${sampling.temperature} --top-p ${sampling.topP} --seed ${sampling.seed}`]
      : []),
  ].join(' ');
}

/** One word for a POSIX shell, whatever is in it. */
function quoted(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

function numberOf(text: string): number | null {
  const value = Number(text);
  return Number.isFinite(value) && text.trim() !== '' ? value : null;
}
