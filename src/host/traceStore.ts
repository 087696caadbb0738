import { randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { CircuitGraph } from '../graph/circuitGraph.ts';
import { readGraph } from '../graph/readGraph.ts';
import { writeGraph } from '../graph/writeGraph.ts';
import { UserError } from '../protocol/errors.ts';
import { type GraphFiles, isLargeGraph, smallFile } from './graphFiles.ts';
import { readRecord, type TraceRecord } from './traceRecord.ts';

/**
 * The traces on disk: for each a `<id>.circuit.json` that opens like any graph file and a `<id>.trace.json` with its
 * record. Files are written to a temporary name and renamed, so that a crash leaves the old one or the new one.
 */
export class TraceStore {
  readonly folder: string;
  readonly #files: GraphFiles;

  constructor(folder: string, files: GraphFiles) {
    this.folder = folder;
    this.#files = files;
  }

  /** Every record, newest first, and the names of files that could not be read as one. */
  async list(): Promise<{ readonly records: TraceRecord[]; readonly unreadable: string[] }> {
    const names = await readdir(this.folder).catch(() => []);
    const files = names.filter((name) => name.endsWith('.trace.json'));
    const records: TraceRecord[] = [];
    const unreadable: string[] = [];
    for (const name of files) {
      const record = readRecord(await readFile(path.join(this.folder, name), 'utf8').catch(() => ''));
      if (record === null || `${record.id}.trace.json` !== name) unreadable.push(name);
      else records.push(record);
    }
    records.sort((a, b) => (b.createdAt ?? '').localeCompare(a.createdAt ?? ''));
    return { records, unreadable };
  }

  graphFile(id: string): string {
    return path.join(this.folder, `${id}.circuit.json`);
  }

  /** The graph of a trace; a UserError when its file is gone or broken. */
  async readGraph(id: string): Promise<CircuitGraph> {
    const file = this.graphFile(id);
    const size = await stat(file).then(
      (found) => found.size,
      () => null,
    );
    if (size === null) {
      throw new UserError('trace.missing', `The file of this trace is gone: ${file}.`, 'Trace the prompt again.');
    }
    const read = size < smallFile ? readGraph(await readFile(file, 'utf8')) : await this.#files.read({ file });
    return read.graph;
  }

  async writeGraph(id: string, graph: CircuitGraph): Promise<void> {
    const file = this.graphFile(id);
    if (isLargeGraph(graph)) await this.#files.write(file, graph);
    else await this.#write(file, writeGraph(graph));
  }

  async writeRecord(record: TraceRecord): Promise<void> {
    await this.#write(path.join(this.folder, `${record.id}.trace.json`), JSON.stringify(record));
  }

  async remove(id: string): Promise<void> {
    await rm(path.join(this.folder, `${id}.trace.json`), { force: true });
    await rm(this.graphFile(id), { force: true });
  }

  async #write(file: string, text: string): Promise<void> {
    await writeWhole(file, text);
  }
}

/** Writes a file so that no reader ever sees a part of it: a temporary file beside it, renamed when complete. */
export async function writeWhole(file: string, content: string | Uint8Array): Promise<void> {
  await mkdir(path.dirname(file), { recursive: true });
  const temporary = `${file}.${randomUUID().slice(0, 8)}.tmp`;
  try {
    await writeFile(temporary, content);
    await rename(temporary, file);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}
