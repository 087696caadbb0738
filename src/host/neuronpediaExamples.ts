import * as vscode from 'vscode';
import type { CircuitGraph } from '../graph/circuitGraph.ts';
import { UserError } from '../protocol/errors.ts';
import { readHubSettings, readNeuronpediaSettings } from './config.ts';
import type { ModelLibrary } from './modelLibrary.ts';
import {
  Neuronpedia,
  type NeuronpediaPlace,
  type NeuronpediaRecord,
  neuronpediaPlace,
  recordPath,
} from './remote/neuronpedia.ts';

/**
 * Feature records from Neuronpedia: only while the user has that turned on, and only those of features that are looked
 * at. What was read is kept and not asked for again.
 */
export class NeuronpediaExamples {
  readonly #library: ModelLibrary;
  readonly #folder: string;

  /** @param folder absolute: where records are kept */
  constructor(library: ModelLibrary, folder: string) {
    this.#library = library;
    this.#folder = folder;
  }

  /** Null where nobody knows what Neuronpedia calls the graph's features. */
  placeOf(graph: CircuitGraph): NeuronpediaPlace | null {
    return neuronpediaPlace(graph, readNeuronpediaSettings().sources);
  }

  get isOn(): boolean {
    return readNeuronpediaSettings().isOn && !readHubSettings().isOffline;
  }

  /** What would be sent for a feature, in the words of the card. */
  offer(place: NeuronpediaPlace, layer: number, feature: number): string {
    const { address } = readNeuronpediaSettings();
    return `Neuronpedia may have examples. For each feature that you look at, its name is sent, as in ${address}/${recordPath(place, layer, feature)}; nothing of your prompt is.`;
  }

  /** What Neuronpedia says of a feature; null when it does not know it. UserError when it cannot be asked. */
  async read(place: NeuronpediaPlace, layer: number, feature: number): Promise<NeuronpediaRecord | null> {
    const { address } = readNeuronpediaSettings();
    const site = new Neuronpedia({ address, http: this.#library.hub().http, folder: this.#folder });
    return site.read(place, layer, feature, new AbortController().signal);
  }

  /** Asks the user, and turns it on for all windows if they want it. */
  async turnOn(): Promise<boolean> {
    const { address } = readNeuronpediaSettings();
    if (readHubSettings().isOffline) {
      throw new UserError(
        'offline',
        'The setting promptCircuits.offline keeps everything off the network.',
        'Turn it off first, if examples are to be read from Neuronpedia.',
      );
    }
    const chosen = await vscode.window.showInformationMessage(
      'Read feature examples from Neuronpedia?',
      {
        modal: true,
        detail: `For each feature whose card you open, its model, layer and number are sent to ${address}, which learns what you look at. Your prompt, its graph and your texts are not sent. Turn it off again in the setting “Neuronpedia Examples”.`,
      },
      'Turn On',
    );
    if (chosen !== 'Turn On') return false;
    await vscode.workspace
      .getConfiguration('promptCircuits')
      .update('neuronpediaExamples', true, vscode.ConfigurationTarget.Global);
    return true;
  }
}
