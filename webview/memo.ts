/** Keeps the last result of one computation for as long as what it depends on stays the same. */
export type Cell<Result> = (causes: readonly unknown[], compute: () => Result) => Result;

export function cell<Result>(): Cell<Result> {
  let last: { readonly causes: readonly unknown[]; readonly result: Result } | null = null;
  return (causes, compute) => {
    if (last?.causes.every((cause, position) => Object.is(cause, causes[position]))) return last.result;
    last = { causes, result: compute() };
    return last.result;
  };
}
