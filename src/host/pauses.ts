import process from 'node:process';

/** Milliseconds between two looks at the clock: pauses shorter than this are not seen. */
const sampling = 5;

/** The longest time in which the extension host answered nothing. */
export type Pause = {
  readonly milliseconds: number;
  /**
   * How long the host itself was at work, at most, between two looks: processor time of its thread, in milliseconds.
   * What a pause takes beyond that was spent waiting for a processor. Null before Node 23, which does not tell.
   */
  readonly ownMilliseconds: number | null;
};

/** Watches for how long the extension host's event loop stands still, and for how much of that it is at work itself. */
export class PauseWatch implements Disposable {
  readonly #timer: NodeJS.Timeout;
  #seenAt = performance.now();
  #workedUntil = threadTime();
  #longest = 0;
  #longestOwn = 0;

  constructor() {
    this.#timer = setInterval(() => this.#look(), sampling);
  }

  get longest(): Pause {
    return { milliseconds: this.#longest, ownMilliseconds: this.#workedUntil === null ? null : this.#longestOwn };
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const now = performance.now();
    const worked = threadTime();
    this.#longest = Math.max(this.#longest, now - this.#seenAt - sampling);
    this.#longestOwn = Math.max(this.#longestOwn, (worked ?? 0) - (this.#workedUntil ?? 0));
    this.#seenAt = now;
    this.#workedUntil = worked;
  }
}

/** Milliseconds of processor time that this thread has used; null where Node does not tell. */
function threadTime(): number | null {
  const usage = (process as { threadCpuUsage?: () => NodeJS.CpuUsage }).threadCpuUsage?.();
  return usage === undefined ? null : (usage.user + usage.system) / 1000;
}
