import fc from 'fast-check';
import { inCanonicalOrder } from '../../src/graph/canonicalOrder.ts';
import { type CircuitGraph, emptyView, type GraphMetadata } from '../../src/graph/circuitGraph.ts';
import type { SimilarPair } from '../../src/graph/decoderSimilarity.ts';
import type { GraphNode, NodeId } from '../../src/graph/node.ts';
import { errorId, featureId, logitId, tokenId } from '../../src/graph/nodeIds.ts';

const share = fc.double({ min: 0, max: 1, noNaN: true }).map((value) => value + 0);
const number = fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => (value === 0 ? 0 : value));
const count = fc.nat(300_000);
const text = fc.string({ unit: 'binary', maxLength: 12 });
const word = fc.oneof(
  text,
  fc.constantFrom('__proto__', '"', ' (p=0.1)', 'Output "x" (p=0.2)', '\n', '</script>', '�'),
);
/** JSON has one zero: −0 is written as 0, so it is left out here. */
const weight = fc.float({ noNaN: true, noDefaultInfinity: true }).map((value) => (value === 0 ? 0 : value));
const time = fc.date({ noInvalidDate: true, min: new Date(0), max: new Date('2100-01-01') });

const stamp = fc.record({
  revision: fc.option(fc.stringMatching(/^[0-9a-f]{40}$/)),
  fingerprint: fc.stringMatching(/^[0-9a-f]{16}$/),
});

const metadata = (nLayers: number, promptTokens: string[]): fc.Arbitrary<GraphMetadata> =>
  fc
    .record({
      slug: fc.stringMatching(/^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,20}$/),
      scan: word,
      modelName: word,
      prompt: word,
      promptTokens: fc.constant(promptTokens),
      promptTokenIds: fc.array(count, { minLength: promptTokens.length, maxLength: promptTokens.length }),
      nLayers: fc.constant(nLayers),
      scores: fc.option(fc.record({ replacement: share, completeness: share })),
      generation: fc.option(
        fc.record({ maxLogits: count, logitProbability: share, batchSize: count, maxFeatureNodes: fc.option(count) }),
      ),
      pruning: fc.option(fc.record({ nodeThreshold: share, edgeThreshold: share })),
      nodeThreshold: share,
      activeFeatures: fc.option(count),
      generator: fc.option(fc.record({ name: word, version: word })),
      createdAt: fc.option(
        fc.oneof(
          time.map((date) => date.toISOString()),
          word,
        ),
      ),
      weights: fc.option(fc.record({ model: stamp, transcoders: fc.option(stamp) })),
    })
    .map(({ weights, ...others }) => (weights === null ? others : { ...others, weights }));

function nodes(nLayers: number, promptTokens: string[]): fc.Arbitrary<GraphNode[]> {
  const layer = fc.nat(nLayers - 1);
  const pos = fc.nat(promptTokens.length - 1);
  const plain = { activation: null, influence: null, probability: null, isTarget: false };
  const influence = share;
  const feature = fc
    .record({ layer, pos, feature: count, activation: fc.option(number), influence, label: word })
    .map((node): GraphNode => ({ ...plain, ...node, id: featureId(node), kind: 'feature' }));
  const error = fc.record({ layer, pos, influence }).map(
    (node): GraphNode => ({
      ...plain,
      ...node,
      id: errorId(node.layer, node.pos),
      kind: 'error',
      feature: null,
      label: '',
    }),
  );
  const token = fc.record({ pos, feature: count, influence }).map((node): GraphNode => {
    const fixed = {
      id: tokenId(node.feature, node.pos),
      kind: 'token',
      layer: -1,
      label: promptTokens[node.pos],
    } as const;
    return { ...plain, ...node, ...fixed };
  });
  const logit = fc.record({ feature: count, probability: fc.option(share), label: word, isTarget: fc.boolean() }).map(
    (node): GraphNode => ({
      ...plain,
      ...node,
      id: logitId(nLayers, node.feature, promptTokens.length - 1),
      kind: 'logit',
      layer: nLayers,
      pos: promptTokens.length - 1,
    }),
  );
  const list = (node: fc.Arbitrary<GraphNode>, maxLength: number) => fc.array(node, { maxLength });
  return fc
    .tuple(list(feature, 12), list(error, 4), list(token, 4), list(logit, 3))
    .map((lists) => [...new Map(lists.flat().map((node) => [node.id, node])).values()]);
}

/** Graphs of every shape that our own engine and panel can make, in the order of files. */
export const anyGraph: fc.Arbitrary<CircuitGraph> = fc
  .record({
    nLayers: fc.integer({ min: 1, max: 40 }),
    promptTokens: fc.array(
      word.map((token) => token || ' '),
      { minLength: 1, maxLength: 6 },
    ),
  })
  .chain(({ nLayers, promptTokens }) => fc.tuple(metadata(nLayers, promptTokens), nodes(nLayers, promptTokens)))
  .chain(([data, list]) => {
    const index =
      list.length === 0
        ? fc.constant([])
        : fc.array(fc.tuple(fc.nat(list.length - 1), fc.nat(list.length - 1), weight), { maxLength: 20 });
    const id = list.length === 0 ? fc.constant([]) : fc.subarray(list.map((node) => String(node.id)));
    const view = fc.record({
      pinned: id,
      supernodes: fc.array(fc.record({ label: word, members: id }), { maxLength: 3 }),
      labels: fc.tuple(id, word).map(([ids, label]) => Object.fromEntries(ids.map((one) => [one, label]))),
      clicked: id.map((ids) => ids[0] ?? null),
      linkType: fc.constantFrom('input', 'output', 'either', 'both'),
      pruningThreshold: fc.option(share),
      places: fc
        .tuple(id, number, number)
        .map(([ids, x, y]) => Object.fromEntries(ids.map((one) => [one, [x, y] as const]))),
    } as const);
    const features = list.filter(({ kind }) => kind === 'feature').map((node) => node.id);
    const cosine = fc.integer({ min: -1000, max: 1000 }).map((value) => value / 1000 + 0);
    const pair = (a: fc.Arbitrary<NodeId>) => fc.tuple(a, a, cosine).filter(([one, other]) => one !== other);
    const similar =
      features.length < 2
        ? fc.constant<SimilarPair[]>([])
        : fc.array<SimilarPair>(pair(fc.constantFrom(...features)), { maxLength: 4 });
    return fc.tuple(
      fc.constant(data),
      fc.constant(list),
      index,
      fc.oneof(view, fc.constant(emptyView)),
      fc.option(similar),
    );
  })
  .map(([data, list, links, view, similar]): CircuitGraph => {
    const edges = {
      source: Uint32Array.from(links, (link) => link[0]),
      target: Uint32Array.from(links, (link) => link[1]),
      weight: Float32Array.from(links, (link) => link[2]),
    };
    // A clone has plain objects, as JSON has; records of fast-check have no prototype.
    const ordered = inCanonicalOrder(list, edges);
    return structuredClone({ metadata: data, ...ordered, view, ...(similar && { similar }), foreign: {} });
  });
