import type { Intervention } from '../protocol/engine.ts';

/** How an edit is written on the command line. */
export const editHelp =
  'LAYER:FEATURE@POSITIONS[=VALUE]; positions are 7, 3..8 (8 excluded) or 3.. (generated ones too)';

/**
 * Reads one edit: `12:3045@7=3.5`, `12:3045@3..8=2`, `12:3045@3..` for `ablate`. Null when it is not written so.
 * Whether the feature exists is checked where the model is.
 */
export function readEdit(kind: Intervention['kind'], text: string): Intervention | null {
  const parts = /^(\d{1,6}):(\d{1,9})@(\d{1,9})(?:(\.\.)(\d{1,9})?)?(?:=(.+))?$/.exec(text.trim());
  if (!parts) return null;
  const [, layer, feature, start, dots, stop, written] = parts;
  if ((written === undefined) !== (kind === 'ablate')) return null;
  const value = written === undefined ? 0 : Number(written);
  if (!Number.isFinite(value) || written?.trim() === '') return null;
  const pos = dots ? { start: Number(start), stop: stop === undefined ? null : Number(stop) } : Number(start);
  return { layer: Number(layer), feature: Number(feature), pos, kind, value };
}

/** The command line's options for an edit: what `readEdit` reads back. */
export function editText({ layer, feature, pos, kind, value }: Intervention): string {
  const place = typeof pos === 'number' ? `${pos}` : `${pos.start}..${pos.stop ?? ''}`;
  return `--${kind} ${layer}:${feature}@${place}${kind === 'ablate' ? '' : `=${value}`}`;
}
