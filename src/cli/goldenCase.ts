import fs from 'node:fs';
import path from 'node:path';
import type { AttributionRequest } from '../engine/attribution/attribute.ts';
import type { ResolvedTargets } from '../engine/attribution/targets.ts';
import { isRecord, readJsonFile } from '../engine/model/readJson.ts';
import { UserError } from '../protocol/errors.ts';
import { readTensors } from './tensorFile.ts';

/** A reference case: what to run, and where its results are. */
export type GoldenCase = {
  readonly name: string;
  readonly folder: string;
  readonly model: string;
  readonly transcoders: string;
  readonly request: AttributionRequest;
  readonly thresholds: readonly {
    readonly suffix: string;
    readonly nodeThreshold: number;
    readonly edgeThreshold: number;
  }[];
  /** The folder whose golden files hold this case's results; another case's when the files are only another format. */
  readonly goldenFolder: string;
  /** The reference fails on this case: only logits are compared. */
  readonly isOnlyLogits: boolean;
  /** As in case.json, unchecked; empty when there are none. */
  readonly interventions: readonly unknown[];
};

/** Every folder below `root` (itself included) that has a case.json, by path. */
export function findCases(root: string): string[] {
  if (!fs.statSync(root, { throwIfNoEntry: false })?.isDirectory()) {
    throw new UserError('goldens.missing', `There is no folder ${root}.`, 'Name a folder of reference cases.');
  }
  const found = fs
    .readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name === 'case.json')
    .map((entry) => entry.parentPath);
  if (found.length === 0) {
    throw new UserError(
      'goldens.none',
      `No folder below ${root} has a case.json.`,
      'Name a folder of reference cases.',
    );
  }
  return found.sort();
}

export function readCase(folder: string): GoldenCase {
  const fields = readJsonFile(path.join(folder, 'case.json'));
  const settings = record(folder, fields, 'settings');
  const prune = record(folder, fields, 'prune');
  const same = fields.same_golden_as;
  return {
    name: typeof fields.name === 'string' ? fields.name : path.basename(folder),
    folder,
    model: path.join(folder, text(folder, fields, 'model')),
    transcoders: path.join(folder, text(folder, fields, 'transcoders')),
    request: {
      ids: numbers(folder, fields.token_ids, 'token_ids'),
      firstPos: typeof fields.zero_positions === 'number' ? fields.zero_positions : 1,
      targets: readTargets(folder, settings),
      settings: {
        batchSize: number(folder, settings, 'batch_size'),
        updateInterval: number(folder, settings, 'update_interval'),
        maxFeatureNodes: settings.max_feature_nodes === null ? 'all' : number(folder, settings, 'max_feature_nodes'),
        adaptiveShare: 0,
        nodeThreshold: number(folder, prune, 'node_threshold'),
      },
    },
    thresholds: [
      {
        suffix: '',
        nodeThreshold: number(folder, prune, 'node_threshold'),
        edgeThreshold: number(folder, prune, 'edge_threshold'),
      },
      {
        suffix: '_alt',
        nodeThreshold: number(folder, prune, 'alt_node_threshold'),
        edgeThreshold: number(folder, prune, 'alt_edge_threshold'),
      },
    ],
    goldenFolder: typeof same === 'string' ? path.join(folder, same) : folder,
    isOnlyLogits: fields.expect === 'peer-fails',
    interventions: Array.isArray(fields.interventions) ? fields.interventions : [],
  };
}

function readTargets(folder: string, settings: Record<string, unknown>): ResolvedTargets {
  const targets = settings.attribution_targets;
  if (targets === null || targets === undefined) {
    return {
      type: 'top',
      maxLogits: number(folder, settings, 'max_n_logits'),
      logitProbability: number(folder, settings, 'desired_logit_prob'),
    };
  }
  if (isRecord(targets) && targets.type === 'token_ids') {
    return { type: 'ids', ids: numbers(folder, targets.ids, 'attribution_targets.ids') };
  }
  if (isRecord(targets) && targets.type === 'custom' && Array.isArray(targets.targets)) {
    return { type: 'directions', directions: targets.targets.map((target) => readDirection(folder, target)) };
  }
  throw refused(folder, 'attribution_targets is of no known type');
}

function readDirection(folder: string, target: unknown): { label: string; probability: number; vector: Float32Array } {
  if (!isRecord(target)) throw refused(folder, 'a target is no object');
  const [file, key] = text(folder, target, 'vec').split(':');
  const vector = readTensors(path.join(folder, path.basename(file))).get(key)?.data;
  if (!(vector instanceof Float32Array)) throw refused(folder, `${file} has no float tensor ${key}`);
  return { label: text(folder, target, 'label'), probability: number(folder, target, 'prob'), vector };
}

function record(folder: string, fields: Record<string, unknown>, name: string): Record<string, unknown> {
  const value = fields[name];
  if (!isRecord(value)) throw refused(folder, `${name} is no object`);
  return value;
}

function text(folder: string, fields: Record<string, unknown>, name: string): string {
  const value = fields[name];
  if (typeof value !== 'string') throw refused(folder, `${name} is no text`);
  return value;
}

function number(folder: string, fields: Record<string, unknown>, name: string): number {
  const value = fields[name];
  if (typeof value !== 'number' || !Number.isFinite(value)) throw refused(folder, `${name} is no number`);
  return value;
}

function numbers(folder: string, value: unknown, name: string): number[] {
  if (!Array.isArray(value) || !value.every(Number.isSafeInteger))
    throw refused(folder, `${name} is no list of whole numbers`);
  return value;
}

function refused(folder: string, why: string): UserError {
  return new UserError('goldens.case', `case.json in ${folder} is not understood: ${why}.`, 'Correct the case.');
}
