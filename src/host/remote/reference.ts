import { UserError } from '../../protocol/errors.ts';

/** A repository on the hub, a folder inside it, and a branch, tag or commit. */
export type HubReference = {
  /** `owner/name` */
  readonly repo: string;
  /** Folder inside the repository, parts joined by `/`; empty for its root. */
  readonly folder: string;
  /** Null: the repository's default branch. */
  readonly revision: string | null;
};

/** One file on the hub, as transcoder sets name it in their `config.yaml`. */
export type HubFileReference = { readonly repo: string; readonly path: string; readonly revision: string | null };

export const defaultRevision = 'main';

/** Two short names that circuit-tracer's users know. */
const aliases: ReadonlyMap<string, string> = new Map([
  ['gemma', 'mwhanna/gemma-scope-transcoders'],
  ['llama', 'mntss/transcoder-Llama-3.2-1B'],
]);

/** Longest path inside a repository and longest part of it: what common file systems can hold. */
const longestPath = 1024;
const longestPart = 255;

/**
 * Reads `owner/repo`, `owner/repo/sub/folder`, either with `@revision`, or an alias.
 * @throws UserError `reference.invalid`
 */
export function parseReference(text: string): HubReference {
  const trimmed = text.trim();
  const at = trimmed.indexOf('@');
  const revision = at < 0 ? null : trimmed.slice(at + 1);
  const named = at < 0 ? trimmed : trimmed.slice(0, at);
  const parts = (aliases.get(named) ?? named).split('/');
  if (parts.at(-1) === '') parts.pop();
  const repo = parts.slice(0, 2).join('/');
  const folder = parts.slice(2).join('/');
  if (!isRepo(repo)) throw invalid(text, 'it does not start with owner/name');
  if (folder !== '' && !isSafePath(folder)) throw invalid(text, 'its folder is not a plain path');
  if (revision !== null && !isRevision(revision)) throw invalid(text, 'what follows @ is not a branch, tag or commit');
  return { repo, folder, revision };
}

/**
 * Reads `hf://owner/repo/path/to/file?revision=R`.
 * @throws UserError `reference.invalid`
 */
export function parseFileReference(text: string): HubFileReference {
  const match = /^hf:\/\/([^/?#]+\/[^/?#]+)\/([^?#]+)(?:\?revision=([^&#]+))?$/.exec(text.trim());
  if (match === null) throw invalid(text, 'it does not read hf://owner/name/path/to/file');
  const [, repo = '', path = '', revision] = match;
  if (!isRepo(repo)) throw invalid(text, 'it does not start with hf://owner/name');
  if (!isSafePath(path)) throw invalid(text, 'its file is not a plain path');
  if (revision !== undefined && !isRevision(revision)) {
    throw invalid(text, 'its revision is not a branch, tag or commit');
  }
  return { repo, path, revision: revision ?? null };
}

/** The text that `parseReference` reads back as the same reference. */
export function formatReference({ repo, folder, revision }: HubReference): string {
  return `${repo}${folder === '' ? '' : `/${folder}`}${revision === null ? '' : `@${revision}`}`;
}

/** A repository name that is safe in an address and in a folder's name. */
export function isRepo(text: string): boolean {
  const parts = text.split('/');
  return parts.length === 2 && parts.every(isRepoPart);
}

/** `--` separates owner and name in the cache's folder names, so the hub allows it in neither. */
function isRepoPart(part: string): boolean {
  return /^\w(?:[\w.-]{0,94}\w)?$/.test(part) && !part.includes('--') && !part.includes('..');
}

/** A branch, tag or commit that is safe in an address and as a file below `refs/`. */
export function isRevision(text: string): boolean {
  return text.length <= 200 && /^[\w.+/-]+$/.test(text) && isSafePath(text);
}

/** A full commit name: what never changes. */
export function isCommit(text: string): boolean {
  return /^[0-9a-f]{40}$/.test(text);
}

/**
 * A relative path that stays below the folder it is joined to, on every system: no empty, `.` or `..` parts, no
 * backslashes, drive letters, control characters, device names, or endings that Windows drops.
 */
export function isSafePath(path: string): boolean {
  return path.length > 0 && path.length <= longestPath && path.split('/').every(isSafePart);
}

function isSafePart(part: string): boolean {
  if (part === '' || part.length > longestPart || /^\.{1,2}$/.test(part) || /[. ]$/.test(part)) return false;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are exactly what is refused here
  if (/[\u0000-\u001f\u007f\\:*?"<>|]/.test(part)) return false;
  return !/^(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$)/i.test(part);
}

function invalid(text: string, reason: string): UserError {
  const shown = text.length > 200 ? `${text.slice(0, 200)}…` : text;
  return new UserError(
    'reference.invalid',
    `"${shown}" does not name a model or transcoder set on the hub: ${reason}.`,
    'Write owner/name, owner/name/folder, or either with @revision.',
  );
}
