import { generate } from '../engine/interventions/generate.ts';
import { type InterventionSettings, type Parts, type Pass, runEdited } from '../engine/interventions/run.ts';
import type { LanguageModel } from '../engine/model/languageModel.ts';
import { isRecord } from '../engine/model/readJson.ts';
import { Encoder, joinActive } from '../engine/transcoders/encode.ts';
import type { TranscoderSet } from '../engine/transcoders/transcoder.ts';
import type { Intervention } from '../protocol/engine.ts';
import { UserError } from '../protocol/errors.ts';
import type { NamedTensor, Tensors } from './tensorFile.ts';

/** One entry of a case's `interventions`. */
type GoldenIntervention = {
  readonly name: string;
  readonly settings: InterventionSettings;
  /** Null: one forward pass. */
  readonly newTokens: number | null;
  readonly keepsPreActivations: boolean;
};

/**
 * Runs every intervention of a reference case.
 * @param entries as in case.json, unchecked
 * @returns tensors named as in interventions.safetensors: `<name>/logits_last`, `<name>/active_features`, …
 */
export async function runGoldenInterventions(
  model: LanguageModel,
  set: TranscoderSet,
  ids: readonly number[],
  firstPos: number,
  entries: readonly unknown[],
): Promise<Tensors> {
  const tensors = new Map<string, NamedTensor>();
  using encoder = new Encoder(set);
  const parts = { model, set, encoder };
  const original = await model.forward(ids, { logits: 'none' });
  for (const entry of entries.map(readEntry)) {
    const put = (key: string, tensor: NamedTensor) => tensors.set(`${entry.name}/${key}`, tensor);
    const run = entry.newTokens === null ? runOnce : runGeneration;
    await run(parts, ids, firstPos, entry, { original, put });
  }
  return tensors;
}

type Context = {
  readonly original: Awaited<ReturnType<LanguageModel['forward']>>;
  readonly put: (key: string, tensor: NamedTensor) => void;
};

async function runOnce(
  parts: Parts,
  ids: readonly number[],
  firstPos: number,
  { settings, keepsPreActivations }: GoldenIntervention,
  { original, put }: Context,
): Promise<void> {
  const record = keepsPreActivations ? 'pre-activations' : 'active';
  const nPos = ids.length;
  const options = { span: { from: 0, nPos }, nPrompt: nPos, firstPos, record, logits: 'last' } as const;
  const pass = await runEdited(parts, ids, settings, original, options);
  put('logits_last', { shape: [pass.run.logits.length], data: pass.run.logits });
  if (!keepsPreActivations) {
    putFeatures([pass], parts.set.layers.length, put);
    return;
  }
  const { nFeatures } = parts.set;
  const values = new Float32Array(pass.preActivations.length * nPos * nFeatures);
  for (const [layer, own] of pass.preActivations.entries()) values.set(own, layer * nPos * nFeatures);
  put('pre_activations', { shape: [pass.preActivations.length, nPos, nFeatures], data: values });
}

async function runGeneration(
  parts: Parts,
  ids: readonly number[],
  firstPos: number,
  { settings, newTokens }: GoldenIntervention,
  { original, put }: Context,
): Promise<void> {
  const { logits, passes, ...generated } = await generate(parts, ids, settings, original, {
    newTokens: newTokens ?? 0,
    firstPos,
    sampling: null,
    endIds: [],
    record: 'active',
  });
  const { dVocab } = parts.model.dimensions;
  const all = new Float32Array(logits.length * dVocab);
  for (const [i, own] of logits.entries()) all.set(own, i * dVocab);
  put('logits', { shape: [logits.length, dVocab], data: all });
  put('generated_ids', { shape: [generated.ids.length], data: Int32Array.from(generated.ids) });
  putFeatures(passes, parts.set.layers.length, put);
}

/** Features of all passes, by layer, then position, then feature. */
function putFeatures(passes: readonly Pass[], nLayers: number, put: Context['put']): void {
  const layers = Array.from({ length: nLayers }, (_, layer) => passes.map((pass) => pass.active[layer]));
  const active = joinActive(layers.flat());
  const sites = new Int32Array(active.count * 3);
  for (let i = 0; i < active.count; i++) sites.set([active.layer[i], active.pos[i], active.feature[i]], i * 3);
  put('active_features', { shape: [active.count, 3], data: sites });
  put('activation_values', { shape: [active.count], data: active.activation });
}

function readEntry(entry: unknown): GoldenIntervention {
  if (!isRecord(entry) || typeof entry.name !== 'string' || !Array.isArray(entry.interventions)) {
    throw refused('an intervention has no name or no list');
  }
  const { constrained_layers: constrained } = entry;
  if (constrained !== null && constrained !== undefined && !isNumbers(constrained)) {
    throw refused(`constrained_layers of ${entry.name} is no list of numbers`);
  }
  const isGeneration = entry.mode === 'generate';
  if (isGeneration && !Number.isSafeInteger(entry.max_new_tokens)) throw refused(`${entry.name} has no max_new_tokens`);
  return {
    name: entry.name,
    settings: {
      interventions: entry.interventions.map(readIntervention),
      freezeAttention: entry.freeze_attention === true,
      constrainedLayers: isNumbers(constrained) ? constrained : null,
    },
    newTokens: isGeneration ? Number(entry.max_new_tokens) : null,
    keepsPreActivations: entry.apply_activation_function === false,
  };
}

function readIntervention(item: unknown): Intervention {
  if (!isRecord(item)) throw refused('an intervention is no object');
  const { layer, feature, value, pos } = item;
  if (!isNumbers([layer, feature, value])) throw refused('an intervention lacks its layer, feature or value');
  const site = { layer: layer as number, feature: feature as number, value: value as number, kind: 'set' as const };
  if (typeof pos === 'number') return { ...site, pos };
  if (!isRecord(pos) || typeof pos.start !== 'number') throw refused('an intervention lacks its position');
  return { ...site, pos: { start: pos.start, stop: typeof pos.stop === 'number' ? pos.stop : null } };
}

function isNumbers(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'number' && Number.isFinite(item));
}

function refused(why: string): UserError {
  return new UserError('goldens.case', `case.json is not understood: ${why}.`, 'Correct the case.');
}
