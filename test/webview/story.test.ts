import assert from 'node:assert/strict';
import { test } from 'node:test';
import { claimKey, edgeClaim, groupClaim, nothingTested, withResult } from '../../webview/claims.ts';
import { createDeriver } from '../../webview/derive.ts';
import { indexGraph } from '../../webview/graphIndex.ts';
import { receive } from '../../webview/messageUpdates.ts';
import { proposeGroups } from '../../webview/proposals.ts';
import { findNodes } from '../../webview/search.ts';
import { tokenChanges } from '../../webview/steeringState.ts';
import { initialState } from '../../webview/store.ts';
import { subgraphOf, subgraphScores } from '../../webview/subgraph.ts';
import { dismiss } from '../../webview/updates.ts';
import { showToken, signedPercent } from '../../webview/words.ts';
import { dallasTrace, sampleCard } from '../support/sampleTrace.ts';

const trace = dallasTrace();
const index = indexGraph(trace.graph);
const { nodes } = index.graph;
const shown = receive({ type: 'showGraph', trace })(initialState(null));
const nameOf = (node: number) => nodes[node].label;

test('the summary names the answer, the groups behind it and the share in errors', () => {
  const { story } = createDeriver()(shown)!;
  assert.equal(story.predictions[0].text, ' Austin');
  assert.ok(Math.abs(story.predictions[0].probability - 0.812) < 1e-9);
  assert.equal(story.groups[0].name, 'Texas');
  assert.ok(story.groups.every(({ share }) => share > 0 && share <= 1));
  assert.equal(story.groups.length, 5);
  assert.ok(Math.abs((story.errorShare ?? 0) - 0.09) < 1e-9);
});

test('features with one label near each other, and one feature at two tokens, are proposed as a group, with the reason', () => {
  const { proposals } = createDeriver()(shown)!;
  const texas = proposals.find(({ name }) => name === 'Texas');
  assert.ok(texas && texas.members.length >= 4);
  assert.ok(texas.members.every((node) => nodes[node].label === 'Texas'));
  assert.match(texas.reason, /same feature at “Dallas”, “is”/);
  assert.match(texas.reason, /the same label/);
});

test('a group whose features share no word is called by its place, never by the label of one of them', () => {
  const { visible } = createDeriver()(shown)!;
  const ownLabel = (node: number) => `next is ${String.fromCharCode(97 + (node % 26)).repeat(4)}${node}`;
  const groups = proposeGroups(index, visible, ownLabel, new Map(), new Set());
  assert.ok(groups.length > 0);
  for (const { name } of groups) assert.match(name, /^“.+” L\d/);
});

test('features whose labels hold the same name are proposed together and called by it, at whichever token they fire', () => {
  const { visible } = createDeriver()(shown)!;
  const features = Array.from(visible.nodes).filter((node) => nodes[node].kind === 'feature');
  const [a, b, c] = features;
  const labels = new Map([
    [a, 'Oregon: next is “Salem”'],
    [b, 'places in Oregon'],
    [c, 'Oregon contexts'],
  ]);
  const labelOf = (node: number) => labels.get(node) ?? `next is one of many ${node}`;
  const groups = proposeGroups(index, visible, labelOf, new Map(), new Set());
  const oregon = groups.find(({ members }) => members.includes(a));
  assert.deepEqual([...(oregon?.members ?? [])].sort(), [a, b, c].sort());
  assert.equal(oregon?.name, 'Oregon');
  assert.match(oregon?.reason ?? '', /labels share “Oregon”/);
});

test('neighbours whose decoders point the same way are proposed together; farther apart or less alike they are not', () => {
  const { visible } = createDeriver()(shown)!;
  const features = Array.from(visible.nodes).filter((node) => nodes[node].kind === 'feature');
  const near = (a: number, b: number) => a !== b && Math.abs(nodes[a].pos - nodes[b].pos) <= 1;
  const others = (a: number, wanted: (b: number) => boolean) =>
    features.filter((b) => wanted(b) && nodes[b].feature !== nodes[a].feature);
  const a = features.find((node) => others(node, (b) => near(node, b)).length >= 2)!;
  const [alike, unlike] = others(a, (b) => near(a, b));
  const [far] = others(a, (b) => !near(a, b));
  const id = (node: number) => nodes[node].id;
  const similar = [
    [id(a), id(alike), 0.83] as const,
    [id(a), id(unlike), 0.6] as const,
    [id(far), id(a), 0.9] as const,
  ];
  const graph = {
    ...trace.graph,
    similar,
    edges: { ...trace.graph.edges, weight: new Float32Array(trace.graph.edges.weight.length) },
  };
  const groups = proposeGroups(indexGraph(graph), visible, () => '', new Map(), new Set());
  const group = groups.find(({ members }) => members.includes(a));
  assert.deepEqual([...(group?.members ?? [])].sort(), [a, alike].sort());
  assert.match(group?.reason ?? '', /they write alike: their decoders agree by at least 83 %/);
});

test('a dismissed proposal does not come back', () => {
  const derive = createDeriver();
  const [first] = derive(shown)!.proposals;
  const rest = derive(dismiss(first.id)(shown))!.proposals;
  assert.ok(rest.every(({ id }) => id !== first.id));
});

test('what is grouped is no longer proposed', () => {
  const members = nodes.flatMap(({ label, id }) => (label === 'Texas' ? [id] : []));
  const grouped = receive({ type: 'showGraph', trace: dallasTrace({ supernodes: [{ label: 'Lone Star', members }] }) })(
    shown,
  );
  const { proposals, story } = createDeriver()(grouped)!;
  assert.ok(proposals.every(({ members: own }) => own.every((node) => nodes[node].label !== 'Texas')));
  assert.equal(story.groups[0].name, 'Lone Star');
  assert.equal(story.groups[0].type, 'supernode');
  assert.equal(story.groups.length, 5);
});

test('effects between the boxes of the subgraph are summed', () => {
  const texas = nodes.flatMap(({ label, id }) => (label === 'Texas' ? [id] : []));
  const say = nodes.flatMap(({ label, id }) => (label === 'say a capital' ? [id] : []));
  const view = dallasTrace({
    supernodes: [
      { label: 'a', members: texas },
      { label: 'b', members: say },
    ],
  }).graph.view;
  const { boxes, edges } = subgraphOf(index, view);
  assert.deepEqual(
    boxes.map(({ supernode }) => supernode),
    [0, 1, null],
  );
  const edge = edges.find(({ source, target }) => source === 0 && target === 1)!;
  let sum = 0;
  for (let each = 0; each < index.graph.edges.weight.length; each++) {
    const { source, target, weight } = index.graph.edges;
    if (nodes[source[each]].label === 'Texas' && nodes[target[each]].label === 'say a capital') sum += weight[each];
  }
  assert.ok(Math.abs(edge.weight - sum) < 1e-5);
  assert.ok(Math.abs(edge.share) <= 1);
});

test('with every feature pinned the subgraph explains what the graph explains, with none it explains less', () => {
  const features = new Set(nodes.flatMap(({ kind }, node) => (kind === 'feature' ? [node] : [])));
  const all = subgraphScores(index, features);
  const none = subgraphScores(index, new Set());
  const some = subgraphScores(index, new Set([...features].slice(0, 12)));
  assert.ok(none.replacement < some.replacement && some.replacement < all.replacement);
  assert.ok(all.replacement <= 1 && none.replacement > 0);
  // With nothing pinned a path counts only when it leads from a token to an output in one step.
  const { source, target } = index.graph.edges;
  let direct = 0;
  let whole = 0;
  index.share.forEach((share, edge) => {
    const output = nodes[target[edge]];
    if (output.kind !== 'logit') return;
    whole += Math.abs(share) * (output.probability ?? 0);
    if (nodes[source[edge]].kind === 'token') direct += Math.abs(share) * (output.probability ?? 0);
  });
  assert.ok(Math.abs(none.replacement - direct / whole) < 1e-6);
});

test('search finds by label, token, feature number, layer and example text, the most influential first', () => {
  const none = new Map();
  const labels = (query: string, cards = none) =>
    findNodes(index, query, nameOf, cards).map((node) => nodes[node].label);
  assert.ok(labels('texas').length >= 5 && labels('texas').every((label) => /texas/i.test(label)));
  assert.deepEqual(
    findNodes(index, '3/113', nameOf, none).map((node) => nodes[node].id),
    ['3_113_9'],
  );
  assert.ok(findNodes(index, 'dallas l1', nameOf, none).every((node) => nodes[node].layer === 1));
  // A place is matched whole: 3/11 is no part of 3/113, whatever a label says.
  assert.deepEqual(
    findNodes(index, '3/11', (node) => `see 3/113 ${node}`, none),
    [],
  );
  assert.deepEqual(labels(''), []);
  assert.deepEqual(labels('no such thing'), []);
  const cards = new Map([['1/127', { type: 'ready', card: sampleCard(1, 127, '') } as const]]);
  assert.deepEqual(
    findNodes(index, 'houston', (node) => nodes[node].label, cards)
      .map((node) => nodes[node].id)
      .includes('1_127_6' as never),
    true,
  );
  const influence = findNodes(index, 'texas', nameOf, none).map((node) => index.influence[node]);
  assert.deepEqual(
    influence,
    [...influence].sort((a, b) => b - a),
  );
});

test('before and after are matched by token id', () => {
  const of = (id: number, text: string, probability: number) => ({ id, text, probability });
  const changes = tokenChanges({
    before: [of(1, ' Austin', 0.8), of(2, ' x', 0.1)],
    after: [of(3, ' Sacramento', 0.6), of(1, ' Austin', 0.2)],
    generatedBefore: [],
    generatedAfter: [],
    changed: [],
    milliseconds: 1,
  });
  assert.deepEqual(changes, [
    { text: ' Austin', before: 0.8, after: 0.2 },
    { text: ' Sacramento', before: 0, after: 0.6 },
    { text: ' x', before: 0.1, after: 0 },
  ]);
});

test('an edge is a claim where its source is a feature, a group is one about the answer or its strongest target', () => {
  const { source, target, weight } = index.graph.edges;
  for (let edge = 0; edge < weight.length; edge++) {
    const claim = edgeClaim(index, edge);
    assert.equal(claim !== null, nodes[source[edge]].kind === 'feature');
    if (claim) assert.equal(claim.weight, weight[edge]);
  }
  const texas = nodes.flatMap(({ label }, node) => (label === 'Texas' ? [node] : []));
  const claim = groupClaim(index, texas)!;
  const answer = nodes.findIndex(({ isTarget }) => isTarget);
  let sum = 0;
  weight.forEach((value, edge) => {
    if (texas.includes(source[edge]) && target[edge] === answer) sum += value;
  });
  assert.deepEqual(claim.target, { type: 'logit', id: nodes[answer].feature });
  assert.ok(Math.abs(claim.weight - sum) < 1e-6 && sum !== 0);
  assert.equal(claim.sources.length, texas.length);
});

test('what was measured stays known, for the same sources in any order, and one claim is no summary', () => {
  const texas = nodes.flatMap(({ label }, node) => (label === 'Texas' ? [node] : []));
  const claim = groupClaim(index, texas)!;
  const measured = { predicted: -1, frozen: -1, free: -0.9, verdict: 'verified' as const };
  const result = {
    claims: [measured],
    rule: 'x',
    correlationFrozen: null,
    correlationFree: null,
    signAgreement: 1,
    survival: null,
    milliseconds: 1,
  };
  const one = withResult(nothingTested, [claim], result);
  assert.equal(one.summary, null);
  assert.equal(one.verdicts.get(claimKey(groupClaim(index, texas.toReversed())!)), measured);
  const many = withResult(one, [claim, claim, claim], { ...result, claims: [measured, measured, measured] });
  assert.equal(many.summary?.claims.length, 3);
});

test('small shares never read as nothing, and white space is visible', () => {
  assert.equal(signedPercent(-0.2), '−20 %');
  assert.equal(showToken(' Dallas\n'), '·Dallas⏎');
  assert.equal(showToken(''), '∅');
  assert.equal(showToken('\u0001\u200b'), '\\x01\\u200b');
});
