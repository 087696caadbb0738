import { pairFeature } from '../../src/graph/featureNumber.ts';
import { seededRandom } from './sampleTrace.ts';

const nLayers = 26;
const nPos = 64;
export const nLargeFeatures = 20_000;
export const nLargeLinks = 760_000;

/**
 * A file as circuit-tracer writes it, of about 60 MB: 20,000 features over 26 layers and 64 tokens, 64 tokens, five
 * outputs and 760,000 links, each from a lower layer to a higher one and from an earlier position or the same.
 */
export function largeGraphFile(nLinks = nLargeLinks): Uint8Array {
  const random = seededRandom(60);
  const sites = Array.from({ length: nLargeFeatures }, (_, index) => ({
    layer: index % nLayers,
    feature: 1000 + index,
    pos: 1 + Math.floor((nPos - 1) * random() ** 0.7),
  }));
  const ids = sites.map(({ layer, feature, pos }) => `${layer}_${feature}_${pos}`);
  const common = { run_idx: 0, reverse_ctx_idx: 0 };
  const nodes: unknown[] = sites.map(({ layer, feature, pos }, index) => ({
    node_id: ids[index],
    feature: pairFeature(layer, feature),
    layer: String(layer),
    ctx_idx: pos,
    feature_type: 'cross layer transcoder',
    token_prob: 0,
    is_target_logit: false,
    ...common,
    jsNodeId: `${layer}_${feature}-0`,
    clerp: '',
    influence: (index + 1) / nLargeFeatures,
    activation: 1 + index / 7,
  }));
  for (let pos = 0; pos < nPos; pos++) {
    const token = {
      node_id: `E_${500 + pos}_${pos}`,
      feature: pos,
      layer: 'E',
      ctx_idx: pos,
      jsNodeId: `E_${500 + pos}-${pos}`,
    };
    nodes.push({ ...token, feature_type: 'embedding', token_prob: 0, is_target_logit: false, ...common, clerp: '' });
  }
  const last = nPos - 1;
  for (let order = 0; order < 5; order++) {
    const probability = 0.5 / 2 ** order;
    nodes.push({
      node_id: `${nLayers + 1}_${700 + order}_${last}`,
      feature: 700 + order,
      layer: String(nLayers + 1),
      ctx_idx: last,
      feature_type: 'logit',
      token_prob: probability,
      is_target_logit: order === 0,
      ...common,
      jsNodeId: `L_${700 + order}-${last}`,
      clerp: `Output " word${order}" (p=${probability.toFixed(3)})`,
    });
  }
  const pick = (): number => Math.floor(random() * nLargeFeatures);
  const links: unknown[] = [];
  while (links.length < nLinks) {
    const weight = Math.fround(random() - 0.3);
    const chance = random();
    const a = pick();
    if (chance < 0.08) links.push({ source: `E_${500 + sites[a].pos}_${sites[a].pos}`, target: ids[a], weight });
    else if (chance < 0.1) links.push({ source: ids[a], target: `${nLayers + 1}_${700 + (a % 5)}_${last}`, weight });
    else {
      const b = pick();
      const [from, to] = sites[a].layer < sites[b].layer ? [a, b] : [b, a];
      if (sites[from].layer < sites[to].layer) links.push({ source: ids[from], target: ids[to], weight });
    }
  }
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
