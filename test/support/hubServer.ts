import { createHash } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';

/** A repository as the test's hub serves it. Large files are those kept apart, behind signed addresses. */
export type ServedRepo = {
  readonly commit: string;
  readonly files: ReadonlyMap<string, { readonly bytes: Buffer; readonly isLarge: boolean }>;
  /** Needs this token: 401 without it, 403 with another. */
  readonly gate?: string;
};

/** One request, as the hub (`api`, `resolve`) or the store behind it (`signed`) saw it. */
export type SeenRequest = {
  readonly method: string;
  readonly kind: 'api' | 'resolve' | 'signed';
  readonly path: string;
  readonly headers: http.IncomingHttpHeaders;
};

/**
 * What goes wrong, asked before each request is answered. Null: nothing. `cutAt`: the connection ends after that many
 * bytes of the body. `headers` replace what would be sent.
 */
export type Fault = {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly cutAt?: number;
  /** The bytes that are sent instead of the file's. */
  readonly bytes?: Buffer;
};

export type HubServer = AsyncDisposable & {
  readonly endpoint: string;
  readonly seen: SeenRequest[];
  readonly repos: Map<string, ServedRepo>;
  fault: (request: SeenRequest) => Fault | null | Promise<Fault | null>;
  /** Files in one page of a listing. */
  pageSize: number;
};

/**
 * A server that behaves like the hub: listings in pages, a resolver that answers with facts in its headers and sends
 * large files to a signed address on another port (that is, another origin), ranges there.
 */
export async function startHubServer(): Promise<HubServer> {
  const repos = new Map<string, ServedRepo>();
  const seen: SeenRequest[] = [];
  const hub: HubServer = {
    endpoint: '',
    seen,
    repos,
    fault: () => null,
    pageSize: 1000,
    [Symbol.asyncDispose]: async () => {
      for (const server of [front, store]) {
        server.close();
        server.closeAllConnections();
      }
    },
  };
  const store = http.createServer(async (request, response) => {
    const url = new URL(request.url ?? '/', 'http://store');
    const record = note('signed', request, url.searchParams.get('file') ?? '');
    const fault = await hub.fault(record);
    if (fault !== null && isWhole(fault)) return answerFault(response, fault);
    const [repo = '', path = ''] = (url.searchParams.get('file') ?? '').split('|');
    const file = repos.get(repo)?.files.get(path);
    if (file === undefined || url.searchParams.get('signature') !== 'valid') return void response.writeHead(403).end();
    sendBytes(request, response, fault?.bytes ?? file.bytes, {}, fault);
  });
  const front = http.createServer(async (request, response) => {
    const url = new URL(request.url ?? '/', 'http://hub');
    const kind = url.pathname.startsWith('/api/') ? 'api' : 'resolve';
    const record = note(kind, request, decodeURIComponent(url.pathname));
    const fault = await hub.fault(record);
    if (fault !== null && isWhole(fault)) return answerFault(response, fault);
    if (kind === 'api') answerApi(request, response, url);
    else answerResolve(request, response, url, fault);
  });

  function note(kind: SeenRequest['kind'], request: http.IncomingMessage, path: string): SeenRequest {
    const record = { kind, path, method: request.method ?? '', headers: request.headers };
    seen.push(record);
    return record;
  }

  function gateStatus(repo: ServedRepo, request: http.IncomingMessage): number | null {
    if (repo.gate === undefined) return null;
    if (request.headers.authorization === undefined) return 401;
    return request.headers.authorization === `Bearer ${repo.gate}` ? null : 403;
  }

  function answerApi(request: http.IncomingMessage, response: http.ServerResponse, url: URL): void {
    const [, , , owner, name, verb, , ...folder] = decodeURIComponent(url.pathname).split('/');
    const repo = repos.get(`${owner}/${name}`);
    if (repo === undefined) return void response.writeHead(404, { 'x-error-code': 'RepoNotFound' }).end();
    if (verb === 'revision') return void sendJson(response, { id: `${owner}/${name}`, sha: repo.commit });
    const refused = gateStatus(repo, request);
    if (refused !== null) return void response.writeHead(refused, { 'x-error-code': 'GatedRepo' }).end();
    const below = folder.length === 0 ? '' : `${folder.join('/')}/`;
    const all = [...repo.files].filter(([path]) => path.startsWith(below));
    const start = Number(url.searchParams.get('cursor') ?? 0);
    const page = all.slice(start, start + hub.pageSize).map(([path, { bytes, isLarge }]) => ({
      type: 'file',
      path,
      size: bytes.length,
      oid: gitHash(bytes),
      ...(isLarge ? { lfs: { oid: sha256(bytes), size: bytes.length } } : {}),
    }));
    const next = new URL(url.pathname + url.search, hub.endpoint);
    next.searchParams.set('cursor', String(start + hub.pageSize));
    const more = start + hub.pageSize < all.length;
    sendJson(response, page, more ? { link: `<${next.href}>; rel="next"` } : {});
  }

  function answerResolve(
    request: http.IncomingMessage,
    response: http.ServerResponse,
    url: URL,
    fault: Fault | null,
  ): void {
    const match = /^\/([^/]+\/[^/]+)\/resolve\/([^/]+)\/(.+)$/.exec(decodeURIComponent(url.pathname));
    const repo = repos.get(match?.[1] ?? '');
    if (match === null || repo === undefined) {
      return void response.writeHead(404, { 'x-error-code': 'RepoNotFound' }).end();
    }
    const refused = gateStatus(repo, request);
    if (refused !== null) return void response.writeHead(refused, { 'x-error-code': 'GatedRepo' }).end();
    const file = repo.files.get(match[3]);
    if (file === undefined) return void response.writeHead(404, { 'x-error-code': 'EntryNotFound' }).end();
    const headers = { 'x-repo-commit': repo.commit, ...fault?.headers };
    if (!file.isLarge) {
      return void sendBytes(request, response, file.bytes, { etag: `"${gitHash(file.bytes)}"`, ...headers }, fault);
    }
    const signed = new URL(`http://127.0.0.1:${(store.address() as AddressInfo).port}/blob`);
    signed.searchParams.set('file', `${match[1]}|${match[3]}`);
    signed.searchParams.set('signature', 'valid');
    response.writeHead(302, {
      location: signed.href,
      'x-linked-etag': `"${sha256(file.bytes)}"`,
      'x-linked-size': String(file.bytes.length),
      ...headers,
    });
    response.end();
  }

  for (const server of [front, store]) {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
  }
  return Object.assign(hub, { endpoint: `http://127.0.0.1:${(front.address() as AddressInfo).port}` });
}

/** A fault that is the whole answer, rather than a change to the right one. */
function isWhole(fault: Fault): boolean {
  return fault.status !== undefined || fault.body !== undefined;
}

function answerFault(response: http.ServerResponse, fault: Fault): void {
  response.writeHead(fault.status ?? 200, fault.headers).end(fault.body ?? '');
}

function sendJson(response: http.ServerResponse, value: unknown, headers: Record<string, string> = {}): void {
  response.writeHead(200, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(value));
}

function sendBytes(
  request: http.IncomingMessage,
  response: http.ServerResponse,
  bytes: Buffer,
  headers: Record<string, string>,
  fault: Fault | null,
): void {
  const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
  const start = range === null ? 0 : Number(range[1]);
  const stop = range?.[2] ? Math.min(Number(range[2]) + 1, bytes.length) : bytes.length;
  if (start >= bytes.length && range !== null) {
    return void response.writeHead(416, { 'content-range': `bytes */${bytes.length}` }).end();
  }
  const part = bytes.subarray(start, stop);
  response.writeHead(range === null ? 200 : 206, {
    'content-length': part.length,
    ...(range === null ? {} : { 'content-range': `bytes ${start}-${stop - 1}/${bytes.length}` }),
    ...headers,
    ...fault?.headers,
  });
  if (request.method === 'HEAD') return void response.end();
  if (fault?.cutAt === undefined) return void response.end(part);
  response.write(part.subarray(0, fault.cutAt), () => response.destroy());
  if (fault.cutAt === 0) response.flushHeaders();
}

export function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** The name git gives to a file's bytes. */
export function gitHash(bytes: Buffer): string {
  return createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex');
}
