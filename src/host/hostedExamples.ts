import path from 'node:path';
import * as vscode from 'vscode';
import type { ModelPair } from '../protocol/engine.ts';
import { readHubSettings } from './config.ts';
import type { ModelLibrary } from './modelLibrary.ts';
import { FeatureExamples } from './remote/featureExamples.ts';
import { placeInCache } from './remote/hubCache.ts';

/**
 * Feature examples that a set's makers keep on the hub. Which features are looked at is told to the hub by asking, so
 * the user is asked first, once.
 */
export class HostedExamples {
  readonly #library: ModelLibrary;
  readonly #examples: FeatureExamples;
  #hasAsked = false;

  /** @param folder absolute: where what was read is kept */
  constructor(library: ModelLibrary, folder: string) {
    this.#library = library;
    this.#examples = new FeatureExamples({
      hub: library.hub(),
      cache: library.cache,
      folder,
      now: () => performance.now(),
    });
  }

  /** The JSON text of a feature's examples; null when the set is not of the hub, has none, or the user wants none. */
  async read({ transcoders }: ModelPair, layer: number, feature: number): Promise<string | null> {
    const place = transcoders === null ? null : placeInCache(this.#library.cache, path.resolve(transcoders));
    if (place === null || !(await this.#isWanted())) return null;
    const set = { repo: place.repo, folder: place.folder, revision: place.commit };
    const records = await this.#examples.read(set, layer, [feature], new AbortController().signal);
    return records.get(feature) ?? null;
  }

  async #isWanted(): Promise<boolean> {
    const { isOffline, hubExamples } = readHubSettings();
    if (isOffline || hubExamples === 'never') return false;
    if (hubExamples === 'always') return true;
    if (this.#hasAsked) return false;
    this.#hasAsked = true;
    const answer = await vscode.window.showInformationMessage(
      'The examples of these features are on the hub. Read those of the features you look at from there?',
      'Read',
      'Never',
    );
    if (answer === undefined) return false;
    const isWanted = answer === 'Read';
    const settings = vscode.workspace.getConfiguration('promptCircuits');
    await settings.update('hubExamples', isWanted ? 'always' : 'never', vscode.ConfigurationTarget.Global);
    return isWanted;
  }
}
