import path from 'node:path';
import type { ProxyRules } from './proxy.ts';
import { proxyFromVariables } from './proxy.ts';

/** The hub's own address: the one place where it is written. `HF_ENDPOINT` and the setting name a mirror instead. */
export const hubAddress = 'https://huggingface.co';

type Variables = Readonly<Record<string, string | undefined>>;

/** Where files come from and where they are kept, by the same settings as the hub's Python library. */
export type HubEnvironment = {
  /** Absolute: the folder with `models--owner--name` folders, shared with Python. */
  readonly cacheFolder: string;
  /** Without a slash at its end. */
  readonly endpoint: string;
  /** From `HF_TOKEN`; a token kept by the editor wins over it. */
  readonly token: string | null;
  /** True: nothing is asked from the network. */
  readonly isOffline: boolean;
  readonly proxy: ProxyRules;
};

/**
 * @param variables the process's environment
 * @param home      the user's home folder
 */
export function readHubEnvironment(variables: Variables, home: string): HubEnvironment {
  const value = (name: string) => (variables[name]?.trim() ? variables[name].trim() : null);
  const folder = (name: string) => {
    const text = value(name);
    return text === null ? null : path.resolve(expand(text, variables, home));
  };
  const base = folder('XDG_CACHE_HOME') ?? path.join(home, '.cache');
  const hubHome = folder('HF_HOME') ?? path.join(base, 'huggingface');
  return {
    cacheFolder: folder('HF_HUB_CACHE') ?? folder('HUGGINGFACE_HUB_CACHE') ?? path.join(hubHome, 'hub'),
    endpoint: (value('HF_ENDPOINT') ?? hubAddress).replace(/\/+$/, ''),
    token: value('HF_TOKEN') ?? value('HUGGING_FACE_HUB_TOKEN'),
    isOffline: isTrue(value('HF_HUB_OFFLINE')) || isTrue(value('TRANSFORMERS_OFFLINE')),
    proxy: proxyFromVariables(variables),
  };
}

function isTrue(text: string | null): boolean {
  return text !== null && ['1', 'ON', 'YES', 'TRUE'].includes(text.toUpperCase());
}

/** `~` and `$NAME`, `${NAME}` as Python's library expands them; unknown names stay as they are. */
function expand(text: string, variables: Variables, home: string): string {
  const withHome = /^~(?=[/\\]|$)/.test(text) ? home + text.slice(1) : text;
  return withHome.replace(/\$(\w+)|\$\{(\w+)\}/g, (whole, plain, braced) => variables[plain ?? braced] ?? whole);
}
