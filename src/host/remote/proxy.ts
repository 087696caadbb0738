/** Which proxy, if any, a request goes through. Addresses are `http://[user:password@]host:port`. */
export type ProxyRules = {
  readonly http: string | null;
  readonly https: string | null;
  /** Hosts that are reached directly: `host`, `.domain`, `host:port`, or `*` for all. */
  readonly except: readonly string[];
};

export const noProxy: ProxyRules = { http: null, https: null, except: [] };

/** Reads `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`; the lower-case names win, as in curl. */
export function proxyFromVariables(variables: Readonly<Record<string, string | undefined>>): ProxyRules {
  const value = (name: string) => variables[name.toLowerCase()] || variables[name] || null;
  const all = value('ALL_PROXY');
  const except = (value('NO_PROXY') ?? '').split(/[\s,]+/).filter((host) => host !== '');
  return { http: value('HTTP_PROXY') ?? all, https: value('HTTPS_PROXY') ?? value('HTTP_PROXY') ?? all, except };
}

/** The proxy for one address, or null to go there directly. This machine itself is always reached directly. */
export function proxyFor(rules: ProxyRules, target: URL): URL | null {
  const address = target.protocol === 'https:' ? rules.https : rules.http;
  if (address === null || isLoopback(target.hostname) || rules.except.some((rule) => matches(rule, target)))
    return null;
  return new URL(address.includes('://') ? address : `http://${address}`);
}

function matches(rule: string, target: URL): boolean {
  if (rule === '*') return true;
  const [, host = '', port] = /^(.*?)(?::(\d+))?$/.exec(rule.toLowerCase()) ?? [];
  const targetPort = target.port || (target.protocol === 'https:' ? '443' : '80');
  if (port !== undefined && port !== targetPort) return false;
  const domain = host.replace(/^\*?\./, '');
  return target.hostname === domain || target.hostname.endsWith(`.${domain}`);
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '[::1]' || /^127\./.test(host);
}
