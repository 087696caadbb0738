import type { GraphBytes } from '../graph/graphBytes.ts';
import type { JsonObject } from '../graph/json.ts';

/** Fields of a foreign file that travel beside the graph, a part at a time: a file may have some for every node. */
export type ForeignPart = {
  readonly part: 'nodes' | 'links';
  readonly entries: readonly (readonly [string, JsonObject])[];
};

export const graphFilesVersion = 1;

/** What the thread that reads and writes large graph files answers. */
export type GraphFilesCalls = {
  read: {
    params: { readonly file: string } | { readonly bytes: Uint8Array };
    /** `foreign`: what does not belong to single nodes or links; those come before as progress. */
    result: { readonly graph: GraphBytes; readonly foreign: JsonObject; readonly warnings: readonly string[] };
    progress: ForeignPart;
  };
  write: {
    params: { readonly file: string; readonly graph: GraphBytes; readonly foreign: JsonObject };
    result: null;
    progress: never;
  };
};
