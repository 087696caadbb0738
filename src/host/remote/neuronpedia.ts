import { createHash } from 'node:crypto';
import fs from 'node:fs/promises';
import path from 'node:path';
import type { CircuitGraph } from '../../graph/circuitGraph.ts';
import { foreignFields } from '../../graph/foreignFields.ts';
import { asNumber, asText, isObject, parseJson } from '../../graph/json.ts';
import type { FeatureCard, FeatureExample } from '../../protocol/engine.ts';
import { UserError } from '../../protocol/errors.ts';
import { type HttpClient, readBody } from './http.ts';

/** What Neuronpedia calls a model and a transcoder set of it. */
export type NeuronpediaPlace = { readonly modelId: string; readonly sourceSet: string };

/** What Neuronpedia says of a feature, in the fields of its card. */
export type NeuronpediaRecord = Omit<FeatureCard, 'layer' | 'feature' | 'logitsFrom' | 'ownText'>;

/** A record with its activations is some 100 KB; what is larger is none. */
const mostBytes = 8 * 2 ** 20;
/** A card shows a few dozen examples; longer lists and texts are cut. */
const limits = { examples: 60, tokens: 512, logits: 20, bars: 100, textLength: 500 };
/** Names that go into an address and a path. */
const plainName = /^[\w-][\w.-]{0,99}$/;

/**
 * Where Neuronpedia keeps the graph's features: as the file says, else by the set's reference. Null where neither does.
 * @param sources by reference of a transcoder set: `model/source-set`
 */
export function neuronpediaPlace(
  { metadata, foreign }: Pick<CircuitGraph, 'metadata' | 'foreign'>,
  sources: Readonly<Record<string, unknown>>,
): NeuronpediaPlace | null {
  const fields = foreignFields(foreign);
  const details = fields.metadata?.feature_details;
  const named = isObject(details) ? asText(details.neuronpedia_source_set) : null;
  const fromFile = named === null ? null : placeOf(metadata.scan, named);
  const known = Object.hasOwn(sources, metadata.scan) ? asText(sources[metadata.scan]) : null;
  const [modelId = '', sourceSet = '', ...more] = known?.split('/') ?? [];
  return fromFile ?? (more.length === 0 ? placeOf(modelId, sourceSet) : null);
}

function placeOf(modelId: string, sourceSet: string): NeuronpediaPlace | null {
  return plainName.test(modelId) && plainName.test(sourceSet) ? { modelId, sourceSet } : null;
}

/** The path of a feature's record, which is all that is told of it. */
export function recordPath({ modelId, sourceSet }: NeuronpediaPlace, layer: number, feature: number): string {
  return `api/feature/${modelId}/${layer}-${sourceSet}/${feature}`;
}

/** Records of single features, asked for one by one and kept on disk. Asks only when it is called. */
export class Neuronpedia {
  readonly #address: URL;
  readonly #http: HttpClient;
  readonly #folder: string;

  /** @param options `address` of the site; `folder`, absolute, where answers are kept */
  constructor(options: { readonly address: string; readonly http: HttpClient; readonly folder: string }) {
    const url = URL.canParse(options.address) ? new URL(options.address) : null;
    const isSafe = url?.protocol === 'https:' || url?.hostname === 'localhost' || url?.hostname === '127.0.0.1';
    if (url === null || !isSafe) {
      throw new UserError(
        'neuronpedia.address',
        `${JSON.stringify(options.address.slice(0, 100))} is no secure address of a site.`,
        'Set promptCircuits.neuronpediaAddress to one that begins with https://.',
      );
    }
    this.#address = url;
    this.#http = options.http;
    this.#folder = path.join(options.folder, createHash('sha256').update(url.origin).digest('hex').slice(0, 12));
  }

  get host(): string {
    return this.#address.host;
  }

  /**
   * What the site says of a feature; null when it does not know it.
   * @throws UserError when it cannot be asked or its answer makes no sense
   */
  async read(
    place: NeuronpediaPlace,
    layer: number,
    feature: number,
    signal: AbortSignal,
  ): Promise<NeuronpediaRecord | null> {
    const file = path.join(this.#folder, place.modelId, `${layer}-${place.sourceSet}`, `${feature}.json`);
    const kept = await fs.readFile(file, 'utf8').catch(() => null);
    if (kept !== null) return readRecord(kept);
    const text = await this.#ask(recordPath(place, layer, feature), signal);
    if (text === null) return null;
    const record = readRecord(text);
    await fs.mkdir(path.dirname(file), { recursive: true });
    await fs.writeFile(`${file}.tmp`, text);
    await fs.rename(`${file}.tmp`, file);
    return record;
  }

  /** The answer's text; null for what the site does not have. Redirects are not followed: they lead elsewhere. */
  async #ask(place: string, signal: AbortSignal): Promise<string | null> {
    const address = new URL(place, `${this.#address.origin}/`);
    let response: Awaited<ReturnType<HttpClient>>;
    try {
      response = await this.#http(address, { method: 'GET', headers: { accept: 'application/json' }, signal });
    } catch (error) {
      if (error instanceof UserError || signal.aborted) throw error;
      const reason = (error as NodeJS.ErrnoException).code ?? (error as Error).message;
      throw new UserError(
        'neuronpedia.unreachable',
        `${this.host} cannot be reached (${reason}).`,
        'Check the connection. What was read before is still shown.',
      );
    }
    if (response.status === 200) return (await readBody(response, mostBytes)).toString('utf8');
    response.body.destroy();
    if (response.status === 404) return null;
    throw new UserError(
      'neuronpedia.refused',
      `${this.host} did not give the record of the feature (status ${response.status}).`,
      response.status === 429 ? 'It limits how often it may be asked: wait a while.' : 'Try again later.',
    );
  }
}

/**
 * Takes out of a record what a card shows. What is missing or has the wrong shape is left out.
 * @throws UserError when the text is no JSON object
 */
function readRecord(text: string): NeuronpediaRecord | null {
  const { value } = parseJson(text, 'The record from Neuronpedia');
  if (value === null) return null;
  if (!isObject(value)) {
    throw new UserError('neuronpedia.odd', 'The record from Neuronpedia is no object.', 'Check the address.');
  }
  const examples = list(value.activations, limits.examples)
    .flatMap((entry) => exampleOf(entry) ?? [])
    .sort((a, b) => Math.max(...b.activations) - Math.max(...a.activations));
  const values = list(value.freq_hist_data_bar_values, limits.bars).flatMap((entry) => asNumber(entry) ?? []);
  const [explanation] = list(value.explanations, 1).filter(isObject);
  const label = short(explanation?.description);
  const made = short(explanation?.explanationModelName);
  return {
    label,
    labelSource: label === '' ? '' : `from Neuronpedia${made === '' ? '' : `, by ${made}`}`,
    quantiles: examples.length === 0 ? [] : [{ name: 'Top activations', examples }],
    topLogits: list(value.pos_str, limits.logits).map(short),
    bottomLogits: list(value.neg_str, limits.logits).map(short),
    activationFrequency: shareOf(value.frac_nonzero),
    histogram: list(value.freq_hist_data_bar_heights, limits.bars).map((entry) => Math.max(0, asNumber(entry) ?? 0)),
    quantileValues: [],
    activationMin: values.length > 0 ? Math.min(0, ...values) : null,
    activationMax: asNumber(value.maxActApprox) ?? (values.length > 0 ? Math.max(...values) : null),
    examplesFrom: 'Neuronpedia',
  };
}

function exampleOf(entry: unknown): FeatureExample | null {
  if (!isObject(entry)) return null;
  const tokens = list(entry.tokens, limits.tokens).map(short);
  if (tokens.length === 0) return null;
  const values = list(entry.values, limits.tokens);
  const peak = asNumber(entry.maxValueTokenIndex);
  return {
    tokens,
    activations: tokens.map((_, index) => asNumber(values[index]) ?? 0),
    peak: peak !== null && Number.isInteger(peak) && peak >= 0 && peak < tokens.length ? peak : null,
  };
}

function list(value: unknown, most: number): readonly unknown[] {
  return Array.isArray(value) ? value.slice(0, most) : [];
}

function short(value: unknown): string {
  return typeof value === 'string' ? value.slice(0, limits.textLength) : '';
}

function shareOf(value: unknown): number | null {
  const number = asNumber(value);
  return number !== null && number >= 0 && number <= 1 ? number : null;
}
