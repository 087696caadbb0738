import fs from 'node:fs';
import path from 'node:path';
import { UserError } from '../../protocol/errors.ts';
import { readJsonFile } from '../model/readJson.ts';
import type { Limit } from './activation.ts';
import { type FloatTensor, wholeTensor } from './floatTensor.ts';
import { type LayerTensors, namedTensor, refused } from './layerTensors.ts';
import { shown } from './setConfig.ts';
import type { TensorFile } from './setFiles.ts';
import type { InputHook } from './transcoder.ts';

/**
 * How a layer's features are decoded at the layers they write to:
 * - `own`: one matrix for the own layer, or one for each layer written (`W_decs.n`);
 * - `source`: the own layer's matrix serves for all layers written (`per_source_tied`);
 * - `target`: each layer written has one matrix for the features of all layers (`coalesce_topk: concat`).
 */
type DecoderSharing = 'own' | 'source' | 'target';

/** What cfg.json, beside each layer's weights, says about the numbers. */
type SparsifyConfig = {
  readonly file: string;
  readonly limit: Limit;
  readonly sharing: DecoderSharing;
  /** Layers written, the own one first; 0: no list of them, the own layer alone. */
  readonly nTargets: number;
  readonly normalizesIo: boolean;
  readonly hasScale: boolean;
  readonly hasSkip: boolean;
};

/**
 * The layers of a set in the layout of the sparsify library and its cross-layer fork, in layer order. With x the input,
 * a the activations, s the layer read and t the layer written:
 *   a = limit(relu(W_enc_s · x_s · √d / in_norm_s + b_enc_s))
 *   y_t = (Σ_s (a_s + post_enc_st where a_s > 0) · post_enc_scale_st · W_dec_st + b_dec_t + W_skip_t · x_t · √d / in_norm_t) · out_norm_t / √d
 * where every part but the first product may be absent.
 */
export function arrangeSparsify(files: readonly TensorFile[]): { limit: Limit; layers: LayerTensors[] } {
  const configs = files.map((file) => readSparsifyConfig(path.join(path.dirname(file.path), 'cfg.json')));
  const [{ limit }] = configs;
  const other = configs.find((config) => config.limit.type !== limit.type || config.limit.k !== limit.k);
  if (other) {
    throw refused(
      `keep different numbers of features per layer (${limit.type} ${limit.k}; ${other.limit.type} ${other.limit.k} in ${other.file})`,
    );
  }
  return { limit, layers: files.map((file, layer) => readLayer(files, file, layer, configs[layer])) };
}

/** Where the encoders read, from the training run's config.json at the set's root; null: it does not say. */
export function sparsifyInputHook(folder: string): InputHook | null {
  const file = path.join(folder, 'config.json');
  if (!fs.existsSync(file)) return null;
  const names = readJsonFile(file).hookpoints_in;
  if (!Array.isArray(names) || names.length === 0) return null;
  const places = new Set(names.map((name) => String(name).split('.').at(-1)));
  const [place] = places;
  // The input of the norm before the MLP, by the families' names for it.
  if (places.size === 1 && (place === 'post_attention_layernorm' || place === 'pre_feedforward_layernorm')) {
    return 'hook_resid_mid';
  }
  if (places.size === 1 && place === 'mlp') return 'mlp.hook_in';
  throw unsupported(file, 'hookpoints_in', names, 'the MLP or the norm before it, alike in every layer,');
}

function readLayer(
  files: readonly TensorFile[],
  file: TensorFile,
  layer: number,
  config: SparsifyConfig,
): LayerTensors {
  const { sharing, nTargets, normalizesIo, hasSkip } = config;
  if (layer + nTargets > files.length) {
    throw refused(`write from layer ${layer} to ${nTargets} layers of ${files.length}, as ${config.file} says`);
  }
  const offsets = Array.from({ length: Math.max(nTargets, 1) }, (_, offset) => offset);
  const farSkip = offsets.slice(1).find((offset) => file.tensors.has(`W_skips.${offset}`));
  if (hasSkip && farSkip !== undefined) {
    throw refused(`have W_skips.${farSkip} in ${file.path}: skips to other layers are not computed`);
  }
  const decoderOf = (offset: number): FloatTensor => {
    if (sharing === 'target') return namedTensor(files[layer + offset], 'W_dec');
    if (sharing === 'source') return namedTensor(file, 'W_dec');
    return listed(file, 'W_dec', offset);
  };
  return {
    encoder: namedTensor(file, 'encoder.weight'),
    encoderBias: namedTensor(file, 'encoder.bias'),
    threshold: null,
    decoders: offsets.map((offset) => ({
      tensor: decoderOf(offset),
      gain: config.hasScale ? listedExactly(file, 'post_enc_scale', offset, nTargets) : null,
      onBias: file.tensors.get(nTargets > 0 ? `post_encs.${offset}` : 'post_enc') ?? null,
    })),
    decoderBiases: sharing === 'target' ? [namedTensor(file, 'b_dec')] : offsets.map((at) => listed(file, 'b_dec', at)),
    skip: hasSkip ? listed(file, 'W_skip', 0) : null,
    inputNorm: normalizesIo ? lengthOf(file, 'in_norm') : null,
    outputNorm: normalizesIo ? lengthOf(file, 'out_norm') : null,
  };
}

/** A tensor of a list over the layers written, or the single one where there is no list. */
function listed(file: TensorFile, name: string, offset: number): FloatTensor {
  const found = file.tensors.get(`${name}s.${offset}`);
  if (found) return found;
  return namedTensor(file, offset === 0 ? name : `${name}s.${offset}`);
}

function listedExactly(file: TensorFile, name: string, offset: number, nTargets: number): FloatTensor {
  return namedTensor(file, nTargets > 0 ? `${name}s.${offset}` : name);
}

/** A stored mean length of vectors. */
function lengthOf(file: TensorFile, name: string): number {
  const tensor = namedTensor(file, name);
  const [length] = tensor.size === 1 ? wholeTensor(tensor) : [Number.NaN];
  if (!(length > 0 && Number.isFinite(length))) {
    throw refused(
      `have ${name} of ${tensor.size === 1 ? length : `${tensor.size} numbers`} in ${file.path}, where one above 0 is needed`,
    );
  }
  return length;
}

/** UserError where the file asks for what changes the numbers and is not computed. */
function readSparsifyConfig(file: string): SparsifyConfig {
  const fields = readJsonFile(file);
  const { activation = 'topk', k, n_targets: nTargets = 0, coalesce_topk: coalesce = 'none' } = fields;
  const isTrue = (name: string) => fields[name] === true;
  if (activation !== 'topk' && activation !== 'groupmax') {
    throw unsupported(file, 'activation', activation, '"topk" and "groupmax"');
  }
  if (!isTrue('transcode')) throw unsupported(file, 'transcode', fields.transcode, 'true');
  if (coalesce !== 'none' && coalesce !== 'concat') {
    throw unsupported(file, 'coalesce_topk', coalesce, '"none" and "concat"');
  }
  if (coalesce === 'concat' && isTrue('topk_coalesced')) throw unsupported(file, 'topk_coalesced', true, 'false');
  if (isTrue('secondary_target_tied')) throw unsupported(file, 'secondary_target_tied', true, 'false');
  if (!Number.isSafeInteger(k) || (k as number) < 1) throw damaged(file, 'k', k, 'a whole number above 0');
  if (!Number.isSafeInteger(nTargets) || (nTargets as number) < 0 || (nTargets as number) > 4096) {
    throw damaged(file, 'n_targets', nTargets, 'a whole number from 0 to 4096');
  }
  const reachesOthers = (nTargets as number) > 1;
  if (isTrue('divide_cross_layer') && reachesOthers) throw unsupported(file, 'divide_cross_layer', true, 'false');
  return {
    file,
    limit:
      activation === 'topk'
        ? { type: 'topk', k: k as number, clampsFirst: true }
        : { type: 'groupmax', k: k as number },
    sharing: coalesce === 'concat' ? 'target' : isTrue('per_source_tied') ? 'source' : 'own',
    nTargets: nTargets as number,
    normalizesIo: isTrue('normalize_io'),
    hasScale: isTrue('post_encoder_scale'),
    hasSkip: isTrue('skip_connection'),
  };
}

function unsupported(file: string, name: string, value: unknown, computed: string): UserError {
  return new UserError(
    'transcoders.unsupported',
    `${file} says ${name} = ${shown(value)}; only ${computed} can be computed.`,
    'Choose another transcoder set.',
  );
}

function damaged(file: string, name: string, value: unknown, needed: string): UserError {
  return new UserError(
    'transcoders.config',
    `${file} says ${name} = ${shown(value)}; it must be ${needed}.`,
    'Correct the file, or get it again from where the set was published.',
  );
}
