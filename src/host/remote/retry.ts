import { setTimeout as delay } from 'node:timers/promises';
import { isAbort, UserError } from '../../protocol/errors.ts';

/** Waits, or throws an AbortError. A parameter, so that tests see what is waited for and wait for nothing. */
export type Wait = (milliseconds: number, signal: AbortSignal) => Promise<void>;

export const waitOnClock: Wait = (milliseconds, signal) => delay(milliseconds, undefined, { signal });

/** A failure that may pass: a busy or broken server, a cut connection. */
export class PassingFailure extends Error {
  override readonly name = 'PassingFailure';
  /** Milliseconds that the server asked us to wait; null when it did not. */
  readonly retryAfter: number | null;

  constructor(message: string, retryAfter: number | null) {
    super(message);
    this.retryAfter = retryAfter;
  }
}

/** Failures in a row, without one byte of progress between, before giving up: about half a minute of waiting. */
const mostFailures = 6;
/** A server that asks for more patience than this is reported instead of waited for. */
const longestRetryAfter = 10 * 60_000;

/**
 * Runs `attempt` until it succeeds or fails for good, waiting 1, 2, 4, … s between, or as long as the server asks.
 * @param attempt may call `progressed` to say that it moved, which starts the counting of failures anew
 * @throws UserError `hub.unreachable`, `hub.busy`, and whatever `attempt` throws that will not pass
 */
export async function withRetries<Result>(
  attempt: (progressed: () => void) => Promise<Result>,
  options: { readonly wait: Wait; readonly signal: AbortSignal; readonly log: (line: string) => void },
): Promise<Result> {
  const { wait, signal, log } = options;
  let failures = 0;
  const progressed = () => {
    failures = 0;
  };
  for (;;) {
    signal.throwIfAborted();
    try {
      return await attempt(progressed);
    } catch (error) {
      signal.throwIfAborted();
      const failure = asPassing(error);
      if (failure === null) throw error;
      failures += 1;
      if (failures >= mostFailures) throw unreachable(failure, failures);
      if (failure.retryAfter !== null && failure.retryAfter > longestRetryAfter) throw busy(failure.retryAfter);
      const milliseconds = failure.retryAfter ?? 1000 * 2 ** (failures - 1);
      log(`${failure.message}; trying again in ${Math.round(milliseconds / 1000)} s`);
      await wait(milliseconds, signal);
    }
  }
}

const passingCodes = new Set([
  'ECONNRESET',
  'ECONNREFUSED',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ENETUNREACH',
  'ENETDOWN',
  'EHOSTUNREACH',
  'ERR_STREAM_PREMATURE_CLOSE',
]);

function asPassing(error: unknown): PassingFailure | null {
  if (error instanceof PassingFailure) return error;
  if (!(error instanceof Error) || isAbort(error)) return null;
  const code = (error as NodeJS.ErrnoException).code ?? '';
  const isPassing = passingCodes.has(code) || code.startsWith('HPE_');
  return isPassing ? new PassingFailure(error.message === '' ? code : error.message, null) : null;
}

/** `Retry-After` in milliseconds: seconds or a date. Null when absent or unreadable. */
export function readRetryAfter(header: string | undefined, now: number): number | null {
  if (header === undefined) return null;
  if (/^\d{1,9}$/.test(header.trim())) return Number(header) * 1000;
  const date = Date.parse(header);
  return Number.isNaN(date) ? null : Math.max(0, date - now);
}

function unreachable(failure: PassingFailure, attempts: number): UserError {
  return new UserError(
    'hub.unreachable',
    `The hub could not be reached in ${attempts} attempts: ${failure.message}.`,
    'Check the connection, the proxy settings and HF_ENDPOINT, then resume: what has arrived is kept.',
  );
}

function busy(milliseconds: number): UserError {
  return new UserError(
    'hub.busy',
    `The hub asks to wait ${Math.ceil(milliseconds / 60_000)} minutes before the next request.`,
    'Resume the download later: what has arrived is kept. An access token raises the limit.',
  );
}
