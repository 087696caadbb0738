import type { FromComparison } from '../../protocol/comparison.ts';

/** A message from a page as its type, or null: a page shows text from anywhere and is not trusted. */
export function readComparisonMessage(raw: unknown): FromComparison | null {
  if (typeof raw !== 'object' || raw === null || Array.isArray(raw)) return null;
  const { type, side, node } = raw as Record<string, unknown>;
  const isSide = side === 'left' || side === 'right';
  const isKnown =
    type === 'ready' ||
    type === 'openMerged' ||
    type === 'failedAction' ||
    (type === 'selectNode' && isSide && typeof node === 'string') ||
    (type === 'openTrace' && isSide && (node === null || typeof node === 'string'));
  return isKnown ? (raw as FromComparison) : null;
}
