import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fitOf, knownPairs } from '../../src/host/remote/catalog.ts';
import { formatReference, parseReference } from '../../src/host/remote/reference.ts';

const laptop = { memory: 16e9, cores: 8, freeDisk: 200e9 };
const pairOf = (name: string) => {
  const pair = knownPairs.find((known) => known.name === name);
  assert.ok(pair, name);
  return pair;
};

test('every known pair names its model and set as the hub does, once', () => {
  for (const { model, transcoders } of knownPairs) {
    for (const text of [model, transcoders]) assert.equal(formatReference(parseReference(text)), text);
  }
  assert.equal(new Set(knownPairs.map(({ model, transcoders }) => `${model} ${transcoders}`)).size, knownPairs.length);
  assert.equal(new Set(knownPairs.map(({ name }) => name)).size, knownPairs.length);
});

test('the suggested first pair is the smallest Gemma with its scope, and two gigabytes to download', () => {
  const [first] = knownPairs;
  assert.equal(first.isSuggested, true);
  assert.equal(first.model, 'google/gemma-3-270m');
  assert.equal(first.transcoders, 'mwhanna/gemma-scope-2-270m-pt/transcoder_all/width_16k_l0_small');
  const { downloadBytes, verdict } = fitOf(first, laptop);
  assert.equal(Math.round((downloadBytes ?? 0) / 1e8), 21);
  assert.equal(verdict, 'fits');
});

test('what fits depends on memory and disk', () => {
  const verdict = (name: string, changes = {}) => fitOf(pairOf(name), { ...laptop, ...changes }).verdict;
  assert.equal(verdict('Gemma 2 2B, cross-layer 426k'), 'slow');
  assert.equal(verdict('Gemma 3 270M', { freeDisk: 2e9 }), 'no room on disk');
  assert.equal(verdict('Gemma 3 270M', { memory: 0.5e9 }), 'too large');
  assert.equal(verdict('Llama 3.2 1B'), 'unknown');
});
