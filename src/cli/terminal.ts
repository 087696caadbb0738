import process from 'node:process';

/** Where a command's text goes: results, and everything else. */
export type Terminal = {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  /** Somebody watches: progress may be drawn over itself. */
  readonly isInteractive: boolean;
};

export const processTerminal: Terminal = {
  out: (text) => void process.stdout.write(text),
  err: (text) => void process.stderr.write(text),
  isInteractive: process.stderr.isTTY === true,
};
