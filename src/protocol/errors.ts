/** A failure that a person can do something about: what happened, with numbers, and what to do. */
export class UserError extends Error {
  override readonly name = 'UserError';
  readonly code: string;
  readonly remedy: string;

  /**
   * @param code    stable identifier such as `model.tooLarge`
   * @param message what happened, with numbers
   * @param remedy  what the person can do, as a sentence
   */
  constructor(code: string, message: string, remedy: string) {
    super(message);
    this.code = code;
    this.remedy = remedy;
  }
}

/** An error as it crosses a process boundary. */
export type WireError =
  | { readonly type: 'user'; readonly code: string; readonly message: string; readonly remedy: string }
  | { readonly type: 'cancelled' }
  | { readonly type: 'bug'; readonly message: string; readonly stack: string };

export function toWire(error: unknown): WireError {
  if (error instanceof UserError) {
    return { type: 'user', code: error.code, message: error.message, remedy: error.remedy };
  }
  if (isAbort(error)) return { type: 'cancelled' };
  if (error instanceof Error) return { type: 'bug', message: error.message, stack: error.stack ?? '' };
  return { type: 'bug', message: String(error), stack: '' };
}

export function fromWire(error: WireError): Error {
  if (error.type === 'user') return new UserError(error.code, error.message, error.remedy);
  if (error.type === 'cancelled') return new DOMException('Cancelled', 'AbortError');
  const bug = new Error(error.message);
  bug.stack = error.stack;
  return bug;
}

export function isAbort(error: unknown): boolean {
  return error instanceof Error && error.name === 'AbortError';
}
