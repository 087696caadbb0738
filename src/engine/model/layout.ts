import { UserError } from '../../protocol/errors.ts';
import type { ModelConfig } from './config.ts';
import type { LayerRole } from './families.ts';
import type { StoredTensor } from './safetensors.ts';

/** A layer's experts as stored: float tensors [expert, in, out], or MXFP4 blocks and scales of [expert, out, in]. */
export type StoredExperts = {
  readonly gateUp: StoredMatrices;
  readonly gateUpBias: StoredTensor;
  readonly down: StoredMatrices;
  readonly downBias: StoredTensor;
};
export type StoredMatrices =
  | { readonly type: 'float'; readonly values: StoredTensor }
  | { readonly type: 'mxfp4'; readonly blocks: StoredTensor; readonly scales: StoredTensor };

/** Where every weight of a model lies. */
export type ModelLayout = {
  readonly embedding: StoredTensor;
  readonly finalNorm: StoredTensor;
  readonly unembedding: StoredTensor;
  readonly layers: readonly {
    readonly tensors: ReadonlyMap<LayerRole, StoredTensor>;
    readonly experts: StoredExperts | null;
  }[];
};

/** Text models, then the multimodal wrapper as published and as newer code writes it, then bare bodies. */
const prefixes = ['model.', 'language_model.model.', 'model.language_model.', ''];

/**
 * Finds every tensor that the configuration asks for. UserError naming the missing ones, or the first whose shape or
 * type is not what the configuration says.
 */
export function findLayout(config: ModelConfig, tensors: ReadonlyMap<string, StoredTensor>): ModelLayout {
  const prefix = prefixes.find((candidate) => tensors.has(`${candidate}embed_tokens.weight`)) ?? 'model.';
  const missing: string[] = [];
  const find = (
    name: string,
    shape: readonly number[],
    types: readonly string[] = ['F32', 'F16', 'BF16'],
  ): StoredTensor => {
    const tensor = tensors.get(name);
    if (!tensor) missing.push(name);
    else checkTensor(tensor, shape, types);
    return tensor as StoredTensor; // missing ones are reported together, before anything is used
  };

  const { dModel, dVocab } = config;
  const embedding = find(`${prefix}embed_tokens.weight`, [dVocab, dModel]);
  const headName = ['lm_head.weight', 'language_model.lm_head.weight'].find((name) => tensors.has(name));
  const shapes = layerShapes(config);
  const layers = Array.from({ length: config.nLayers }, (_, layer) => {
    const start = `${prefix}layers.${layer}.`;
    const found = new Map<LayerRole, StoredTensor>();
    for (const [role, shape] of shapes) found.set(role, find(start + config.family.names[role], shape));
    return {
      tensors: found,
      experts: config.experts ? findExperts(config, `${start}mlp.experts.`, tensors, find) : null,
    };
  });
  const layout = {
    embedding,
    finalNorm: find(`${prefix}norm.weight`, [dModel]),
    unembedding: config.isTied ? embedding : find(headName ?? 'lm_head.weight', [dVocab, dModel]),
    layers,
  };
  if (missing.length > 0) {
    const more = missing.length > 3 ? ` and ${missing.length - 3} more` : '';
    throw new UserError(
      'weights.tensorMissing',
      `The weight files lack ${missing.slice(0, 3).join(', ')}${more}, which config.json asks for.`,
      'Download the model again, or choose another.',
    );
  }
  return layout;
}

/** The tensors that each layer of this configuration has, with their shapes. */
function layerShapes(config: ModelConfig): Map<LayerRole, readonly number[]> {
  const { dModel, dMlp, dHead, family } = config;
  const dQuery = config.nHeads * dHead;
  const dKeyValue = config.nKeyValueHeads * dHead;
  const shapes = new Map<LayerRole, readonly number[]>([
    ['attnNorm', [dModel]],
    ['query', [dQuery, dModel]],
    ['key', [dKeyValue, dModel]],
    ['value', [dKeyValue, dModel]],
    ['attnOutput', [dModel, dQuery]],
    ['mlpNorm', [dModel]],
  ]);
  if (config.attentionBias !== 'none') {
    shapes.set('queryBias', [dQuery]).set('keyBias', [dKeyValue]).set('valueBias', [dKeyValue]);
  }
  if (config.attentionBias === 'all') shapes.set('attnOutputBias', [dModel]);
  if (family.hasQueryKeyNorms) shapes.set('queryNorm', [dHead]).set('keyNorm', [dHead]);
  if (family.hasSinks) shapes.set('sinks', [config.nHeads]);
  if (family.hasPostNorms) shapes.set('postAttnNorm', [dModel]).set('postMlpNorm', [dModel]);
  if (config.experts) {
    return shapes.set('router', [config.experts.count, dModel]).set('routerBias', [config.experts.count]);
  }
  shapes.set('gate', [dMlp, dModel]).set('up', [dMlp, dModel]).set('down', [dModel, dMlp]);
  if (config.hasMlpBias) shapes.set('gateBias', [dMlp]).set('upBias', [dMlp]).set('downBias', [dModel]);
  return shapes;
}

type Find = (name: string, shape: readonly number[], types?: readonly string[]) => StoredTensor;

function findExperts(
  config: ModelConfig,
  start: string,
  tensors: ReadonlyMap<string, StoredTensor>,
  find: Find,
): StoredExperts {
  const count = config.experts?.count ?? 0;
  const { dModel, dMlp } = config;
  const matrices = (name: string, dIn: number, dOut: number): StoredMatrices => {
    if (!tensors.has(`${start}${name}_blocks`)) {
      return { type: 'float', values: find(`${start}${name}`, [count, dIn, dOut]) };
    }
    if (dIn % 32 !== 0) throw refused(`${start}${name}_blocks`, `rows of ${dIn} are not whole blocks of 32`);
    return {
      type: 'mxfp4',
      blocks: find(`${start}${name}_blocks`, [count, dOut, dIn / 32, 16], ['U8']),
      scales: find(`${start}${name}_scales`, [count, dOut, dIn / 32], ['U8']),
    };
  };
  return {
    gateUp: matrices('gate_up_proj', dModel, 2 * dMlp),
    gateUpBias: find(`${start}gate_up_proj_bias`, [count, 2 * dMlp]),
    down: matrices('down_proj', dMlp, dModel),
    downBias: find(`${start}down_proj_bias`, [count, dModel]),
  };
}

function checkTensor(tensor: StoredTensor, shape: readonly number[], types: readonly string[]): void {
  if (!types.includes(tensor.type)) {
    throw refused(tensor.name, `it is stored as ${tensor.type}; ${types.join(', ')} can be read here`);
  }
  if (tensor.shape.length !== shape.length || tensor.shape.some((size, i) => size !== shape[i])) {
    throw refused(tensor.name, `its shape is [${tensor.shape}], config.json asks for [${shape}]`);
  }
}

function refused(name: string, why: string): UserError {
  return new UserError(
    'weights.tensorRefused',
    `The weight ${name} can't be used: ${why}.`,
    'Get the model again from where it was published, or choose another.',
  );
}
