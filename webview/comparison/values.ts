import { percent, shortNumber, signedPercent } from '../words.ts';

export type Unit = 'number' | 'share';

/** A number of one side; a dash where the side lacks the node or does not say. */
export function valueText(value: number | null, unit: Unit): string {
  if (value === null) return '–';
  return unit === 'share' ? percent(value) : shortNumber(value);
}

/** A change with its sign; a dash where there is nothing to compare. */
export function changeText(change: number | null, unit: Unit): string {
  if (change === null) return '–';
  if (change === 0) return '±0';
  if (unit === 'share') return signedPercent(change);
  return `${change < 0 ? '−' : '+'}${shortNumber(Math.abs(change))}`;
}
