import fs from 'node:fs';
import path from 'node:path';
import { Attributor } from '../engine/attribution/attribute.ts';
import { loadModel } from '../engine/model/loadModel.ts';
import { readJsonFile } from '../engine/model/readJson.ts';
import type { Provider } from '../engine/runtime/session.ts';
import { loadTranscoders } from '../engine/transcoders/load.ts';
import { scores } from '../graph/scores.ts';
import { attributionTensors } from './attributionTensors.ts';
import { type Comparison, compareTensors, deviationText, type Tolerance } from './compareTensors.ts';
import { findCases, type GoldenCase, readCase } from './goldenCase.ts';
import { runGoldenInterventions } from './goldenInterventions.ts';
import { type NamedTensor, readTensors, type Tensors, writeTensors } from './tensorFile.ts';

export type GoldenOptions = {
  /** Writes `dump/<case>/result.safetensors` and `interventions.safetensors`, with the reference's names. */
  readonly dump: string | null;
  readonly provider: Provider;
};

/** For a float32 implementation, as the reference results' README states them. */
const tolerances: Readonly<Record<string, Tolerance>> = {
  adjacency: { absolute: 1e-4, relative: 1e-3 },
  logit_probabilities: { absolute: 1e-5, relative: 0 },
  node_influence: { absolute: 1e-5, relative: 0 },
  cumulative_scores: { absolute: 1e-5, relative: 0 },
  replacement_score: { absolute: 1e-5, relative: 0 },
  completeness_score: { absolute: 1e-5, relative: 0 },
};
const otherTolerance: Tolerance = { absolute: 1e-4, relative: 0 };
const interventionTolerance: Tolerance = { absolute: 2e-4, relative: 0 };

/**
 * Runs every reference case below a folder and says how far each is from its results.
 * @param print takes one line per case
 * @returns the number of cases that failed
 */
export async function runGoldens(root: string, options: GoldenOptions, print: (line: string) => void): Promise<number> {
  let failed = 0;
  const folders = findCases(root);
  for (const folder of folders) {
    const { passed, line } = await runFolder(folder, options);
    if (!passed) failed++;
    print(`${passed ? 'ok  ' : 'FAIL'} ${line}`);
  }
  print(`${folders.length - failed} of ${folders.length} cases agree with the reference.`);
  return failed;
}

/** A case that can't be run fails; the others go on. */
async function runFolder(folder: string, options: GoldenOptions): Promise<{ passed: boolean; line: string }> {
  try {
    const golden = readCase(folder);
    const { passed, line } = await runCase(golden, options);
    return { passed, line: `${golden.name}: ${line}` };
  } catch (error) {
    return {
      passed: false,
      line: `${path.basename(folder)}: ${error instanceof Error ? error.message : String(error)}`,
    };
  }
}

export async function runCase(golden: GoldenCase, options: GoldenOptions): Promise<{ passed: boolean; line: string }> {
  const { dump } = options;
  const { result, interventions } = await computeCase(golden, options);
  if (dump) {
    writeTensors(path.join(dump, golden.name, 'result.safetensors'), result);
    if (interventions.size > 0) writeTensors(path.join(dump, golden.name, 'interventions.safetensors'), interventions);
  }
  if (!fs.existsSync(path.join(golden.goldenFolder, 'golden.safetensors'))) {
    return { passed: true, line: `${result.size} tensors; there are no reference results to compare with` };
  }
  return compareCase(golden, result, interventions);
}

async function computeCase(
  golden: GoldenCase,
  { provider }: GoldenOptions,
): Promise<{ result: Tensors; interventions: Tensors }> {
  using model = await loadModel(golden.model, { device: provider });
  using set = loadTranscoders(golden.transcoders, model.dimensions);
  using attributor = new Attributor(model, set, provider);
  const { ids, firstPos } = golden.request;
  const attribution = await attributor.attribute(golden.request, { logits: 'all' });
  const result = attributionTensors(model, set, attribution, golden.thresholds);
  if (model.dimensions.family === 'Gemma 2')
    result.set('token_vectors', unscaledTokens(result, model.dimensions.dModel));
  const { replacement, completeness } = scores(attribution.graph);
  result.set('replacement_score', { shape: [], data: Float32Array.of(replacement) });
  result.set('completeness_score', { shape: [], data: Float32Array.of(completeness) });
  return { result, interventions: await runGoldenInterventions(model, set, ids, firstPos, golden.interventions) };
}

/**
 * The reference results of Gemma 2, unlike those of Gemma 3 and against their README, hold the embedding rows before
 * they are multiplied by √dModel. Their adjacency is made from the scaled rows, as ours is.
 */
function unscaledTokens(tensors: Tensors, dModel: number): NamedTensor {
  const { shape, data } = tensors.get('token_vectors')!;
  return { shape, data: Float32Array.from(data, (value) => value / Math.sqrt(dModel)) };
}

function compareCase(golden: GoldenCase, got: Tensors, interventions: Tensors): { passed: boolean; line: string } {
  const expected = readTensors(path.join(golden.goldenFolder, 'golden.safetensors'));
  const summary = readJsonFile(path.join(golden.goldenFolder, 'golden.json'));
  for (const name of ['replacement_score', 'completeness_score']) {
    if (typeof summary[name] === 'number') expected.set(name, { shape: [], data: Float32Array.of(summary[name]) });
  }
  if (golden.isOnlyLogits) for (const name of expected.keys()) if (name !== 'logits') expected.delete(name);
  const inOrder = new Map([...got.keys()].flatMap((name) => (expected.has(name) ? [[name, expected.get(name)!]] : [])));
  for (const [name, tensor] of expected) inOrder.set(name, tensor);
  const attribution = judged(
    inOrder,
    compareTensors(inOrder, got, (name) => tolerances[name] ?? otherTolerance),
  );
  if (!attribution.passed || golden.interventions.length === 0) return attribution;
  const wanted = readTensors(path.join(golden.goldenFolder, 'interventions.safetensors'));
  const edited = judged(
    wanted,
    compareTensors(wanted, interventions, () => interventionTolerance),
  );
  return {
    passed: edited.passed,
    line: `${attribution.line}; ${golden.interventions.length} interventions: ${edited.line}`,
  };
}

function judged(
  expected: Tensors,
  { first, largest, misshapen }: Comparison,
): { readonly passed: boolean; readonly line: string } {
  const passed = first === null && misshapen.length === 0;
  if (misshapen.length > 0) return { passed, line: misshapen.join('; ') };
  if (first) return { passed, line: `first difference at ${deviationText(first)}` };
  if (!largest || largest.ofAllowed === 0) return { passed, line: `${expected.size} tensors, no deviation` };
  const deviation = Math.abs(largest.got - largest.expected).toExponential(1);
  return {
    passed,
    line: `${expected.size} tensors, largest deviation ${deviation} (${(100 * largest.ofAllowed).toFixed(1)} % of what is allowed) at ${largest.tensor}[${largest.index.join(', ')}]`,
  };
}
