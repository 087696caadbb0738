/** Decisions are made on at least so much work. */
const leastMilliseconds = 150;
/** Below this much processor time per time passed, the second thread mostly waits for a core that others use. */
const leastParallelism = 1.15;
/** Work done on one thread before all are tried again. */
const retryMilliseconds = 4000;

/**
 * Whether to use all threads or one, from how much processor time the work gets. Products on several threads end when
 * the last of them ends: on a machine that is busy with other things one thread alone can be several times faster.
 */
export class ThreadChoice {
  #usesAll = true;
  #passed = 0;
  #processor = 0;

  get usesAll(): boolean {
    return this.#usesAll;
  }

  /** Takes what a piece of work took, both in milliseconds. */
  note(passed: number, processor: number): void {
    this.#passed += passed;
    this.#processor += processor;
    if (this.#passed < (this.#usesAll ? leastMilliseconds : retryMilliseconds)) return;
    this.#usesAll = !this.#usesAll || this.#processor >= leastParallelism * this.#passed;
    this.#passed = 0;
    this.#processor = 0;
  }
}
