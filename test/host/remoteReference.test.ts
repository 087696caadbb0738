import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { readHubEnvironment } from '../../src/host/remote/environment.ts';
import { proxyFor, proxyFromVariables } from '../../src/host/remote/proxy.ts';
import { formatReference, isSafePath, parseFileReference, parseReference } from '../../src/host/remote/reference.ts';
import { formatBytes } from '../../src/host/remote/sizes.ts';
import { UserError } from '../../src/protocol/errors.ts';

const commit = '0123456789abcdef0123456789abcdef01234567';

function checkReference(text: string, repo: string, folder: string, revision: string | null) {
  const reference = parseReference(text);
  assert.deepEqual(reference, { repo, folder, revision });
  assert.deepEqual(parseReference(formatReference(reference)), reference);
}

test('a reference names a repository, a folder in it and a revision', () => {
  checkReference('owner/repo', 'owner/repo', '', null);
  checkReference(' owner/repo/ ', 'owner/repo', '', null);
  checkReference('owner/re.po-1/sub/folder', 'owner/re.po-1', 'sub/folder', null);
  checkReference('owner/repo@v1.0', 'owner/repo', '', 'v1.0');
  checkReference('owner/repo/sub@refs/pr/1', 'owner/repo', 'sub', 'refs/pr/1');
  checkReference(`owner/repo/sub@${commit}`, 'owner/repo', 'sub', commit);
});

test('the two short names stand for their sets', () => {
  checkReference('gemma', 'mwhanna/gemma-scope-transcoders', '', null);
  checkReference('llama@main', 'mntss/transcoder-Llama-3.2-1B', '', 'main');
});

test('a reference that could leave its folder or address is refused with what to write instead', () => {
  const refused = ['', 'owner', '/owner/repo', 'owner//repo', '../repo', 'owner/..', 'owner/repo/../x', 'owner/re--po'];
  refused.push('owner/repo@', 'owner/repo@../x', 'owner/repo@a@b', 'owner/repo/a\\b', 'owner/repo?x=1', 'own er/repo');
  refused.push(
    'owner/repo/CON',
    'owner/repo/a:b',
    `owner/repo/${'x'.repeat(300)}`,
    'owner/repo/sub./x',
    'o/r/a\u0000b',
  );
  for (const text of refused) {
    assert.throws(
      () => parseReference(text),
      (error) => error instanceof UserError && error.code === 'reference.invalid' && /owner\/name/.test(error.remedy),
      text,
    );
  }
});

test('a file reference names one file and perhaps a revision', () => {
  assert.deepEqual(parseFileReference('hf://owner/repo/layer_0/params.npz?revision=abc'), {
    repo: 'owner/repo',
    path: 'layer_0/params.npz',
    revision: 'abc',
  });
  assert.equal(parseFileReference('hf://owner/repo/a').revision, null);
  for (const text of ['hf://owner/repo', 'https://owner/repo/a', 'hf://owner/repo/../a', 'hf://o/r/a?revision=../b']) {
    assert.throws(() => parseFileReference(text), UserError, text);
  }
});

test('a path that is called safe stays below its folder on this system and on Windows', () => {
  const part = fc.oneof(fc.constantFrom('..', '.', '', 'a', 'C:', 'nul.txt', 'b ', '\\', '..\\x', '/'), fc.string());
  fc.assert(
    fc.property(fc.array(part, { minLength: 1, maxLength: 5 }), (parts) => {
      const text = parts.join('/');
      if (!isSafePath(text)) return;
      for (const { join, sep, root } of [
        { ...path.posix, root: '/base' },
        { ...path.win32, root: 'C:\\base' },
      ]) {
        assert.ok(join(root, text).startsWith(root + sep));
        assert.equal(join(root, text).length, root.length + 1 + text.length);
      }
    }),
    { numRuns: 2000 },
  );
});

test('the cache is where Python keeps it, by the same variables in the same order', () => {
  const cacheOf = (variables: Record<string, string>) => readHubEnvironment(variables, '/home/me').cacheFolder;
  assert.equal(cacheOf({}), '/home/me/.cache/huggingface/hub');
  assert.equal(cacheOf({ XDG_CACHE_HOME: '/x' }), '/x/huggingface/hub');
  assert.equal(cacheOf({ XDG_CACHE_HOME: '/x', HF_HOME: '/h' }), '/h/hub');
  assert.equal(cacheOf({ HF_HOME: '~/h' }), '/home/me/h/hub');
  assert.equal(cacheOf({ HF_HOME: '$DISK/h', DISK: '/d' }), '/d/h/hub');
  assert.equal(cacheOf({ HF_HOME: '/h', HUGGINGFACE_HUB_CACHE: '/old' }), '/old');
  assert.equal(cacheOf({ HF_HOME: '/h', HUGGINGFACE_HUB_CACHE: '/old', HF_HUB_CACHE: '/new' }), '/new');
});

test('mirror, token and offline are read from the environment', () => {
  const environment = readHubEnvironment(
    { HF_ENDPOINT: 'http://mirror.test/', HF_TOKEN: ' t ', HF_HUB_OFFLINE: 'yes' },
    '/home/me',
  );
  assert.equal(environment.endpoint, 'http://mirror.test');
  assert.equal(environment.token, 't');
  assert.equal(environment.isOffline, true);
  assert.equal(readHubEnvironment({ HF_HUB_OFFLINE: '0' }, '/').isOffline, false);
  assert.match(readHubEnvironment({}, '/').endpoint, /^https:\/\/[^/]+$/);
});

test('a proxy is chosen by scheme, and never for hosts that are excepted or for this machine', () => {
  const rules = proxyFromVariables({
    HTTP_PROXY: 'http://plain:1',
    HTTPS_PROXY: 'user:word@secure:2',
    no_proxy: 'direct.test, .inside.test,port.test:8080',
  });
  const via = (address: string) => proxyFor(rules, new URL(address))?.host ?? null;
  assert.equal(via('http://hub.test/'), 'plain:1');
  assert.equal(via('https://hub.test/'), 'secure:2');
  assert.equal(via('https://direct.test/'), null);
  assert.equal(via('https://a.inside.test/'), null);
  assert.equal(via('https://notinside.test/'), 'secure:2');
  assert.equal(via('http://port.test:8080/'), null);
  assert.equal(via('http://port.test/'), 'plain:1');
  assert.equal(via('http://127.0.0.1:9/'), null);
  assert.equal(proxyFor(proxyFromVariables({ ALL_PROXY: 'http://p:1', NO_PROXY: '*' }), new URL('http://h/')), null);
});

test('sizes are written as disks and the hub write them', () => {
  assert.deepEqual([0, 999, 1000, 1_510_000_000, 999_950].map(formatBytes), [
    '0 bytes',
    '999 bytes',
    '1.0 kB',
    '1.5 GB',
    '1.0 MB',
  ]);
});
