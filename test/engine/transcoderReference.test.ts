import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import { findCases, readCase } from '../../src/cli/goldenCase.ts';
import { runCase } from '../../src/cli/goldens.ts';
import { describeTranscoders } from '../../src/engine/transcoders/load.ts';

/** Made by test/fixtures/make_transcoder_reference.py with PyTorch: what the reference cases have no set of. */
const root = path.join(import.meta.dirname, '..', 'fixtures', 'transcoders');
const cases = findCases(root).map(readCase);

for (const { name, ...golden } of cases) {
  test(`features, reconstructions and edges of ${name} are PyTorch's`, async () => {
    const { passed, line } = await runCase({ name, ...golden }, { dump: null, provider: 'cpu' });
    assert.ok(passed, line);
  });
}

test('each of the sets is told by its files alone', () => {
  const described = Object.fromEntries(
    cases.map(({ name, transcoders }) => {
      const { layout, kind, activation, hasSkip } = describeTranscoders(transcoders);
      return [name, `${layout}, ${kind}, ${activation}${hasSkip ? ', skip' : ''}`];
    }),
  );
  assert.deepEqual(described, {
    'gemma-scope-2-clt': 'Gemma Scope 2, cross-layer, jumprelu, skip',
    'sparsify-groupmax': 'sparsify, per-layer, groupmax, skip',
    'sparsify-skip': 'sparsify, per-layer, topk, skip',
    'sparsify-source-tied': 'sparsify, cross-layer, topk',
    'sparsify-targets': 'sparsify, cross-layer, topk, skip',
    'sparsify-tied': 'sparsify, cross-layer, topk, skip',
  });
});
