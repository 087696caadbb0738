/**
 * A share as people read it: 0.8543 → "85 %". Near 0 and 1 one digit more, so that nothing that is there reads as
 * nothing, and no doubt as none: "<0.1 %", ">99.9 %".
 * @param digits after the point; by default none between 10 % and 99 %, else one
 */
export function percent(share: number, digits?: number): string {
  const value = share * 100;
  const size = Math.abs(value);
  if (!Number.isFinite(value)) return '–';
  if (value === 0 || size === 100) return `${value} %`;
  if (size < 0.05) return '<0.1 %';
  if (size >= 99.95 && size < 100) return '>99.9 %';
  const isNearEnd = size < 9.95 || (size > 99 && size < 100);
  return `${value.toFixed(digits ?? (isNearEnd ? 1 : 0))} %`;
}
