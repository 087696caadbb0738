import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import type { Wait } from './retry.ts';

/** Held by one process among all that share the folder; `await using` releases it. */
export type FileLock = AsyncDisposable;

/** How often the holder shows that it lives, and a waiter looks. */
const beatMilliseconds = 2_000;
const lookMilliseconds = 250;
/** A holder on another machine that showed no life in this many looks (30 s) is gone. */
const mostSilentLooks = 120;

/**
 * Takes the lock file, waiting while another live process holds it. A holder that died on this machine is noticed at
 * once by its process id, one elsewhere by its silence: measured on our own clock, since others' may differ.
 * @param onWait called at each look while another holds the lock
 */
export async function takeLock(
  file: string,
  options: { readonly wait: Wait; readonly signal: AbortSignal; readonly onWait: () => Promise<void> },
): Promise<FileLock> {
  const { wait, signal, onWait } = options;
  await fs.mkdir(path.dirname(file), { recursive: true });
  let lastBeat = '';
  let silentLooks = 0;
  for (;;) {
    signal.throwIfAborted();
    if (await create(file)) return hold(file);
    const holder = await readHolder(file);
    if (holder === null) continue;
    silentLooks = holder.beat === lastBeat ? silentLooks + 1 : 0;
    lastBeat = holder.beat;
    if (holder.isDead || silentLooks >= mostSilentLooks) {
      await removeStale(file, holder.text);
      continue;
    }
    await onWait();
    await wait(lookMilliseconds, signal);
  }
}

function owner(): string {
  return JSON.stringify({ pid: process.pid, host: os.hostname() });
}

/** True when the file was not there and is ours now. Linked into place whole, so that nobody reads it half written. */
async function create(file: string): Promise<boolean> {
  const draft = `${file}.${process.pid}.${draftNumber()}`;
  await fs.writeFile(draft, owner(), { flag: 'wx' });
  try {
    await fs.link(draft, file);
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') return false;
    // File systems without hard links: creating it exclusively is the next best.
    return await fs.writeFile(file, owner(), { flag: 'wx' }).then(
      () => true,
      (failure: NodeJS.ErrnoException) => {
        if (failure.code === 'EEXIST') return false;
        throw failure;
      },
    );
  } finally {
    await fs.rm(draft, { force: true });
  }
}

function draftNumber(): string {
  return process.hrtime.bigint().toString(36);
}

function hold(file: string): FileLock {
  const beat = setInterval(() => {
    const now = new Date();
    // A lock that vanished is noticed when it is released; a beat has nobody to tell.
    fs.utimes(file, now, now).catch(() => {});
  }, beatMilliseconds);
  beat.unref();
  return {
    async [Symbol.asyncDispose]() {
      clearInterval(beat);
      await fs.rm(file, { force: true });
    },
  };
}

type Holder = { readonly text: string; readonly beat: string; readonly isDead: boolean };

async function readHolder(file: string): Promise<Holder | null> {
  try {
    const [text, { mtimeMs, ino }] = [await fs.readFile(file, 'utf8'), await fs.stat(file)];
    return { text, beat: `${ino}:${mtimeMs}`, isDead: isDeadHere(text) };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

function isDeadHere(text: string): boolean {
  const match = /^\{"pid":(\d{1,10}),"host":"([^"]*)"\}$/.exec(text);
  if (match === null || match[2] !== os.hostname()) return false;
  try {
    process.kill(Number(match[1]), 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH';
  }
}

/** Moved aside first: of several that see the same stale lock, one gets it, and a fresh one is put back. */
async function removeStale(file: string, text: string): Promise<void> {
  const aside = `${file}.stale.${process.pid}.${draftNumber()}`;
  try {
    await fs.rename(file, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  if ((await fs.readFile(aside, 'utf8')) !== text) await fs.link(aside, file).catch(() => {});
  await fs.rm(aside, { force: true });
}
