// The thread that reads and writes large graph files: the entry of a worker, never imported.
import { readFile } from 'node:fs/promises';
import { parentPort } from 'node:worker_threads';
import { foreignFields } from '../graph/foreignFields.ts';
import { graphFromBytes, graphToBytes } from '../graph/graphBytes.ts';
import { isObject, type JsonObject } from '../graph/json.ts';
import { readGraphBytes } from '../graph/readGraph.ts';
import { writeGraph } from '../graph/writeGraph.ts';
import { type ForeignPart, type GraphFilesCalls, graphFilesVersion } from '../protocol/graphFiles.ts';
import { serve } from '../protocol/rpc.ts';
import { writeWhole } from './traceStore.ts';

const entriesAPart = 2000;

if (parentPort !== null) {
  const port = parentPort;
  serve<GraphFilesCalls>(
    { send: (message) => port.postMessage(message), onMessage: (listen) => void port.on('message', listen) },
    graphFilesVersion,
    {
      read: async (source, { onProgress }) => {
        const bytes = 'file' in source ? await readFile(source.file) : source.bytes;
        const { graph, warnings } = readGraphBytes(bytes);
        for (const part of foreignParts(graph.foreign)) onProgress(part);
        const { nodes: _, links: __, ...foreign } = graph.foreign;
        return { graph: graphToBytes(graph), foreign, warnings };
      },
      write: async ({ file, graph, foreign }) => {
        await writeWhole(file, writeGraph({ ...graphFromBytes(graph), foreign }));
        return null;
      },
    },
  );
}

function* foreignParts(foreign: JsonObject): Generator<ForeignPart> {
  const fields = foreignFields(foreign);
  for (const part of ['nodes', 'links'] as const) {
    const entries = Object.entries(fields[part] ?? {}).filter(([, value]) => isObject(value));
    for (let from = 0; from < entries.length; from += entriesAPart)
      yield { part, entries: entries.slice(from, from + entriesAPart) };
  }
}
