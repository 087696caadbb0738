import type { FromPanel, ToPanel } from '../../protocol/panel.ts';
import type { TraceCheck, TraceDraft, TraceSetup } from '../../protocol/traceDialog.ts';

/** Who a page's trace dialog speaks with: judges drafts and takes the last one. */
export type DialogSession = {
  readonly setup: TraceSetup;
  check(draft: TraceDraft, number: number): Promise<TraceCheck>;
  /** A file of vectors that the user chose; null: none. */
  pickDirections(): Promise<string | null>;
  /** Starts the trace; what is wrong when it cannot start, else null. */
  start(draft: TraceDraft, number: number): Promise<TraceCheck | null>;
  /** The dialog was left, with what was written in it. */
  close(draft: TraceDraft): void;
};

export type DialogMessage = Extract<FromPanel, { type: 'checkTrace' | 'startTrace' | 'traceDialog' }>;

/** The trace dialog of one page. What was written in it outlives the page, which is made anew whenever it was hidden. */
export class PageDialog {
  readonly #post: (message: ToPanel) => void;
  #session: DialogSession | null = null;
  #draft: TraceDraft | null = null;
  /** The newest draft to judge, while an older one is being judged. */
  #waiting: { readonly draft: TraceDraft; readonly number: number } | null = null;
  #isChecking = false;

  constructor(post: (message: ToPanel) => void) {
    this.#post = post;
  }

  /** Shows the dialog; another one that is open is left. */
  open(session: DialogSession): void {
    this.close();
    this.#session = session;
    this.#draft = session.setup.draft;
    this.say();
  }

  /** Says all that the page must show: nothing where no dialog is open. */
  say(): void {
    if (this.#session === null || this.#draft === null) return;
    this.#post({ type: 'traceDialog', setup: { ...this.#session.setup, draft: this.#draft } });
  }

  close(): void {
    const session = this.#session;
    this.#session = null;
    if (session !== null && this.#draft !== null) session.close(this.#draft);
  }

  async receive(message: Exclude<DialogMessage, { action: 'open' }>): Promise<void> {
    const session = this.#session;
    if (session === null) return;
    if (message.type === 'checkTrace') {
      this.#draft = message.draft;
      await this.#check(session, message);
    } else if (message.type === 'startTrace') {
      this.#draft = message.draft;
      const check = await session.start(message.draft, message.number);
      if (check !== null) this.#post({ type: 'traceChecked', check, isRefused: true });
      else {
        this.#session = null;
        this.#post({ type: 'traceDialogClosed' });
      }
    } else if (message.action === 'pickDirections') {
      const file = await session.pickDirections();
      if (file !== null) this.#post({ type: 'directionsPicked', file });
    } else if (message.action === 'close') {
      this.close();
      this.#post({ type: 'traceDialogClosed' });
    }
  }

  /** Judges drafts one after another; those that were overtaken while one was judged are not. */
  async #check(session: DialogSession, asked: { readonly draft: TraceDraft; readonly number: number }): Promise<void> {
    this.#waiting = asked;
    if (this.#isChecking) return;
    this.#isChecking = true;
    try {
      while (this.#waiting !== null) {
        const { draft, number }: { draft: TraceDraft; number: number } = this.#waiting;
        this.#waiting = null;
        const check = await session.check(draft, number);
        if (this.#session === session) this.#post({ type: 'traceChecked', check, isRefused: false });
      }
    } finally {
      this.#isChecking = false;
    }
  }
}
