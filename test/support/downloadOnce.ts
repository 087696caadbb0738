import process from 'node:process';
import { downloadFile } from '../../src/host/remote/download.ts';
import { createHttpClient } from '../../src/host/remote/http.ts';
import { noProxy } from '../../src/host/remote/proxy.ts';
import { waitOnClock } from '../../src/host/remote/retry.ts';

/** A window of its own: downloads one file and prints where it is. Arguments: endpoint, cache, repo, commit, path. */
const [, , endpoint = '', cache = '', repo = '', commit = '', path = ''] = process.argv;
const place = await downloadFile(
  { repo, revision: 'main', commit, path },
  {
    cache,
    signal: new AbortController().signal,
    onBytes: () => {},
    hub: {
      endpoint,
      http: createHttpClient(noProxy),
      token: async () => null,
      isOffline: () => false,
      wait: waitOnClock,
      log: () => {},
    },
  },
);
process.stdout.write(place);
