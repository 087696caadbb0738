import { UserError } from '../../protocol/errors.ts';
import type { HttpClient, HttpResponse } from './http.ts';
import { readBody } from './http.ts';
import { isCommit, isSafePath } from './reference.ts';
import { PassingFailure, readRetryAfter, type Wait, withRetries } from './retry.ts';

/** What talking to the hub takes. Made once per window; `token` is asked each time, since the user may set one. */
export type Hub = {
  readonly endpoint: string;
  readonly http: HttpClient;
  readonly token: () => Promise<string | null>;
  readonly isOffline: () => boolean;
  readonly wait: Wait;
  readonly log: (line: string) => void;
};

/** A file as the hub lists it. Its path is safe to join to a folder. */
export type ListedFile = { readonly path: string; readonly size: number };

/** What the hub says of one file before it is read. */
export type FileMetadata = {
  readonly commit: string;
  /** SHA-256 of large files, git's SHA-1 of small ones; names the file in the cache. */
  readonly etag: string;
  /** Bytes; null when the hub does not say. */
  readonly size: number | null;
  /** Where the bytes are: a signed address for large files. */
  readonly address: URL;
};

/** Largest listing page and largest JSON answer: 1,000 files are about 300 KB. */
const largestAnswer = 16 * 1024 * 1024;
/** Pages of 1,000 files; the largest transcoder repositories have some 10,000 files. */
const mostPages = 100;
const mostRedirects = 5;

/** Addresses of a repository; every part is escaped. */
function apiAddress(hub: Hub, repo: string, rest: string): URL {
  return new URL(`${hub.endpoint}/api/models/${escapePath(repo)}/${rest}`);
}

export function resolveAddress(hub: Hub, repo: string, revision: string, path: string): URL {
  return new URL(`${hub.endpoint}/${escapePath(repo)}/resolve/${encodeURIComponent(revision)}/${escapePath(path)}`);
}

function escapePath(path: string): string {
  return path.split('/').map(encodeURIComponent).join('/');
}

/** The commit that a branch or tag points to now. */
export async function findCommit(hub: Hub, repo: string, revision: string, signal: AbortSignal): Promise<string> {
  const address = apiAddress(hub, repo, `revision/${encodeURIComponent(revision)}`);
  const { value } = await askJson(hub, address, repo, signal);
  const commit = isRecord(value) ? value.sha : undefined;
  if (typeof commit !== 'string' || !isCommit(commit)) throw oddAnswer(`no commit for ${repo}@${revision}`);
  return commit;
}

/** All files of a repository (or of one folder in it) at a commit, page by page. Unsafe paths are refused. */
export async function listFiles(
  hub: Hub,
  place: { readonly repo: string; readonly commit: string; readonly folder: string },
  signal: AbortSignal,
): Promise<readonly ListedFile[]> {
  const folder = place.folder === '' ? '' : `/${escapePath(place.folder)}`;
  let next: URL | null = apiAddress(hub, place.repo, `tree/${place.commit}${folder}?recursive=true`);
  const files: ListedFile[] = [];
  const seen = new Set<string>();
  while (next !== null) {
    if (seen.has(next.href) || seen.size >= mostPages) throw oddAnswer(`an endless listing of ${place.repo}`);
    seen.add(next.href);
    const { value, link } = await askJson(hub, next, place.repo, signal);
    if (!Array.isArray(value)) throw oddAnswer(`no list of files for ${place.repo}`);
    for (const entry of value) {
      const file = readListed(entry, place.repo);
      if (file !== null) files.push(file);
    }
    next = readNextLink(link, next);
  }
  return files;
}

function readListed(entry: unknown, repo: string): ListedFile | null {
  if (!isRecord(entry) || entry.type !== 'file') return null;
  const { path, size } = entry;
  if (typeof path !== 'string' || !isSafePath(path)) {
    throw oddAnswer(`a file name in ${repo} that leaves its folder or cannot be stored: ${JSON.stringify(path)}`);
  }
  if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0) throw oddAnswer(`no size for ${path}`);
  return { path, size };
}

/** `Link: <address>; rel="next"`; only on the same host, since the token goes along. */
function readNextLink(header: string | undefined, current: URL): URL | null {
  const target = /<([^>]+)>\s*;\s*rel="?next"?/.exec(header ?? '')?.[1];
  if (target === undefined) return null;
  const next = new URL(target, current);
  if (next.origin !== current.origin) throw oddAnswer(`a listing that goes on at another host (${next.host})`);
  return next;
}

/** Commit, name in the cache, size and address of one file. */
export async function fileMetadata(
  hub: Hub,
  file: { readonly repo: string; readonly revision: string; readonly path: string },
  signal: AbortSignal,
): Promise<FileMetadata> {
  const start = resolveAddress(hub, file.repo, file.revision, file.path);
  return withRetries(
    async () => {
      let address = start;
      for (let redirects = 0; redirects <= mostRedirects; redirects += 1) {
        const response = await request(hub, address, 'HEAD', {}, signal);
        response.body.destroy();
        if (response.status >= 400) throw failure(hub, response, `${file.repo}/${file.path}`);
        const location = readLocation(response, address);
        const metadata = readMetadata(response, location ?? address);
        if (metadata !== null) return metadata;
        if (location === null) throw oddAnswer(`no commit and ETag for ${file.repo}/${file.path}`);
        address = location;
      }
      throw tooManyRedirects(start);
    },
    { ...hub, signal },
  );
}

/** Null when this answer is a mere redirect and the facts come further on. */
function readMetadata(response: HttpResponse, address: URL): FileMetadata | null {
  const header = (name: string) => {
    const value = response.headers[name];
    return typeof value === 'string' ? value : null;
  };
  const isRedirect = response.status >= 300;
  const etag = header('x-linked-etag') ?? (isRedirect ? null : header('etag'));
  const commit = header('x-repo-commit');
  if (etag === null || commit === null) return null;
  const name = etag.replace(/^W\//, '').replace(/^"(.*)"$/, '$1');
  if (!/^[\w-][\w.-]{0,127}$/.test(name)) throw oddAnswer('an ETag that cannot name a file');
  if (!isCommit(commit)) throw oddAnswer('a commit that is not one');
  const size = header('x-linked-size') ?? (isRedirect ? null : header('content-length'));
  if (size !== null && !/^\d{1,15}$/.test(size)) throw oddAnswer('a size that is not a number');
  return { commit, etag: name, size: size === null ? null : Number(size), address };
}

/**
 * Bytes of a file from where its metadata said they are. The token goes only to the hub itself, never to the host of a
 * signed address. Redirects are followed a few times; statuses from 400 on are the caller's.
 */
export async function openFile(
  hub: Hub,
  start: URL,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<HttpResponse> {
  let address = start;
  for (let redirects = 0; redirects <= mostRedirects; redirects += 1) {
    const response = await request(hub, address, 'GET', headers, signal);
    const location = readLocation(response, address);
    if (location === null) return response;
    response.body.destroy();
    address = location;
  }
  throw tooManyRedirects(start);
}

function tooManyRedirects(start: URL): UserError {
  return new UserError(
    'hub.redirects',
    `The hub redirects more than ${mostRedirects} times for ${start.pathname}.`,
    'Check the hub address (HF_ENDPOINT) and the proxy settings.',
  );
}

async function request(
  hub: Hub,
  address: URL,
  method: 'GET' | 'HEAD',
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<HttpResponse> {
  if (hub.isOffline()) {
    throw new UserError(
      'hub.offline',
      `${decodeURIComponent(address.pathname)} is not on this machine, and Prompt Circuits is offline.`,
      'Turn off the setting Prompt Circuits: Offline (and HF_HUB_OFFLINE) to download it.',
    );
  }
  const isHub = address.origin === new URL(hub.endpoint).origin;
  const token = isHub ? await hub.token() : null;
  return hub.http(address, {
    method,
    signal,
    headers: token === null ? headers : { ...headers, authorization: `Bearer ${token}` },
  });
}

async function askJson(
  hub: Hub,
  start: URL,
  repo: string,
  signal: AbortSignal,
): Promise<{ value: unknown; link: string | undefined }> {
  return withRetries(
    async () => {
      const response = await openFile(hub, start, {}, signal);
      if (response.status >= 400) {
        response.body.destroy();
        throw failure(hub, response, repo);
      }
      const text = (await readBody(response, largestAnswer)).toString('utf8');
      const link = response.headers.link;
      try {
        return { value: JSON.parse(text), link: Array.isArray(link) ? link.join(',') : link };
      } catch {
        throw oddAnswer(`something else than JSON for ${repo}`);
      }
    },
    { ...hub, signal },
  );
}

/** Where a redirect leads; null for answers that are none. A secure address never leads to an open one. */
function readLocation(response: HttpResponse, from: URL): URL | null {
  if (response.status < 300 || response.status >= 400) return null;
  const location = response.headers.location;
  const to = location !== undefined && URL.canParse(location, from.href) ? new URL(location, from) : null;
  if (to === null) throw oddAnswer(`a redirect (${response.status}) to nowhere`);
  const isOpen = to.protocol === 'http:';
  if (to.protocol !== 'https:' && !isOpen) throw oddAnswer(`a redirect to ${to.protocol}`);
  if (isOpen && from.protocol === 'https:') throw oddAnswer('a redirect from a secure address to an open one');
  return to;
}

/** What a status from 400 on means, said so that a person can act on it; or a failure that may pass. */
export function failure(hub: Hub, response: HttpResponse, what: string): Error {
  const { status, headers } = response;
  if (status === 429 || status === 408 || status >= 500) {
    const reason = status === 429 ? 'The hub limits how often it may be asked (429)' : `The hub answers ${status}`;
    return new PassingFailure(reason, readRetryAfter(headers['retry-after'], Date.now()));
  }
  const code = String(headers['x-error-code'] ?? '');
  const page = `${hub.endpoint}/${what.split('/').slice(0, 2).join('/')}`;
  if (status === 401 || (status === 403 && code === 'GatedRepo')) {
    return new UserError(
      status === 401 ? 'hub.unauthorized' : 'hub.gated',
      `${what} is not open to everyone (${status}): its terms must be accepted, or the name is wrong.`,
      `Accept the terms at ${page}, then run "Prompt Circuits: Set Hub Access Token".`,
    );
  }
  if (status === 403) {
    return new UserError(
      'hub.forbidden',
      `The hub does not let this access token read ${what} (403).`,
      `Accept the terms at ${page}, or use a token that may read it.`,
    );
  }
  if (status === 404) {
    return new UserError(
      'hub.notFound',
      `${what} is not on the hub (404).`,
      'Check the name, the folder and the revision.',
    );
  }
  return new UserError('hub.refused', `The hub refused ${what} (${status}).`, 'Try again later, or check HF_ENDPOINT.');
}

export function oddAnswer(what: string): UserError {
  return new UserError(
    'hub.oddAnswer',
    `The hub's answer makes no sense: ${what}.`,
    'Check the hub address (HF_ENDPOINT) and the proxy settings.',
  );
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
