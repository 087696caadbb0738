import { asText, isObject, type JsonObject } from './json.ts';

/** What `CircuitGraph.foreign` holds: fields that we do not understand, by the place in the file where they were. */
export type ForeignFields = {
  readonly file?: JsonObject;
  readonly metadata?: JsonObject;
  readonly info?: JsonObject;
  readonly qParams?: JsonObject;
  /** By node id. */
  readonly nodes?: Readonly<Record<string, JsonObject>>;
  /** By `foreignLinkKey`. */
  readonly links?: Readonly<Record<string, JsonObject>>;
};

export function foreignLinkKey(source: string, target: string): string {
  return `${source} → ${target}`;
}

/** The fields in a graph's `foreign`, which may come from another process and is checked again. */
export function foreignFields(foreign: JsonObject): ForeignFields {
  const part = (name: string) => {
    const value = foreign[name];
    return isObject(value) ? { [name]: value } : {};
  };
  return {
    ...part('file'),
    ...part('metadata'),
    ...part('info'),
    ...part('qParams'),
    ...part('nodes'),
    ...part('links'),
  };
}

/** The other fields of one node: null when there are none. */
export function foreignNode(foreign: ForeignFields, id: string): JsonObject | null {
  const value = foreign.nodes && Object.hasOwn(foreign.nodes, id) ? foreign.nodes[id] : null;
  return isObject(value) ? value : null;
}

export function foreignText(fields: JsonObject | null, name: string): string | null {
  return fields && Object.hasOwn(fields, name) ? asText(fields[name]) : null;
}
