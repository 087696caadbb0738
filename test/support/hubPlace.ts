import { createHttpClient } from '../../src/host/remote/http.ts';
import type { Hub } from '../../src/host/remote/hub.ts';
import { noProxy } from '../../src/host/remote/proxy.ts';
import { type HubServer, type ServedRepo, startHubServer } from './hubServer.ts';
import { temporaryFolder } from './temporaryFolder.ts';

export const commit = '1111111111111111111111111111111111111111';

export type HubPlace = AsyncDisposable & {
  readonly server: HubServer;
  readonly hub: Hub;
  /** An empty hub cache. */
  readonly cache: string;
  /** What was waited for, in milliseconds, without waiting. */
  readonly waits: number[];
};

/** A hub without repositories, an empty cache, and what a window needs to use them. */
export async function hubPlace(): Promise<HubPlace> {
  const server = await startHubServer();
  const folder = await temporaryFolder();
  const waits: number[] = [];
  return {
    server,
    waits,
    cache: folder.path,
    hub: {
      endpoint: server.endpoint,
      http: createHttpClient(noProxy),
      token: async () => null,
      isOffline: () => false,
      wait: async (milliseconds) => void waits.push(milliseconds),
      log: () => {},
    },
    [Symbol.asyncDispose]: async () => {
      await server[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}

/** A repository of small text files and, where a Buffer is given, large ones. */
export function servedRepo(files: Readonly<Record<string, string | Buffer>>, itsCommit = commit): ServedRepo {
  return {
    commit: itsCommit,
    files: new Map(
      Object.entries(files).map(([path, content]) => [
        path,
        { bytes: Buffer.from(content as string), isLarge: typeof content !== 'string' },
      ]),
    ),
  };
}
