import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pairFeature } from '../../src/graph/featureNumber.ts';
import { readGraphBytes } from '../../src/graph/readGraph.ts';
import { writeGraph } from '../../src/graph/writeGraph.ts';

const nLayers = 26;
const nPos = 64;
const nFeatures = 20_000;

/** A file as circuit-tracer writes it, of about 60 MB: 20,000 features over 26 layers and 64 tokens, 600,000 links. */
function largeFile(nLinks: number): Uint8Array {
  const feature = (index: number) => ({ layer: index % nLayers, feature: 1000 + index, pos: 1 + (index % (nPos - 1)) });
  const id = (index: number) => `${feature(index).layer}_${feature(index).feature}_${feature(index).pos}`;
  const nodes: unknown[] = [];
  for (let index = 0; index < nFeatures; index++) {
    const site = feature(index);
    nodes.push({
      node_id: id(index),
      feature: pairFeature(site.layer, site.feature),
      layer: String(site.layer),
      ctx_idx: site.pos,
      feature_type: 'cross layer transcoder',
      token_prob: 0,
      is_target_logit: false,
      run_idx: 0,
      reverse_ctx_idx: 0,
      jsNodeId: `${site.layer}_${site.feature}-0`,
      clerp: '',
      influence: (index + 1) / nFeatures,
      activation: 1 + index / 7,
    });
  }
  const links = Array.from({ length: nLinks }, (_, link) => {
    const source = (link * 7919) % nFeatures;
    const target = (link * 104_729 + 1) % nFeatures;
    return { source: id(source), target: id(target), weight: Math.fround(Math.sin(link)) };
  });
  const metadata = {
    slug: 'large',
    scan: 'example/large',
    transcoder_list: [],
    prompt_tokens: Array.from({ length: nPos }, (_, pos) => ` token${pos}`),
    prompt: 'large',
    schema_version: 1,
  };
  return new TextEncoder().encode(JSON.stringify({ metadata, qParams: {}, nodes, links }));
}

test('a graph of 60 MB opens whole and can be saved', (t) => {
  const bytes = largeFile(760_000);
  const start = performance.now();
  const { graph } = readGraphBytes(bytes);
  const opened = performance.now();
  const text = writeGraph(graph);
  const saved = performance.now();
  t.diagnostic(
    `${(bytes.length / 2 ** 20).toFixed(0)} MB, ${graph.nodes.length} nodes, ${graph.edges.source.length} links: ` +
      `opened in ${(opened - start).toFixed(0)} ms, written in ${(saved - opened).toFixed(0)} ms (${(text.length / 2 ** 20).toFixed(0)} MB)`,
  );
  assert.ok(bytes.length > 55 * 2 ** 20);
  assert.equal(graph.nodes.length, nFeatures);
  assert.equal(graph.edges.source.length, 760_000);
});
