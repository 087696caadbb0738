import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { createHttpClient, readBody } from '../../src/host/remote/http.ts';
import { noProxy } from '../../src/host/remote/proxy.ts';
import { UserError } from '../../src/protocol/errors.ts';

const { signal } = new AbortController();
const request = { method: 'GET', headers: {}, signal } as const;

/** A proxy that answers every plain request itself and every tunnel as told, and notes what it was asked. */
async function startProxy(answerTunnel: string) {
  const seen: {
    readonly line: string;
    readonly authorization: string | undefined;
    readonly host: string | undefined;
  }[] = [];
  const note = ({ method, url, headers }: http.IncomingMessage) =>
    seen.push({ line: `${method} ${url}`, authorization: headers['proxy-authorization'], host: headers.host });
  const server = http.createServer((incoming, response) => {
    note(incoming);
    response.end('by proxy');
  });
  server.on('connect', (incoming, socket) => {
    note(incoming);
    socket.end(answerTunnel);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    seen,
    address: `http://me:p%40ss@127.0.0.1:${port}`,
    [Symbol.asyncDispose]: async () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

const credentials = `Basic ${Buffer.from('me:p@ss').toString('base64')}`;

test('an open address is asked for through the proxy, by its whole address and with the password', async () => {
  await using proxy = await startProxy('');
  const client = createHttpClient({ ...noProxy, http: proxy.address });
  const response = await client(new URL('http://hub.test/a?b=1'), request);
  assert.equal((await readBody(response, 100)).toString(), 'by proxy');
  assert.deepEqual(proxy.seen, [{ line: 'GET http://hub.test/a?b=1', authorization: credentials, host: 'hub.test' }]);
});

test('a secure address is reached through a tunnel, and a proxy that refuses it says what to check', async () => {
  for (const [status, remedy] of [
    [407, /user name and password/],
    [403, /NO_PROXY/],
  ] as const) {
    await using proxy = await startProxy(`HTTP/1.1 ${status} No\r\n\r\n`);
    const client = createHttpClient({ ...noProxy, https: proxy.address });
    await assert.rejects(client(new URL('https://hub.test/a'), request), (error) => {
      assert.ok(error instanceof UserError);
      assert.equal(error.code, 'proxy.refused');
      assert.match(error.message, new RegExp(`hub\\.test:443 \\(${status}\\)`));
      assert.match(error.remedy, remedy);
      return true;
    });
    assert.deepEqual(proxy.seen, [{ line: 'CONNECT hub.test:443', authorization: credentials, host: 'hub.test:443' }]);
  }
});

test('an abort before the answer ends the request, and nothing is left open', async () => {
  const server = http.createServer(() => {});
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const controller = new AbortController();
  server.on('request', () => controller.abort());
  const asked = createHttpClient(noProxy)(new URL(`http://127.0.0.1:${port}/`), {
    ...request,
    signal: controller.signal,
  });
  await assert.rejects(asked, { name: 'AbortError' });
  server.close();
  await once(server, 'close');
});
