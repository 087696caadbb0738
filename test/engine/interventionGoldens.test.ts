import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { compareTensors, deviationText } from '../../src/cli/compareTensors.ts';
import { findCases, readCase } from '../../src/cli/goldenCase.ts';
import { runGoldenInterventions } from '../../src/cli/goldenInterventions.ts';
import { readTensors } from '../../src/cli/tensorFile.ts';
import { loadModel } from '../../src/engine/model/loadModel.ts';
import { loadTranscoders } from '../../src/engine/transcoders/load.ts';

const goldens = path.join(import.meta.dirname, '../fixtures/goldens');
const cases = findCases(goldens)
  .map(readCase)
  .filter(({ interventions }) => interventions.length > 0);

test('cases with interventions are found', () => {
  assert.ok(cases.length >= 11, `${cases.length}`);
});

for (const golden of cases) {
  test(`every intervention of ${golden.name} gives the reference's logits, features and tokens`, async () => {
    using model = await loadModel(golden.model);
    using set = loadTranscoders(golden.transcoders, model.dimensions);
    const { ids, firstPos } = golden.request;
    const got = await runGoldenInterventions(model, set, ids, firstPos, golden.interventions);
    const file = path.join(golden.goldenFolder, 'interventions.safetensors');
    assert.ok(fs.existsSync(file));
    const expected = readTensors(file);
    assert.ok(expected.size > 20);
    const { first, misshapen } = compareTensors(expected, got, () => ({ absolute: 2e-4, relative: 0 }));
    assert.deepEqual(misshapen, []);
    assert.equal(first && deviationText(first), null);
  });
}
