import fs from 'node:fs';
import path from 'node:path';
import type { CircuitGraph } from '../graph/circuitGraph.ts';
import { writeGraph } from '../graph/writeGraph.ts';

/** Saves a graph as a `*.circuit.json` file. */
export function writeCircuit(file: string, graph: CircuitGraph): void {
  fs.mkdirSync(path.dirname(path.resolve(file)), { recursive: true });
  fs.writeFileSync(file, writeGraph(graph));
}
