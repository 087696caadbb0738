import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import type { CircuitGraph, GraphView } from '../../src/graph/circuitGraph.ts';
import { pairFeature } from '../../src/graph/featureNumber.ts';
import { maxJsonDepth } from '../../src/graph/json.ts';
import { readGraph, readGraphBytes } from '../../src/graph/readGraph.ts';
import { boxesInOrder } from '../../src/graph/subgraphPlaces.ts';
import { writeGraph } from '../../src/graph/writeGraph.ts';
import { UserError } from '../../src/protocol/errors.ts';
import { goldensFolder } from '../support/goldens.ts';

const fixtures = join(import.meta.dirname, '..', 'fixtures', 'graphs');

function fixture(name: string): string {
  return readFileSync(join(fixtures, `${name}.json`), 'utf8');
}

function checkRefused(text: string, code: string): void {
  assert.throws(
    () => readGraph(text),
    (error) => error instanceof UserError && error.code === code && error.remedy.length > 0,
  );
}

function checkSurvives(text: string): void {
  const { graph } = readGraph(text);
  const again = readGraph(writeGraph(graph));
  assert.deepEqual(again.graph, graph);
}

function edgeList(graph: CircuitGraph): readonly string[] {
  const { source, target, weight } = graph.edges;
  return Array.from(
    source,
    (from, edge) => `${graph.nodes[from].id} > ${graph.nodes[target[edge]].id} ${weight[edge]}`,
  );
}

/** A small valid file, to be spoilt. */
function smallFile(change: (file: Record<string, unknown>) => void = () => {}): string {
  const file = JSON.parse(fixture('collision'));
  change(file);
  return JSON.stringify(file);
}

test('a graph of the peer shows the nodes of its matrices', () => {
  const { graph } = readGraph(readFileSync(join(goldensFolder, 'llama-plt-relu', 'graph.json'), 'utf8'));
  const feature = graph.nodes[0];
  assert.deepEqual(
    [feature.id, feature.kind, feature.layer, feature.pos, feature.feature],
    ['0_20_6', 'feature', 0, 6, 20],
  );
  const [target] = graph.nodes.filter((node) => node.isTarget);
  assert.deepEqual([target.kind, target.layer, target.feature, target.label], ['logit', 3, 254, '�']);
  assert.ok(Math.abs((target.probability ?? 0) - 0.1138) < 1e-4);
  const token = graph.nodes.find((node) => node.kind === 'token' && node.pos === 1);
  assert.deepEqual([token?.label, token?.feature, token?.layer], ['the', 282, -1]);
  assert.equal(graph.metadata.nLayers, 3);
  assert.equal(graph.metadata.promptTokenIds?.length, graph.metadata.promptTokens.length);
  assert.equal(graph.metadata.scores, null);
});

test('targets that are directions keep their numbers above the vocabulary', () => {
  const { graph } = readGraph(readFileSync(join(goldensFolder, 'llama-clt-target-vectors', 'graph.json'), 'utf8'));
  const targets = graph.nodes.filter((node) => node.kind === 'logit');
  assert.deepEqual(
    targets.map((node) => [node.feature, node.label]),
    [
      [320, 'diff'],
      [321, 'direction'],
    ],
  );
});

test('an old graph opens: decimal feature numbers, saved texts, labels, and influence from its links', () => {
  const { graph, warnings } = readGraph(fixture('old-style'));
  const node = graph.nodes.find(({ id }) => id === '1_345_3');
  assert.deepEqual([node?.layer, node?.feature, node?.label], [1, 345, 'hello']);
  assert.deepEqual(graph.view.pinned, ['1_345_3', 'E_7_1']);
  assert.deepEqual(graph.view.supernodes, [{ label: 'greeting', members: ['1_345_3', '0_12_1'] }]);
  assert.deepEqual(graph.view.labels, { '1_345_3': 'says hello', E_7_1: 'the word' });
  assert.deepEqual([graph.view.clicked, graph.view.linkType, graph.view.pruningThreshold], ['1_345_3', 'either', 0.6]);
  assert.ok(warnings.some((warning) => warning.includes('influence was computed')));
  assert.ok(warnings.some((warning) => warning.startsWith('1 pinned')));
  // Of the output's influence 3/4 goes to the top feature, of which 3/4 goes on to the one below and from there to the token.
  const shares = ['1_345_3', 'E_7_1', '0_12_1', '2_mystery_3'].map(
    (id) => graph.nodes.find((one) => one.id === id)?.influence ?? Number.NaN,
  );
  const expected = [0.5625, 1.125, 1.546875, 1.734375].map((sum) => sum / 1.734375);
  for (const [index, share] of shares.entries()) assert.ok(Math.abs(share - expected[index]) < 1e-6);
});

test('feature numbers of files that do not say how they count are read as their ids say', () => {
  const numbered = (numberOf: (layer: number, feature: number) => number) =>
    smallFile((file) => {
      (file.metadata as { schema_version?: number }).schema_version = undefined;
      const sites = [0, 1, 2].map((layer) => ({ layer, feature: 345 + layer }));
      file.nodes = sites.map(({ layer, feature }) => ({
        node_id: `${layer === 2 ? 0 : layer}_${feature}_1`,
        feature: numberOf(layer === 2 ? 0 : layer, feature),
        layer: layer === 2 ? 0 : layer,
        ctx_idx: 1,
        feature_type: 'cross layer transcoder',
      }));
      file.links = [];
    });
  const decimal = (layer: number, feature: number) => layer * 100_000 + feature;
  for (const numberOf of [pairFeature, decimal]) {
    const { graph } = readGraph(numbered(numberOf));
    assert.deepEqual(
      graph.nodes.map((node) => [node.layer, node.feature]),
      [
        [0, 345],
        [0, 347],
        [1, 346],
      ],
    );
  }
});

test('kinds and fields that we do not know are kept, drawn as unknown, and written back', () => {
  const { graph } = readGraph(fixture('old-style'));
  assert.equal(graph.nodes.find(({ id }) => id === '2_mystery_3')?.kind, 'unknown');
  const saved = JSON.parse(writeGraph(graph));
  const mystery = saved.nodes.find((node: { node_id: string }) => node.node_id === '2_mystery_3');
  assert.deepEqual([mystery.feature_type, mystery.size, mystery.jsNodeId], ['hypernetwork thing', 3, 'm']);
  assert.equal(saved.metadata.title_prefix, 'an old graph');
  assert.deepEqual(saved.history, [{ when: '2024' }]);
  assert.deepEqual([saved.qParams.theme, saved.qParams.sg_pos], ['dark', '100 200 300 400']);
  assert.equal(saved.links.find((link: { note?: string }) => link.note === 'strong').source, '1_345_3');
  checkSurvives(fixture('old-style'));
});

test('places of other viewers are taken over, and written back as they were or as they were changed', () => {
  const { graph } = readGraph(fixture('old-style'));
  const { places }: GraphView = graph.view;
  // Single nodes come first, then the supernodes; a supernode's place is kept by its first member.
  assert.deepEqual({ ...places }, { E_7_1: [100, 200], '1_345_3': [300, 400] });
  const writtenWith = (moved: GraphView['places']): string =>
    JSON.parse(writeGraph({ ...graph, view: { ...graph.view, places: moved } })).qParams.sg_pos;
  assert.equal(writtenWith({ ...places, E_7_1: [110.4, 0] }), '110 0 300 400');
  assert.equal(writtenWith({ E_7_1: [1, 2] }), '', 'places have no names there: all or none');
  const edited = (text: string) => readGraph(fixture('old-style').replace('100 200 300 400', text)).graph;
  for (const text of ['100 200', '1 2 3 4 5 6', '1 2 3 x', 'NaN NaN NaN NaN']) {
    assert.deepEqual(edited(text).view.places, {}, text);
    assert.equal(JSON.parse(writeGraph(edited(text))).qParams.sg_pos, text, 'what cannot be told apart is kept');
  }
  assert.deepEqual(edited('-50 2000 3 4').view.places.E_7_1, [0, 1000]);
});

test('places are listed by layer, tokens last, then the supernodes', () => {
  const { graph } = readGraph(fixture('old-style'));
  const pinned = ['E_7_1', '4_99_3', '1_345_3', '0_12_1'];
  const supernodes = [{ label: 'greeting', members: ['0_12_1'] }];
  assert.deepEqual(boxesInOrder(graph.nodes, { pinned, supernodes }), ['1_345_3', '4_99_3', 'E_7_1', '0_12_1']);
});

test('a graph with attention features opens and keeps what it says of queries and keys', () => {
  const { graph, warnings } = readGraph(fixture('attention'));
  assert.deepEqual(warnings, []);
  const kinds = Object.fromEntries(graph.nodes.map((node) => [node.id, node.kind]));
  assert.deepEqual(kinds, {
    '0_lor_17_2': 'attention',
    '1_cro_5_2': 'feature',
    '0_error_attn_2': 'attention error',
    '1_error_mlp_2': 'error',
    '0_bias_attn_bO_2': 'bias',
    E_4_1: 'token',
    '3_42_2': 'logit',
    '3_43_2': 'logit',
  });
  assert.equal(graph.nodes.find((node) => node.kind === 'attention')?.feature, 17);
  // Its logits stand at the number of layers, not one above; a label that is just a feature's number is none.
  assert.equal(graph.metadata.nLayers, 3);
  assert.deepEqual(
    graph.nodes.map((node) => node.label),
    ['', '', 'Err: mlp " sat"', 'Err: attn " sat"', 'L0 Bias (attn_bO)', ' cat', ' on', ' in'],
  );
  assert.deepEqual(
    graph.nodes.filter((node) => node.isTarget).map((node) => node.id),
    ['3_42_2'],
  );
  assert.equal(graph.metadata.modelName, 'qwen3-1.7b');
  assert.equal(graph.metadata.createdAt, '2026-01-01T00:00:00.000Z');
  checkSurvives(fixture('attention'));
});

test('saving such a graph keeps all that it says', () => {
  const before = JSON.parse(fixture('attention'));
  const saved = JSON.parse(writeGraph(readGraph(fixture('attention')).graph));
  const byId = new Map<string, Record<string, unknown>>(
    saved.nodes.map((node: { node_id: string }) => [node.node_id, node]),
  );
  for (const node of before.nodes) {
    const { layer, clerp, feature, ...fields } = node;
    for (const [name, value] of Object.entries(fields)) assert.deepEqual(byId.get(node.node_id)?.[name], value, name);
    if (node.feature_type !== 'logit') assert.equal(byId.get(node.node_id)?.clerp, clerp);
    if (feature !== null) assert.equal(byId.get(node.node_id)?.feature, feature);
  }
  for (const name of ['info', 'feature_details', 'generation_settings', 'pruning_settings']) {
    assert.deepEqual(saved.metadata[name], before.metadata[name]);
  }
  assert.deepEqual(saved.qk_only_nodes, before.qk_only_nodes);
});

test('a feature and an error with one id are two nodes, and each link finds its own', () => {
  const { graph, warnings } = readGraph(fixture('collision'));
  assert.deepEqual(edgeList(graph), [
    'E_3_2 > 0_1_2 1',
    '0_1_2 > 1_9_2 0.25',
    '0_1_2 > 2_8_2 0.5',
    '1_error_mlp_2 > 2_8_2 -0.75',
    '0_1_2 > 4_5_2 0.125',
    '1_9_2 > 4_5_2 1.5',
    '2_8_2 > 4_5_2 1.75',
  ]);
  // The error of layer 1 cannot reach a feature of layer 1; to the output, one link of two possible ones is left.
  assert.deepEqual([...(graph.edges.ambiguous ?? [])], [0, 0, 0, 0, 1, 0, 0]);
  assert.equal(warnings.length, 1);
  assert.match(warnings[0], /^1 links start at an id/);
  assert.deepEqual([graph.view.pinned, graph.view.clicked], [['0_1_2'], '0_1_2']);
  assert.deepEqual(readGraph(writeGraph(graph)).graph, graph);
});

test('text that is no graph is refused with a reason', () => {
  checkRefused('', 'graph.notJson');
  checkRefused('{"nodes": [', 'graph.notJson');
  checkRefused('[]', 'graph.notAGraph');
  checkRefused('null', 'graph.notAGraph');
  checkRefused('{"nodes": {}, "links": []}', 'graph.notAGraph');
  checkRefused('{"graphs": [{"slug": "a"}]}', 'graph.notAGraph');
  checkRefused(`${'['.repeat(100_000)}${']'.repeat(100_000)}`, 'graph.tooDeep');
  checkRefused(`{"nodes": [], "links": [], "x": ${'[{"a":'.repeat(maxJsonDepth)}1`, 'graph.tooDeep');
  checkRefused(`{"a":"${' '.repeat(105 * 2 ** 20)}"}`, 'graph.tooLarge');
  checkRefused(`{"nodes":[${'0,'.repeat(300_001)}0],"links":[]}`, 'graph.tooManyNodes');
});

test('brackets and the word NaN inside of texts are texts', () => {
  const token = `${'['.repeat(200)} NaN, -Infinity "quoted \\`;
  const { graph } = readGraph(
    smallFile((file) => {
      file.metadata = { prompt_tokens: ['a', 'b', token] };
    }),
  );
  assert.equal(graph.metadata.promptTokens[2], token);
});

test('numbers that JSON does not have are unknown, and links without a weight are left out', () => {
  const text = smallFile()
    .replace('"influence":0.3', '"influence":NaN')
    .replace('"weight":1.75', '"weight":-Infinity')
    .replace('"weight":1.5', '"weight":1e999');
  const { graph, warnings } = readGraph(text);
  assert.equal(graph.nodes[0].influence, null);
  assert.equal(graph.edges.weight.length, 5);
  assert.ok(warnings.some((warning) => warning.startsWith('2 numbers')));
  assert.ok(warnings.some((warning) => warning.startsWith('2 of 7 links') && warning.includes('weight')));
});

test('links to nodes that are not there are left out and counted', () => {
  const { graph, warnings } = readGraph(
    smallFile((file) => {
      (file.links as object[]).push(
        { source: 'nowhere', target: '4_5_2', weight: 1 },
        { source: 3 },
        { target: '__proto__' },
      );
    }),
  );
  assert.equal(graph.edges.weight.length, 7);
  assert.ok(warnings.some((warning) => warning.startsWith('3 of 10 links')));
});

test('nodes outside of the prompt or without a layer are left out and counted', () => {
  const { graph, warnings } = readGraph(
    smallFile((file) => {
      const [node] = file.nodes as object[];
      (file.nodes as unknown[]).push(
        { ...node, node_id: 'far', ctx_idx: 1e9 },
        { ...node, node_id: 'high', layer: '99999' },
        { ...node, node_id: 'half', ctx_idx: 0.5 },
        { ...node, node_id: 'below', layer: -3 },
        null,
        'node',
      );
    }),
  );
  assert.equal(graph.nodes.length, 6);
  assert.ok(warnings.some((warning) => warning.startsWith('6 of 12 nodes')));
});

test('names that mean something to every object do no harm', () => {
  const text = smallFile((file) => {
    const [node] = file.nodes as object[];
    (file.nodes as unknown[]).push({ ...node, node_id: 'constructor' }, { ...node, node_id: '__proto__' });
    (file.links as unknown[]).push({ source: '__proto__', target: 'constructor', weight: 1 });
  }).replace(
    '"metadata":{',
    '"__proto__":{"polluted":1},"metadata":{"__proto__":{"polluted":1},"x":{"constructor":{"prototype":{"polluted":1}}},',
  );
  const { graph } = readGraph(text);
  assert.equal(Reflect.get({}, 'polluted'), undefined);
  assert.equal(Reflect.get(graph.metadata, 'polluted'), undefined);
  assert.equal(Reflect.get(graph.foreign, 'polluted'), undefined);
  assert.deepEqual(
    graph.nodes.filter((node) => node.id in {}).map((node) => node.id),
    [],
  );
  assert.ok(!JSON.stringify(graph.foreign).includes('polluted'));
  checkSurvives(text);
});

test('many nodes with one id are told apart, quickly', () => {
  const { graph, warnings } = readGraph(
    smallFile((file) => {
      const [node] = file.nodes as object[];
      for (let copy = 0; copy < 50_000; copy++) (file.nodes as unknown[]).push(node);
    }),
  );
  assert.equal(new Set(graph.nodes.map((node) => node.id)).size, 50_006);
  assert.ok(warnings.some((warning) => warning.startsWith('50000 nodes have the id')));
});

test('a file without prompt tokens, metadata or view opens all the same', () => {
  const { graph, warnings } = readGraph(
    smallFile((file) => {
      file.metadata = undefined;
      file.qParams = undefined;
    }),
  );
  assert.deepEqual(graph.metadata.promptTokens, ['', '', '']);
  assert.equal(graph.nodes.length, 6);
  assert.ok(warnings.some((warning) => warning.includes('prompt tokens')));
});

test('a byte order mark is no part of the graph', () => {
  const bytes = new TextEncoder().encode(`\uFEFF${fixture('collision')}`);
  assert.equal(readGraphBytes(bytes).graph.nodes.length, 6);
});

test('whatever a file holds, reading it gives a graph that can be saved, or a reason', () => {
  const junk = fc.oneof(fc.jsonValue({ maxDepth: 3 }), fc.constantFrom('__proto__', -1, -5e-324, 1e308, '0_1_2', 'E'));
  const places = [
    ['metadata'],
    ['qParams'],
    ['metadata', 'prompt_tokens'],
    ['metadata', 'slug'],
    ['metadata', 'info'],
    ['metadata', 'generation_settings'],
    ['metadata', 'prompt_circuits'],
    ['metadata', 'prompt_circuits', 'decoder_similarity'],
    ['metadata', 'prompt_circuits', 'decoder_similarity', '0'],
    ['qParams', 'pinnedIds'],
    ['qParams', 'supernodes'],
    ['qParams', 'clerps'],
    ['nodes', '0'],
    ['nodes', '0', 'feature'],
    ['nodes', '0', 'layer'],
    ['nodes', '0', 'node_id'],
    ['nodes', '3', 'feature_type'],
    ['nodes', '4', 'ctx_idx'],
    ['nodes', '5', 'clerp'],
    ['nodes', '5', 'token_prob'],
    ['links', '0'],
    ['links', '1', 'weight'],
    ['links', '2', 'source'],
  ];
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.constantFrom(...places), junk), { minLength: 1, maxLength: 4 }), (changes) => {
      const file = JSON.parse(fixture('collision'));
      for (const [place, value] of changes) {
        const parent = place
          .slice(0, -1)
          .reduce((object, key) => (typeof object === 'object' ? object?.[key] : undefined), file);
        if (typeof parent === 'object' && parent !== null) parent[place[place.length - 1]] = value;
      }
      const { graph } = readGraph(JSON.stringify(file));
      assert.deepEqual(readGraph(writeGraph(graph)).graph, graph);
    }),
    { numRuns: 500 },
  );
});
