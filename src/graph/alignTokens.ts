/** One place of two aligned lists: an index in each, null where a list has nothing there. */
export type Pair = { readonly left: number | null; readonly right: number | null };

/** Longer middle parts are not searched for common tokens: the table would have more than four million fields. */
const mostFields = 4_000_000;

/**
 * Aligns two token lists: tokens of a longest common subsequence with each other, and what was replaced between two of
 * these from its end, because models gather what a word means at its last token.
 */
export function alignTokens(left: readonly string[], right: readonly string[]): Pair[] {
  let start = 0;
  while (start < left.length && start < right.length && left[start] === right[start]) start++;
  let end = 0;
  const most = Math.min(left.length, right.length) - start;
  while (end < most && left[left.length - 1 - end] === right[right.length - 1 - end]) end++;
  const common = [
    ...Array.from({ length: start }, (_, index) => [index, index] as const),
    ...commonTokens(left.slice(start, left.length - end), right.slice(start, right.length - end)).map(
      ([a, b]) => [a + start, b + start] as const,
    ),
    ...Array.from({ length: end }, (_, index) => [left.length - end + index, right.length - end + index] as const),
  ];
  const pairs: Pair[] = [];
  let [nextLeft, nextRight] = [0, 0];
  for (const [a, b] of [...common, [left.length, right.length] as const]) {
    pairs.push(...gap(nextLeft, a, nextRight, b));
    if (a < left.length) pairs.push({ left: a, right: b });
    [nextLeft, nextRight] = [a + 1, b + 1];
  }
  return pairs;
}

/** Two runs with no token in common, the ends of the shorter and the longer one side by side. */
function gap(leftStart: number, leftEnd: number, rightStart: number, rightEnd: number): Pair[] {
  const pairs: Pair[] = [];
  const aligned = Math.min(leftEnd - leftStart, rightEnd - rightStart);
  for (let left = leftStart; left < leftEnd - aligned; left++) pairs.push({ left, right: null });
  for (let right = rightStart; right < rightEnd - aligned; right++) pairs.push({ left: null, right });
  for (let back = aligned; back > 0; back--) pairs.push({ left: leftEnd - back, right: rightEnd - back });
  return pairs;
}

/** The index pairs of a longest common subsequence. */
function commonTokens(left: readonly string[], right: readonly string[]): [number, number][] {
  const width = right.length + 1;
  if ((left.length + 1) * width > mostFields) return [];
  const lengths = new Uint32Array((left.length + 1) * width);
  for (let a = left.length - 1; a >= 0; a--) {
    for (let b = right.length - 1; b >= 0; b--) {
      lengths[a * width + b] =
        left[a] === right[b]
          ? lengths[(a + 1) * width + b + 1] + 1
          : Math.max(lengths[(a + 1) * width + b], lengths[a * width + b + 1]);
    }
  }
  const pairs: [number, number][] = [];
  for (let a = 0, b = 0; a < left.length && b < right.length; ) {
    if (left[a] === right[b]) pairs.push([a++, b++]);
    else if (lengths[(a + 1) * width + b] >= lengths[a * width + b + 1]) a++;
    else b++;
  }
  return pairs;
}
