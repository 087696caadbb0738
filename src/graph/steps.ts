/**
 * A computation that can be interrupted: it yields between its steps, so that whoever runs it may let the page breathe.
 * Every step is to take less than some tens of milliseconds on the largest graph.
 */
export type Steps<Result> = Generator<void, Result, void>;

/** Milliseconds of work between two pauses: less than what a reader notices as a stop. */
const sliceTime = 24;

/** Runs all steps without a pause. */
export function atOnce<Result>(steps: Steps<Result>): Result {
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
  }
}

/** Runs steps for one slice; `done` when that was all. */
export function workFor<Result>(steps: Steps<Result>): IteratorResult<void, Result> {
  const begin = performance.now();
  for (;;) {
    const step = steps.next();
    if (step.done || performance.now() - begin >= sliceTime) return step;
  }
}

/**
 * Runs the steps in slices: after some milliseconds of work everything else gets its turn.
 * @param isWanted asked between slices; when it is not any more, the rest is not computed
 * @returns the result, or null when it was given up
 */
export async function inSlices<Result>(steps: Steps<Result>, isWanted: () => boolean): Promise<Result | null> {
  for (;;) {
    const step = workFor(steps);
    if (step.done) return step.value;
    await nextTurn();
    if (!isWanted()) return null;
  }
}

/** Resolves when events, frames and timers that are due have had their turn. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    const done = () => {
      port1.close();
      resolve();
    };
    port1.addEventListener('message', done, { once: true });
    port1.start();
    port2.postMessage(null);
  });
}
