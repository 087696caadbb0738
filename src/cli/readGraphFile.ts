import fs from 'node:fs';
import type { CircuitGraph } from '../graph/circuitGraph.ts';
import { readGraphBytes } from '../graph/readGraph.ts';
import { UserError } from '../protocol/errors.ts';
import type { Terminal } from './terminal.ts';

/** Reads a graph file and tells what had to be left out of it. */
export function readGraphFile(file: string, terminal: Terminal): CircuitGraph {
  if (!fs.statSync(file, { throwIfNoEntry: false })?.isFile()) {
    throw new UserError('graph.missing', `There is no file ${file}.`, 'Check its name.');
  }
  const { graph, warnings } = readGraphBytes(fs.readFileSync(file));
  for (const warning of warnings) terminal.err(`Note: ${file}: ${warning}\n`);
  return graph;
}
