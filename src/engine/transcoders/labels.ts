import fs from 'node:fs';
import path from 'node:path';
import { isRecord, readJsonFile } from '../model/readJson.ts';

/** Labels of a large set in full are some 100 MB. */
const limits = { bytes: 256 * 2 ** 20, depth: 8 };
const maxLabelLength = 500;

export type FeatureLabel = {
  readonly layer: number;
  readonly feature: number;
  readonly label: string;
  /** What the label was made from, for the reader to judge it by. */
  readonly source: string;
};

/**
 * Labels of a set's features, out of `labels.json` beside its weights:
 *   {"version": 1, "labels": [{"layer", "feature", "label", "source"}]}
 * Empty when there is no such file; entries that name no feature are left out.
 * @throws UserError when the file is no JSON or larger than such a file is
 */
export function readLabels(setFolder: string): readonly FeatureLabel[] {
  const file = path.join(setFolder, 'labels.json');
  if (!fs.existsSync(file)) return [];
  const { labels } = readJsonFile(file, limits);
  if (!Array.isArray(labels)) return [];
  return labels.flatMap((entry) => {
    if (!isRecord(entry) || !isIndex(entry.layer) || !isIndex(entry.feature)) return [];
    const label = shortText(entry.label);
    return label === '' ? [] : [{ layer: entry.layer, feature: entry.feature, label, source: shortText(entry.source) }];
  });
}

function isIndex(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function shortText(value: unknown): string {
  return typeof value === 'string' ? value.trim().slice(0, maxLabelLength) : '';
}
