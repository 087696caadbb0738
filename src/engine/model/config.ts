import path from 'node:path';
import { UserError } from '../../protocol/errors.ts';
import { type Family, families } from './families.ts';
import { isRecord, readJsonFile } from './readJson.ts';
import type { Rope } from './rope.ts';

/** What config.json says of a model, checked, with the family's own defaults filled in. */
export type ModelConfig = {
  readonly family: Family;
  readonly nLayers: number;
  readonly dModel: number;
  readonly nHeads: number;
  readonly nKeyValueHeads: number;
  readonly dHead: number;
  readonly dMlp: number;
  readonly dVocab: number;
  readonly maxPositions: number;
  /** Added to the mean square in every norm. */
  readonly normEpsilon: number;
  /** Multiplies query · key. */
  readonly attentionScale: number;
  /** Scores become cap · tanh(score / cap); null: left as they are. */
  readonly attentionSoftCap: number | null;
  readonly finalSoftCap: number | null;
  readonly activation: 'silu' | 'gelu' | 'gelu tanh';
  /** By layer: how many positions back attention reaches, itself included; null: all. */
  readonly windows: readonly (number | null)[];
  /** By layer. */
  readonly ropes: readonly Rope[];
  readonly isTied: boolean;
  readonly attentionBias: 'none' | 'query key value' | 'all';
  readonly hasMlpBias: boolean;
  readonly experts: { readonly count: number; readonly perToken: number; readonly limit: number } | null;
};

/** Reads and checks config.json of a model folder. UserError names the field, what it says and what is allowed. */
export function readConfig(folder: string): ModelConfig {
  return parseConfig(readJsonFile(path.join(folder, 'config.json')));
}

export function parseConfig(file: Readonly<Record<string, unknown>>): ModelConfig {
  const outer = isRecord(file.text_config) ? file.text_config : file;
  const family = familyOf(file.model_type, outer.model_type);
  const fields = new Fields({ ...family.defaults, ...outer });

  const nLayers = fields.count('num_hidden_layers', 1024);
  const dModel = fields.count('hidden_size', 2 ** 17);
  const nHeads = fields.count('num_attention_heads', 4096);
  const nKeyValueHeads = fields.has('num_key_value_heads') ? fields.count('num_key_value_heads', 4096) : nHeads;
  if (nHeads % nKeyValueHeads !== 0) {
    throw refused(`has ${nHeads} attention heads, which ${nKeyValueHeads} key/value heads don't divide`);
  }
  const dHead = fields.has('head_dim') ? fields.count('head_dim', 8192) : Math.floor(dModel / nHeads);
  if (dHead < 2 || dHead % 2 !== 0) throw refused(`has heads of size ${dHead}; rotation needs an even size`);
  if (fields.has('partial_rotary_factor') && fields.number('partial_rotary_factor', 0, 1) !== 1) {
    throw refused('rotates only a part of each head (partial_rotary_factor), which is not supported');
  }
  const maxPositions = fields.count('max_position_embeddings', 2 ** 27);
  const windows = readWindows(family, fields, nLayers);
  return {
    family,
    nLayers,
    dModel,
    nHeads,
    nKeyValueHeads,
    dHead,
    dMlp: fields.count('intermediate_size', 2 ** 20),
    dVocab: fields.count('vocab_size', 2 ** 24),
    maxPositions,
    normEpsilon: fields.number('rms_norm_eps', 0, 1),
    attentionScale:
      (fields.has('query_pre_attn_scalar') ? fields.number('query_pre_attn_scalar', 1e-6, 1e9) : dHead) ** -0.5,
    attentionSoftCap: fields.has('attn_logit_softcapping') ? fields.number('attn_logit_softcapping', 1e-6, 1e9) : null,
    finalSoftCap: fields.has('final_logit_softcapping') ? fields.number('final_logit_softcapping', 1e-6, 1e9) : null,
    activation: readActivation(fields),
    windows,
    ropes: readRopes(family, fields, windows, maxPositions),
    isTied: fields.truth('tie_word_embeddings'),
    attentionBias: readAttentionBias(family, fields),
    hasMlpBias: fields.truth('mlp_bias'),
    experts: family.hasExperts ? readExperts(fields) : null,
  };
}

function familyOf(...modelTypes: readonly unknown[]): Family {
  for (const type of modelTypes) {
    const family = families.find((candidate) => candidate.modelTypes.some((known) => known === type));
    if (family) return family;
  }
  const known = families.flatMap((family) => family.modelTypes).join(', ');
  throw new UserError(
    'model.family',
    `config.json says model_type ${JSON.stringify(modelTypes[0] ?? null).slice(0, 80)}, which is not known here.`,
    `Choose a model of one of these types: ${known}.`,
  );
}

function readAttentionBias(family: Family, fields: Fields): ModelConfig['attentionBias'] {
  if (family.attentionBias !== 'config') return family.attentionBias;
  return fields.truth('attention_bias') ? 'all' : 'none';
}

function readActivation(fields: Fields): ModelConfig['activation'] {
  const name = fields.has('hidden_activation') ? fields.text('hidden_activation') : fields.text('hidden_act');
  if (name === 'silu' || name === 'swish') return 'silu';
  if (name === 'gelu_pytorch_tanh' || name === 'gelu_new') return 'gelu tanh';
  if (name === 'gelu') return 'gelu';
  throw refused(`asks for the activation ${JSON.stringify(name.slice(0, 80))}, which is not supported`);
}

function readExperts(fields: Fields): NonNullable<ModelConfig['experts']> {
  const count = fields.count('num_local_experts', 4096);
  const perToken = fields.count('num_experts_per_tok', count);
  return { count, perToken, limit: fields.number('swiglu_limit', 1e-6, 1e9) };
}

function readWindows(family: Family, fields: Fields, nLayers: number): (number | null)[] {
  const types = fields.all.layer_types;
  if (types !== undefined && types !== null && (!Array.isArray(types) || types.length !== nLayers)) {
    throw refused(`has layer_types that are no list of ${nLayers} entries`);
  }
  return Array.from({ length: nLayers }, (_, layer) => {
    const type: unknown = Array.isArray(types) ? types[layer] : null;
    if (type !== null && type !== 'sliding_attention' && type !== 'full_attention') {
      throw refused(`gives layer ${layer} the type ${JSON.stringify(type).slice(0, 80)}, which is not supported`);
    }
    const slides = type === null ? family.slides(layer, fields.all) : type === 'sliding_attention';
    return slides && fields.has('sliding_window') ? fields.count('sliding_window', 2 ** 27) : null;
  });
}

/**
 * The rotation of every layer. Newer files keep it in `rope_parameters` (one, or one for each type of layer), older
 * ones in `rope_theta`, `rope_scaling` and `rope_local_base_freq`.
 */
function readRopes(
  family: Family,
  fields: Fields,
  windows: readonly (number | null)[],
  maxPositions: number,
): readonly Rope[] {
  const { rope_parameters: parameters, rope_scaling: scaling, rope_theta: theta } = fields.all;
  if (isRecord(parameters)) {
    const ofType = (type: string): Rope => {
      const own = isRecord(parameters[type]) ? parameters[type] : parameters;
      return readRope(new Fields({ rope_theta: theta, ...own }), own, maxPositions);
    };
    const [sliding, full] = [ofType('sliding_attention'), ofType('full_attention')];
    return windows.map((window) => (window === null ? full : sliding));
  }
  if (scaling !== undefined && scaling !== null && !isRecord(scaling))
    throw refused('has a rope_scaling that is no object');
  const global = readRope(fields, scaling ?? {}, maxPositions);
  if (!family.hasLocalRope) return windows.map(() => global);
  const local: Rope = { theta: fields.number('rope_local_base_freq', 1, 1e12), scaling: { type: 'default' } };
  return windows.map((window) => (window === null ? global : local));
}

function readRope(fields: Fields, scaling: Readonly<Record<string, unknown>>, maxPositions: number): Rope {
  const theta = fields.number('rope_theta', 1, 1e12);
  const own = new Fields(scaling);
  const type = scaling.rope_type ?? scaling.type ?? 'default';
  if (type === 'default') return { theta, scaling: { type } };
  const factor = own.number('factor', 1e-6, 1e6);
  if (type === 'linear') return { theta, scaling: { type, factor } };
  const originalPositions = own.has('original_max_position_embeddings')
    ? own.number('original_max_position_embeddings', 1, 2 ** 27)
    : maxPositions;
  if (type === 'llama3') {
    const lowFrequencyFactor = own.number('low_freq_factor', 1e-6, 1e6);
    const highFrequencyFactor = own.number('high_freq_factor', lowFrequencyFactor, 1e6);
    return { theta, scaling: { type, factor, lowFrequencyFactor, highFrequencyFactor, originalPositions } };
  }
  if (type === 'yarn') {
    return {
      theta,
      scaling: {
        type,
        factor,
        originalPositions,
        betaFast: own.has('beta_fast') ? own.number('beta_fast', 1e-6, 1e6) : 32,
        betaSlow: own.has('beta_slow') ? own.number('beta_slow', 1e-6, 1e6) : 1,
        truncate: own.all.truncate !== false,
        attentionFactor: own.has('attention_factor') ? own.number('attention_factor', 0, 1e6) : yarnFactor(own, factor),
      },
    };
  }
  throw refused(`asks for rope scaling of type ${JSON.stringify(type).slice(0, 80)}, which is not supported`);
}

/** 0.1 · ln(factor) + 1 (Peng et al. 2023, section 3.4), or the ratio of two such where the file names both. */
function yarnFactor(own: Fields, factor: number): number {
  const of = (scale: number): number => (factor <= 1 ? 1 : 0.1 * scale * Math.log(factor) + 1);
  const all = own.has('mscale_all_dim') ? own.number('mscale_all_dim', 0, 1e6) : 0;
  const one = own.has('mscale') ? own.number('mscale', 0, 1e6) : 0;
  return all && one ? of(one) / of(all) : of(1);
}

/** Checked access to the fields of one JSON object. */
class Fields {
  readonly all: Readonly<Record<string, unknown>>;

  constructor(all: Readonly<Record<string, unknown>>) {
    this.all = all;
  }

  has(name: string): boolean {
    return this.all[name] !== undefined && this.all[name] !== null;
  }

  number(name: string, min: number, max: number): number {
    const value = this.all[name];
    if (typeof value !== 'number' || !(value >= min && value <= max)) {
      throw refused(`says ${name} is ${shown(value)}; a number from ${min} to ${max} is needed`);
    }
    return value;
  }

  count(name: string, max: number): number {
    const value = this.number(name, 1, max);
    if (!Number.isInteger(value)) throw refused(`says ${name} is ${value}; a whole number is needed`);
    return value;
  }

  truth(name: string): boolean {
    const value = this.all[name] ?? false;
    if (typeof value !== 'boolean') throw refused(`says ${name} is ${shown(value)}; true or false is needed`);
    return value;
  }

  text(name: string): string {
    const value = this.all[name];
    if (typeof value !== 'string') throw refused(`says ${name} is ${shown(value)}; a text is needed`);
    return value;
  }
}

function shown(value: unknown): string {
  return (JSON.stringify(value) ?? 'missing').slice(0, 80);
}

function refused(why: string): UserError {
  return new UserError(
    'model.config',
    `config.json ${why}.`,
    'Choose another model, or get its files again from where it was published.',
  );
}
