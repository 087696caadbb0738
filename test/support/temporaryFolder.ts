import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';

/** A folder of its own, removed when the test ends: `await using folder = await temporaryFolder()`. */
export async function temporaryFolder(): Promise<AsyncDisposable & { readonly path: string }> {
  const folder = await fs.realpath(await fs.mkdtemp(path.join(os.tmpdir(), 'circuits-')));
  return {
    path: folder,
    [Symbol.asyncDispose]: () => fs.rm(folder, { recursive: true, force: true }),
  };
}
