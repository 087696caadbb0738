import {
  type EditedSite,
  type EditKind,
  type EditPlaces,
  type Freeze,
  type GraphEdit,
  type InterventionSet,
  type Interventions,
  noInterventions,
  type PatchedNodes,
  plainRun,
  type RunOptions,
} from './interventions.ts';
import { asCount, asNumber, asText, isObject, type JsonObject } from './json.ts';

/** More sets, rows, features of a row or tokens of a prompt than anyone makes: a file that has them is cut there. */
const mostSets = 500;
const mostEdits = 500;
const mostSites = 20_000;
const mostTokens = 200_000;
const longestName = 300;
/** More tokens are not generated at a time. */
const mostNewTokens = 4096;

/**
 * The interventions in our own section of a graph file, or in a message from a page: what is not understood is left out.
 * Whether features and positions exist is checked where the model is.
 */
export function readInterventions(value: unknown): Interventions {
  if (!isObject(value)) return noInterventions;
  const sets = listOf(value.sets, mostSets).flatMap((entry): InterventionSet[] => {
    if (!isObject(entry)) return [];
    const name = nameOf(entry.name);
    return name === null ? [] : [{ name, edits: editsOf(entry.edits), options: optionsOf(entry.options) }];
  });
  const byName = new Map(sets.map((set) => [set.name, set]));
  return { edits: editsOf(value.edits), options: optionsOf(value.options), sets: [...byName.values()] };
}

/** The same as plain JSON, sites as short lists; null where there is nothing to keep. */
export function writeInterventions({ edits, options, sets }: Interventions): JsonObject | null {
  if (edits.length === 0 && sets.length === 0) return null;
  return {
    edits: edits.map(fileEdit),
    options,
    sets: sets.map((set) => ({ name: set.name, edits: set.edits.map(fileEdit), options: set.options })),
  };
}

function fileEdit(edit: GraphEdit): JsonObject {
  if (edit.type === 'features') {
    return { ...edit, sites: edit.sites.map(({ layer, pos, feature, unit }) => [layer, pos, feature, unit]) };
  }
  return edit.type === 'errors' ? { ...edit, sites: edit.sites.map(({ layer, pos }) => [layer, pos]) } : edit;
}

function editsOf(value: unknown): GraphEdit[] {
  return listOf(value, mostEdits).flatMap((entry) => (isObject(entry) ? (editOf(entry) ?? []) : []));
}

function editOf(value: JsonObject): GraphEdit | null {
  const name = nameOf(value.name);
  if (name === null) return null;
  const isOn = value.isOn !== false;
  const factor = asNumber(value.factor);
  if (value.type === 'features') {
    const sites = listOf(value.sites, mostSites).flatMap((site) => siteOf(site) ?? []);
    const kind = kindOf(value.kind);
    const places = placesOf(value.places);
    if (sites.length === 0 || kind === null || places === null || factor === null) return null;
    return { name, isOn, type: 'features', sites, places, kind, factor };
  }
  if (value.type === 'errors') {
    const sites = listOf(value.sites, mostSites).flatMap((site) => errorOf(site) ?? []);
    return sites.length === 0 || factor === null ? null : { name, isOn, type: 'errors', sites, factor };
  }
  return value.type === 'patch' ? patchOf(value, name, isOn) : null;
}

function patchOf(value: JsonObject, name: string, isOn: boolean): GraphEdit | null {
  const given = listOf(value.tokens, mostTokens);
  const tokens = given.filter(isCount);
  const nodes = nodesOf(value.nodes);
  const [pos, fromPos, layer, feature] = [value.pos, value.fromPos, value.layer, value.feature].map(countOrNull);
  if (tokens.length === 0 || tokens.length < given.length || nodes === null) return null;
  if (pos === undefined || fromPos === undefined || layer === undefined || feature === undefined) return null;
  return { name, isOn, type: 'patch', tokens, pos, fromPos, layer, feature, nodes };
}

/** A site as [layer, pos, feature, unit], or as an object. */
function siteOf(value: unknown): EditedSite | null {
  const { layer, pos, feature, unit } = Array.isArray(value)
    ? { layer: value[0], pos: value[1], feature: value[2], unit: value[3] }
    : isObject(value)
      ? value
      : {};
  const size = asNumber(unit);
  return isCount(layer) && isCount(pos) && isCount(feature) && size !== null
    ? { layer, pos, feature, unit: size }
    : null;
}

function errorOf(value: unknown): { readonly layer: number; readonly pos: number } | null {
  const { layer, pos } = Array.isArray(value) ? { layer: value[0], pos: value[1] } : isObject(value) ? value : {};
  return isCount(layer) && isCount(pos) ? { layer, pos } : null;
}

function placesOf(value: unknown): EditPlaces | null {
  if (value === 'own') return value;
  if (!isObject(value) || !isCount(value.start)) return null;
  const stop = countOrNull(value.stop);
  return stop === undefined ? null : { start: value.start, stop };
}

function optionsOf(value: unknown): RunOptions {
  if (!isObject(value)) return plainRun;
  return {
    freeze: freezeOf(value.freeze),
    newTokens: Math.min(asCount(value.newTokens) ?? 0, mostNewTokens),
    sampling: samplingOf(value.sampling),
  };
}

function freezeOf(value: unknown): Freeze {
  if (value === 'attention') return value;
  return isObject(value) && isCount(value.from) && isCount(value.to) && value.from <= value.to
    ? { from: value.from, to: value.to }
    : 'nothing';
}

function samplingOf(value: unknown): RunOptions['sampling'] {
  if (!isObject(value)) return null;
  const [temperature, topP] = [asNumber(value.temperature), asNumber(value.topP)];
  if (temperature === null || topP === null || !isCount(value.seed)) return null;
  return { temperature, topP, seed: value.seed };
}

function kindOf(value: unknown): EditKind | null {
  return value === 'scale' || value === 'set' || value === 'add' || value === 'ablate' ? value : null;
}

function nodesOf(value: unknown): PatchedNodes | null {
  return value === 'features' || value === 'errors' || value === 'all' ? value : null;
}

function nameOf(value: unknown): string | null {
  return asText(value)?.slice(0, longestName) ?? null;
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && asCount(value) !== null;
}

/** Undefined for what is neither. */
function countOrNull(value: unknown): number | null | undefined {
  if (value === null) return null;
  return isCount(value) ? value : undefined;
}

function listOf(value: unknown, most: number): readonly unknown[] {
  return Array.isArray(value) ? value.slice(0, most) : [];
}
