import type { NamedTensor, Tensors } from './tensorFile.ts';

/** How far a number may be from the reference: absolutely, or as a share of the reference's size. */
export type Tolerance = { readonly absolute: number; readonly relative: number };

export type Deviation = {
  readonly tensor: string;
  /** Index along each axis of the place. */
  readonly index: readonly number[];
  readonly expected: number;
  readonly got: number;
  /** |got − expected| over what is allowed there: above 1 fails. Exact tensors: 0 or Infinity. */
  readonly ofAllowed: number;
};

export type Comparison = {
  /** The first tensor, in the reference's order, that differs too much, at its first such place. */
  readonly first: Deviation | null;
  /** The largest deviation as a share of what is allowed; null when nothing was compared. */
  readonly largest: Deviation | null;
  /** Tensors that are missing or of another shape. */
  readonly misshapen: readonly string[];
};

/** Compares every tensor of the reference with its namesake: integers exactly, floats within their tolerance. */
export function compareTensors(expected: Tensors, got: Tensors, toleranceOf: (name: string) => Tolerance): Comparison {
  let first: Deviation | null = null;
  let largest: Deviation | null = null;
  const misshapen: string[] = [];
  for (const [name, reference] of expected) {
    const result = got.get(name);
    if (!result || `${result.shape}` !== `${reference.shape}`) {
      misshapen.push(`${name}: expected [${reference.shape}], got ${result ? `[${result.shape}]` : 'nothing'}`);
      continue;
    }
    const found = compareTensor(name, reference, result, toleranceOf(name));
    first ??= found.first;
    if (found.largest && (!largest || found.largest.ofAllowed > largest.ofAllowed)) largest = found.largest;
  }
  return { first, largest, misshapen };
}

/** One deviation as text: `adjacency[3, 17]: expected 0.5, got 0.6`. */
export function deviationText({ tensor, index, expected, got }: Deviation): string {
  return `${tensor}[${index.join(', ')}]: expected ${expected}, got ${got}`;
}

function compareTensor(
  name: string,
  reference: NamedTensor,
  result: NamedTensor,
  tolerance: Tolerance,
): { first: Deviation | null; largest: Deviation | null } {
  const isExact = !(reference.data instanceof Float32Array);
  let firstPlace = -1;
  let largestPlace = -1;
  let largestShare = -1;
  for (let place = 0; place < reference.data.length; place++) {
    const share = shareOfAllowed(reference.data[place], result.data[place], isExact, tolerance);
    if (share > 1 && firstPlace < 0) firstPlace = place;
    if (share > largestShare) {
      largestShare = share;
      largestPlace = place;
    }
  }
  const at = (place: number): Deviation | null =>
    place < 0
      ? null
      : {
          tensor: name,
          index: unravel(place, reference.shape),
          expected: reference.data[place],
          got: result.data[place],
          ofAllowed: shareOfAllowed(reference.data[place], result.data[place], isExact, tolerance),
        };
  return { first: at(firstPlace), largest: at(largestPlace) };
}

function shareOfAllowed(expected: number, got: number, isExact: boolean, { absolute, relative }: Tolerance): number {
  if (expected === got) return 0;
  const share = isExact
    ? Number.POSITIVE_INFINITY
    : Math.abs(got - expected) / Math.max(absolute, relative * Math.abs(expected));
  return Number.isNaN(share) ? Number.POSITIVE_INFINITY : share;
}

function unravel(place: number, shape: readonly number[]): number[] {
  const index: number[] = [];
  let rest = place;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    index.unshift(rest % shape[axis]);
    rest = Math.floor(rest / shape[axis]);
  }
  return index;
}
