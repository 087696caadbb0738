import type { Phase, Progress } from '../../protocol/engine.ts';

export type ClockOptions = {
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: Progress) => void;
};

/** Measures the phases, passes progress on, lets the event loop turn and stops when cancelled. */
export class PhaseClock {
  readonly #options: ClockOptions;
  readonly #phases: { phase: Phase; milliseconds: number }[] = [];
  #since = performance.now();

  constructor(options: ClockOptions) {
    this.#options = options;
  }

  async step(phase: Phase, done: number, total: number): Promise<void> {
    this.report(phase, done, total);
    await new Promise((resolve) => setImmediate(resolve));
    this.#options.signal?.throwIfAborted();
  }

  report(phase: Phase, done: number, total: number): void {
    this.#enter(phase);
    this.#options.onProgress?.({ phase, done, total });
  }

  finish(): { readonly phase: Phase; readonly milliseconds: number }[] {
    this.#charge();
    return this.#phases;
  }

  #enter(phase: Phase): void {
    if (this.#phases.at(-1)?.phase === phase) return;
    this.#charge();
    this.#phases.push({ phase, milliseconds: 0 });
  }

  #charge(): void {
    const now = performance.now();
    const current = this.#phases.at(-1);
    if (current) current.milliseconds += now - this.#since;
    this.#since = now;
  }
}
