import { mkdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import type { GraphWeights } from '../graph/weights.ts';
import type { CollectResult, OwnText } from '../protocol/engine.ts';
import { writeWhole } from './traceStore.ts';

/** Files written at a time. */
const writesAtOnce = 32;

/**
 * What features do on the user's own texts, by the weights they are features of: one small file each, so that a card
 * reads its own alone. Every graph of the same model and set shares them.
 */
export class OwnExampleStore {
  readonly #folder: string;

  /** @param folder absolute */
  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Null when it was never computed, or its file cannot be read. */
  async read(weights: GraphWeights, layer: number, feature: number): Promise<OwnText | null> {
    const text = await readFile(this.#file(weights, layer, feature), 'utf8').catch(() => null);
    if (text === null) return null;
    try {
      const value: unknown = JSON.parse(text);
      return isOwnText(value) ? value : null;
    } catch {
      return null;
    }
  }

  /** Takes the place of what was known of these features. */
  async write(weights: GraphWeights, features: CollectResult['features'], source: string): Promise<void> {
    await mkdir(path.dirname(this.#file(weights, 0, 0)), { recursive: true });
    for (let from = 0; from < features.length; from += writesAtOnce) {
      await Promise.all(
        features.slice(from, from + writesAtOnce).map(({ layer, feature, ...examples }) => {
          const kept: OwnText = { source, ...examples };
          return writeWhole(this.#file(weights, layer, feature), JSON.stringify(kept));
        }),
      );
    }
  }

  #file({ model, transcoders }: GraphWeights, layer: number, feature: number): string {
    const set = `${model.fingerprint}-${transcoders?.fingerprint ?? 'none'}`;
    return path.join(this.#folder, set, `${layer}-${feature}.json`);
  }
}

/** A file of ours, unless somebody changed it. */
function isOwnText(value: unknown): value is OwnText {
  if (typeof value !== 'object' || value === null) return false;
  const fields = value as Partial<Record<keyof OwnText, unknown>>;
  return (
    typeof fields.source === 'string' &&
    Array.isArray(fields.quantiles) &&
    fields.quantiles.every(
      (quantile) =>
        typeof quantile?.name === 'string' && Array.isArray(quantile.examples) && quantile.examples.every(isExample),
    ) &&
    Array.isArray(fields.histogram) &&
    Array.isArray(fields.quantileValues)
  );
}

function isExample(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const { tokens, activations } = value as { readonly tokens?: unknown; readonly activations?: unknown };
  return (
    Array.isArray(tokens) &&
    tokens.every((token) => typeof token === 'string') &&
    Array.isArray(activations) &&
    activations.every(Number.isFinite)
  );
}
