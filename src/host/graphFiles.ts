import { Worker } from 'node:worker_threads';
import type { CircuitGraph } from '../graph/circuitGraph.ts';
import { graphFromBytesSteps, graphToBytes } from '../graph/graphBytes.ts';
import type { JsonObject } from '../graph/json.ts';
import type { GraphRead } from '../graph/readGraph.ts';
import { inSlices } from '../graph/steps.ts';
import { type GraphFilesCalls, graphFilesVersion } from '../protocol/graphFiles.ts';
import { type Client, connect } from '../protocol/rpc.ts';

/** Smaller files and graphs are handled where they are: a thread takes longer to start than they take. */
export const smallFile = 1_000_000;
const smallGraph = 20_000;

/** True for a graph whose text would be put together for so long that the window would feel it. */
export function isLargeGraph({ nodes, edges }: Pick<CircuitGraph, 'nodes' | 'edges'>): boolean {
  return nodes.length + edges.source.length > smallGraph;
}

/**
 * Reads and writes large graph files in a thread of their own, so that neither the window nor a running trace waits. What
 * comes back is numbers in columns; the nodes are made from them a slice at a time.
 */
export class GraphFiles {
  readonly #modulePath: string;

  /** @param modulePath the thread's entry: a bundled module, or its source in tests */
  constructor(modulePath: string) {
    this.#modulePath = modulePath;
  }

  /** Reads a graph from a file on this machine, or from bytes that came from elsewhere. */
  async read(source: GraphFilesCalls['read']['params']): Promise<GraphRead> {
    const parts: { nodes: Record<string, JsonObject>; links: Record<string, JsonObject> } = { nodes: {}, links: {} };
    return this.#inThread(async (client) => {
      const { graph, foreign, warnings } = await client.call('read', source, {
        onProgress: ({ part, entries }) => {
          for (const [key, value] of entries) parts[part][key] = value;
        },
      });
      const whole = (await inSlices(graphFromBytesSteps(graph), () => true)) as CircuitGraph;
      const fields = Object.entries(parts).filter(([, entries]) => Object.keys(entries).length > 0);
      return { graph: { ...whole, foreign: { ...foreign, ...Object.fromEntries(fields) } }, warnings };
    });
  }

  /** Writes a graph to a file on this machine: the whole of it, or nothing. */
  async write(file: string, graph: CircuitGraph): Promise<void> {
    const bytes = graphToBytes(graph);
    await this.#inThread((client) => client.call('write', { file, graph: bytes, foreign: graph.foreign }));
  }

  async #inThread<Result>(use: (client: Client<GraphFilesCalls>) => Promise<Result>): Promise<Result> {
    const worker = new Worker(this.#modulePath);
    const client = connect<GraphFilesCalls>(
      {
        send: (message) => worker.postMessage(message),
        onMessage: (listen) => void worker.on('message', listen),
      },
      graphFilesVersion,
      { cancelPatience: 0, onUnansweredCancel: () => {} },
    );
    worker.on('error', (error) => client.end(error instanceof Error ? error : new Error(String(error))));
    worker.on('exit', (code) => client.end(new Error(`The thread that reads graphs ended with code ${code}.`)));
    try {
      return await use(client);
    } finally {
      void worker.terminate();
    }
  }
}
