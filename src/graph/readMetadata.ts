import { UserError } from '../protocol/errors.ts';
import type { GenerationSettings, Generator, GraphMetadata, GraphScores, PruningSettings } from './circuitGraph.ts';
import { asCount, asNumber, asText, isObject, type JsonObject, otherFields } from './json.ts';
import { type GraphWeights, revisionText, type WeightStamp } from './weights.ts';

/** Longer than any model's window. */
const maxPositions = 200_000;
const defaultNodeThreshold = 0.8;

const metadataFields: ReadonlySet<string> = new Set([
  'slug',
  'scan',
  'prompt_tokens',
  'prompt',
  'node_threshold',
  'schema_version',
  'info',
  'generation_settings',
  'pruning_settings',
  'prompt_circuits',
]);
const generationFields: ReadonlySet<string> = new Set([
  'max_n_logits',
  'desired_logit_prob',
  'batch_size',
  'max_feature_nodes',
]);
const pruningFields: ReadonlySet<string> = new Set(['node_threshold', 'edge_threshold']);
const nothing: JsonObject = {};

export type MetadataRead = {
  readonly metadata: GraphMetadata;
  /** Features carry Cantor numbers, as the file says. */
  readonly cantor: boolean;
  /** Known only in our own files; `metadata.nLayers` is 0 until the nodes are read. */
  readonly nLayers: number | null;
  /** Our own section of the file. */
  readonly own: JsonObject;
  readonly foreign: JsonObject | null;
  readonly foreignInfo: JsonObject | null;
};

/** @param nodes the file's nodes, from which the number of tokens is taken where the file has no list of them */
export function readMetadata(value: JsonObject, nodes: readonly unknown[], warnings: string[]): MetadataRead {
  const own = objectIn(value, 'prompt_circuits');
  const info = objectIn(value, 'info');
  const promptTokens = tokensOf(value, nodes, warnings);
  const scan = Array.isArray(value.scan) ? value.scan.filter((part) => typeof part === 'string').join(',') : value.scan;
  const details = objectIn(value, 'feature_details');
  const hasSourceSet = asText(details.neuronpedia_source_set) !== null;
  const generation = generationOf(objectIn(value, 'generation_settings'));
  const pruning = pruningOf(objectIn(value, 'pruning_settings'));
  const generator = generatorOf(info);
  const weights = weightsOf(objectIn(own, 'weights'));
  const metadata: GraphMetadata = {
    slug: safeSlug(asText(value.slug) ?? 'graph'),
    scan: asText(scan) ?? '',
    modelName: asText(own.model_name) ?? asText(info.model_id) ?? (hasSourceSet ? (asText(scan) ?? '') : ''),
    prompt: asText(value.prompt) ?? promptTokens.join(''),
    promptTokens,
    promptTokenIds: tokenIdsOf(own, promptTokens.length),
    nLayers: 0,
    scores: scoresOf(objectIn(own, 'scores')),
    generation,
    pruning,
    nodeThreshold: shareOf(value.node_threshold) ?? defaultNodeThreshold,
    activeFeatures: asCount(own.active_features),
    generator,
    createdAt: asText(own.created_at) ?? timeOf(info),
    ...(weights === null ? {} : { weights }),
  };
  return {
    metadata,
    cantor: value.schema_version === 1 || hasSourceSet,
    nLayers: layersOf(own),
    own,
    foreign: merge(
      otherFields(value, metadataFields),
      field(
        'generation_settings',
        otherFields(objectIn(value, 'generation_settings'), generation ? generationFields : new Set()),
      ),
      field('pruning_settings', otherFields(objectIn(value, 'pruning_settings'), pruning ? pruningFields : new Set())),
    ),
    foreignInfo: merge(
      otherFields(info, new Set(['generator', 'create_time_ms', ...repeated(info, metadata)])),
      field(
        'generator',
        otherFields(objectIn(info, 'generator'), generator ? new Set(['name', 'version', 'url']) : new Set()),
      ),
    ),
  };
}

/** Fields of `info` that say again what `metadata` holds. */
function repeated(info: JsonObject, { scan, modelName, weights }: GraphMetadata): readonly string[] {
  const set = weights?.transcoders ?? null;
  return [
    ...(info.transcoder_set === scan ? ['transcoder_set'] : []),
    ...(info.model_id === modelName ? ['model_id'] : []),
    ...(weights && info.model_revision === revisionText(weights.model) ? ['model_revision'] : []),
    ...(set && info.transcoder_revision === revisionText(set) ? ['transcoder_revision'] : []),
  ];
}

/** A file name without extension, of letters, digits, `_`, `.` and `-`, that is no hidden file and no folder above. */
export function safeSlug(slug: string): string {
  const safe = slug
    .slice(0, 200)
    .replace(/[^A-Za-z0-9_.-]+/g, '-')
    .replace(/^\.+/, '');
  return safe === '' ? 'graph' : safe;
}

/** The object in a field, or an empty one. */
export function objectIn(value: JsonObject, name: string): JsonObject {
  const inner = Object.hasOwn(value, name) ? value[name] : null;
  return isObject(inner) ? inner : nothing;
}

function field(name: string, value: JsonObject | null): JsonObject | null {
  return value && { [name]: value };
}

function merge(...parts: readonly (JsonObject | null)[]): JsonObject | null {
  const merged = Object.assign({}, ...parts);
  return Object.keys(merged).length > 0 ? merged : null;
}

function tokensOf(value: JsonObject, nodes: readonly unknown[], warnings: string[]): readonly string[] {
  const list = value.prompt_tokens;
  if (Array.isArray(list) && list.length > 0) {
    if (list.length > maxPositions) throw tooLong(list.length);
    return list.map((token) => (typeof token === 'string' ? token : String(asNumber(token) ?? '')));
  }
  let last = -1;
  for (const node of nodes) if (isObject(node)) last = Math.max(last, asCount(node.ctx_idx) ?? -1);
  if (last + 1 > maxPositions) throw tooLong(last + 1);
  warnings.push(`The file does not list its prompt tokens; ${last + 1} positions are shown without their text.`);
  return new Array<string>(last + 1).fill('');
}

function tooLong(count: number): UserError {
  return new UserError(
    'graph.promptTooLong',
    `The graph's prompt has ${count} tokens; the limit is ${maxPositions}.`,
    'Open a graph of a shorter prompt.',
  );
}

function tokenIdsOf(own: JsonObject, nPositions: number): readonly number[] | null {
  const list = own.token_ids;
  if (!Array.isArray(list) || list.length !== nPositions) return null;
  const ids = list.map(asCount);
  return ids.every((id) => id !== null) ? ids : null;
}

function scoresOf(value: JsonObject): GraphScores | null {
  const replacement = shareOf(value.replacement);
  const completeness = shareOf(value.completeness);
  return replacement === null || completeness === null ? null : { replacement, completeness };
}

function generationOf(value: JsonObject): GenerationSettings | null {
  const maxLogits = asCount(value.max_n_logits);
  const logitProbability = asNumber(value.desired_logit_prob);
  const batchSize = asCount(value.batch_size);
  if (maxLogits === null || logitProbability === null || batchSize === null) return null;
  return { maxLogits, logitProbability, batchSize, maxFeatureNodes: asCount(value.max_feature_nodes) };
}

function pruningOf(value: JsonObject): PruningSettings | null {
  const nodeThreshold = shareOf(value.node_threshold);
  const edgeThreshold = shareOf(value.edge_threshold);
  return nodeThreshold === null || edgeThreshold === null ? null : { nodeThreshold, edgeThreshold };
}

function generatorOf(info: JsonObject): Generator | null {
  const value = objectIn(info, 'generator');
  const name = asText(value.name);
  if (name === null) return null;
  const url = asText(value.url);
  return { name, version: asText(value.version) ?? '', ...(url === null ? {} : { url }) };
}

function weightsOf(value: JsonObject): GraphWeights | null {
  const model = stampOf(objectIn(value, 'model'));
  return model && { model, transcoders: stampOf(objectIn(value, 'transcoders')) };
}

function stampOf({ revision, fingerprint }: JsonObject): WeightStamp | null {
  if (typeof fingerprint !== 'string' || !/^[0-9a-f]{16}$/.test(fingerprint)) return null;
  const isCommit = typeof revision === 'string' && /^[0-9a-f]{40}$/.test(revision);
  return { revision: isCommit ? revision : null, fingerprint };
}

function timeOf(info: JsonObject): string | null {
  const milliseconds = asNumber(info.create_time_ms);
  const date = new Date(milliseconds ?? Number.NaN);
  return Number.isNaN(date.getTime()) ? null : date.toISOString();
}

function layersOf(own: JsonObject): number | null {
  const count = asCount(own.n_layers);
  return count !== null && count >= 1 && count <= 4096 ? count : null;
}

/** A number from 0 to 1, or null. */
export function shareOf(value: unknown): number | null {
  const number = asNumber(value);
  return number !== null && number >= 0 && number <= 1 ? number : null;
}
