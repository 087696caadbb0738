import type { Steps } from '../src/graph/steps.ts';

/** Keeps the last result of one computation for as long as what it depends on stays the same. */
export type Cell<Result> = (causes: readonly unknown[], compute: () => Result) => Result;

export function cell<Result>(): Cell<Result> {
  let last: { readonly causes: readonly unknown[]; readonly result: Result } | null = null;
  return (causes, compute) => {
    if (last && isSame(last.causes, causes)) return last.result;
    last = { causes, result: compute() };
    return last.result;
  };
}

/** The same of a computation in steps. */
export type StepCell<Result> = (causes: readonly unknown[], compute: () => Steps<Result>) => Steps<Result>;

export function stepCell<Result>(): StepCell<Result> {
  let last: { readonly causes: readonly unknown[]; readonly result: Result } | null = null;
  return function* (causes, compute) {
    if (last && isSame(last.causes, causes)) return last.result;
    const result = yield* compute();
    last = { causes, result };
    yield;
    return result;
  };
}

function isSame(before: readonly unknown[], causes: readonly unknown[]): boolean {
  return before.every((cause, position) => Object.is(cause, causes[position]));
}
