import { once } from 'node:events';
import { isIP, type Socket } from 'node:net';
import tls from 'node:tls';
// biome-ignore lint/style/useNodejsImportProtocol: VS Code gives its proxy and certificates to these very names only
import http from 'http';
// biome-ignore lint/style/useNodejsImportProtocol: as above
import https from 'https';
import { UserError } from '../../protocol/errors.ts';
import type { ProxyRules } from './proxy.ts';
import { proxyFor } from './proxy.ts';

export type HttpRequest = {
  readonly method: 'GET' | 'HEAD';
  readonly headers: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
};

export type HttpResponse = {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  /** The body as it arrives. Read it to its end or destroy it. */
  readonly body: http.IncomingMessage;
};

/** One request, one answer: redirects, statuses and retries are the caller's. Network failures are thrown as they are. */
export type HttpClient = (address: URL, request: HttpRequest) => Promise<HttpResponse>;

/** A connection on which nothing moved for this long is given up (and tried again by the caller). */
const idleMilliseconds = 30_000;

/**
 * Node's own http and https rather than `fetch`, which on Node 20 knows no proxy outside VS Code.
 * @param rules proxies of the environment; inside VS Code `noProxy`, since it resolves them itself
 */
export function createHttpClient(rules: ProxyRules): HttpClient {
  return async (address, { method, headers, signal }) => {
    signal.throwIfAborted();
    const proxy = proxyFor(rules, address);
    const options: https.RequestOptions = {
      method,
      signal,
      // Ranges and sizes speak of the file as it is; a compressed answer would break both.
      headers: { ...headers, 'accept-encoding': 'identity', 'user-agent': 'prompt-circuits' },
    };
    const request = await open(address, proxy, options);
    request.setTimeout(idleMilliseconds, () => request.destroy(networkError('ETIMEDOUT', address)));
    // Errors are heard through `once` and the body; one that comes between or late must not end the process.
    request.on('error', () => {});
    request.end();
    const [body] = (await once(request, 'response', { signal }).catch((error) => {
      throw asCertificateError(error, address) ?? error;
    })) as [http.IncomingMessage];
    return { status: body.statusCode ?? 0, headers: body.headers, body };
  };
}

async function open(address: URL, proxy: URL | null, options: https.RequestOptions): Promise<http.ClientRequest> {
  if (address.protocol === 'https:') {
    if (proxy === null) return https.request(address, options);
    const socket = await tunnel(proxy, address, options.signal);
    // An address in numbers has no name to ask for.
    const servername = isIP(address.hostname) === 0 ? address.hostname : '';
    const createConnection = () => tls.connect({ socket, host: address.hostname, servername });
    return https.request(address, { ...options, createConnection });
  }
  if (proxy === null) return http.request(address, options);
  return http.request(proxy, {
    ...options,
    path: address.href,
    headers: { ...(options.headers as Record<string, string>), host: address.host, ...proxyAuthorization(proxy) },
  });
}

/** A socket through the proxy to the target's port. */
async function tunnel(proxy: URL, target: URL, signal: AbortSignal | undefined): Promise<Socket> {
  const authority = `${target.hostname}:${target.port || 443}`;
  const request = (proxy.protocol === 'https:' ? https : http).request(proxy, {
    method: 'CONNECT',
    path: authority,
    headers: { host: authority, ...proxyAuthorization(proxy) },
    ...(signal === undefined ? {} : { signal }),
  });
  request.setTimeout(idleMilliseconds, () => request.destroy(networkError('ETIMEDOUT', proxy)));
  request.on('error', () => {});
  request.end();
  const [response, socket] = (await once(request, 'connect')) as [http.IncomingMessage, Socket];
  if (response.statusCode === 200) return socket;
  socket.destroy();
  throw new UserError(
    'proxy.refused',
    `The proxy ${proxy.host} refused to connect to ${authority} (${response.statusCode}).`,
    response.statusCode === 407
      ? 'Put the user name and password into the proxy setting: http://user:password@host:port.'
      : 'Check the proxy settings, or add the host to NO_PROXY.',
  );
}

/** Certificates that are not trusted are for a person to settle; they do not pass by waiting. */
function asCertificateError(error: Error, address: URL): UserError | null {
  const code = (error as NodeJS.ErrnoException).code ?? '';
  if (!/CERT|SIGNATURE|^ERR_TLS|^ERR_SSL|^EPROTO$/.test(code)) return null;
  return new UserError(
    'hub.certificate',
    `The connection to ${address.host} is not trusted: ${error.message}.`,
    "Check the clock and the proxy; a company's own certificate belongs into the system's store or NODE_EXTRA_CA_CERTS.",
  );
}

function proxyAuthorization(proxy: URL): Record<string, string> {
  if (proxy.username === '') return {};
  const credentials = `${decodeURIComponent(proxy.username)}:${decodeURIComponent(proxy.password)}`;
  return { 'proxy-authorization': `Basic ${Buffer.from(credentials).toString('base64')}` };
}

function networkError(code: string, address: URL): Error {
  return Object.assign(new Error(`${address.host} did not answer for ${idleMilliseconds / 1000} s`), { code });
}

/**
 * The whole body, refused past a limit.
 * @throws UserError `hub.oddAnswer`
 */
export async function readBody(response: HttpResponse, limit: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response.body as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > limit) {
      response.body.destroy();
      throw new UserError(
        'hub.oddAnswer',
        `The hub's answer is larger than ${limit} bytes, the most that makes sense here.`,
        'Check the hub address (HF_ENDPOINT), or try again later.',
      );
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** Bytes that wait to be written before the connection is asked to pause. */
const mostWaiting = 1024 * 1024;

/**
 * The body's chunks, all of them: when the connection is cut, what had arrived comes first and the failure after it.
 * (Node's own iterator drops what it had not handed out yet.) To be called as soon as the answer is there: from then on
 * nothing is missed, however long the first read is in coming.
 */
export function readChunks(body: http.IncomingMessage): AsyncIterable<Buffer> {
  const waiting: Buffer[] = [];
  let size = 0;
  let end: { readonly error: Error | null } | null = null;
  let wake = () => {};
  const finish = (error: Error | null) => {
    end ??= { error };
    wake();
  };
  const closed = () => finish(Object.assign(new Error('the connection was closed'), { code: 'ECONNRESET' }));
  if (body.destroyed) closed();
  body.on('data', (chunk: Buffer) => {
    waiting.push(chunk);
    size += chunk.length;
    if (size > mostWaiting) body.pause();
    wake();
  });
  body.on('end', () => finish(null));
  body.on('error', finish);
  body.on('close', closed);
  return {
    async *[Symbol.asyncIterator]() {
      for (;;) {
        const chunk = waiting.shift();
        if (chunk !== undefined) {
          size -= chunk.length;
          yield chunk;
        } else if (end !== null) {
          if (end.error !== null) throw end.error;
          return;
        } else {
          const woken = new Promise<void>((resolve) => {
            wake = resolve;
          });
          body.resume();
          await woken;
        }
      }
    },
  };
}
